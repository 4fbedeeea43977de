"""What metrics, logs and traces cost a notification on its whole way, as shares of one run: off, told, traced."""

import os
import statistics
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.cost import cost_of
from benchmarks.figures import Figure
from benchmarks.stand import running

ROUNDS = 5
_MANY = 0.03
"""The share of traced ones from which it is measured what a trace costs; more of them would not fit into the queue."""
_UNTOLD = Path(__file__).parent / "untold"
_QUIET = ("[logs]", 'sampling = "off"', 'level = "error"')


async def telemetry_share(count: int, rounds: int = ROUNDS) -> list[Figure]:
    """The CPU of each way of telling, in turn, so that whatever disturbs the machine disturbs all."""
    off, told, traced, many = [], [], [], []
    with _collector() as url:
        traces = ("[traces]", f'otlp_url = "{url}"')
        for _ in range(rounds):
            with _untold():
                off.append(await _cost(count, _QUIET))
            told.append(await _cost(count, ()))
            traced.append(await _cost(count, traces))
            many.append(await _cost(count, (*traces, f"sample_ratio = {_MANY}")))
    silent, usual, whole = (statistics.median(found) for found in (off, told, traced))
    shares = [100 * (full / nothing - 1) for full, nothing in zip(traced, off, strict=True)]
    each = ", ".join(f"{share:.0f}" for share in shares)
    one = statistics.median((more - full) / _MANY for more, full in zip(many, traced, strict=True))
    note = (
        f"{count:,} pushes to `log`, the cheapest way there is, so the share is the largest; medians of {rounds} "
        "rounds in which they take turns. Off: no metrics, no log lines, no traces. Traces are sampled as by default. "
        f"The collector takes everything, in a process whose CPU is not counted. The rounds' own shares: {each} %."
    )
    return [
        Figure("CPU, whole way, telemetry off", silent, "µs"),
        Figure("CPU, whole way, metrics and logs", usual, "µs"),
        Figure("CPU, whole way, metrics, logs, traces", whole, "µs"),
        Figure("share of metrics and logs", 100 * (usual / silent - 1), "%"),
        Figure("share of all telemetry", 100 * (whole / silent - 1), "%", 10, note=note),
        Figure("CPU of a trace more", one, "µs", note=f"From {100 * _MANY:.0f} % traced, about ten spans each."),
    ]


async def _cost(count: int, settings: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder) / "data", None, settings) as stand:
            return (await cost_of(stand, "bench_push", count)).us


@contextmanager
def _untold() -> Iterator[None]:
    """Processes that are started meanwhile count nothing."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_UNTOLD), before)))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextmanager
def _collector() -> Iterator[str]:
    """Takes whatever comes; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
