"""What accepting over HTTP costs: single requests and batches, beside an empty ASGI application in the same run.

    python -m benchmarks.ingest_http [--requests 40000] [--batches 60] [--clients 64] [--no-keys] [--json]

The server and the load generator are processes of their own; CPU is the server process's alone.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite.store import SqliteStore
from bellhouse.app.http import Services, build_asgi
from bellhouse.app.memory import settle_memory
from bellhouse.app.server import HttpServer
from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.recipient import Profile
from bellhouse.ingest.steps import Steps
from bellhouse.ports.store.catalogue import ApiKey
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry
from bellhouse.security import keys
from bellhouse.templates.render import Renderer
from bellhouse.web.health import Check
from bellhouse.web.limits import Limits
from bellhouse.web.reply import ASGIApp, Receive, Scope, Send
from benchmarks.latency import spread
from benchmarks.procs import cpu

RECIPIENTS = 10_000
TOKEN = keys.Secret("bench", "0" * 16, "1" * 48)
PEPPER = b"p" * 32
BODY = (
    '{"user_id":"user-%06d","type":"order_shipped","priority":"%s","data":{"order":"A-%07d","items":[{"name":"Shoes",'
    '"qty":1,"price":99},{"name":"Socks","qty":3,"price":4.25}],"address":"12 Some Street, Springfield, somewhere",'
    '"eta":"2026-11-25T10:00:00Z","note":"please leave it with the neighbour"},"idempotency_key":"order-%012d-shipped"}'
)
HEAD = (
    "POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
    "Content-Length: %d\r\n\r\n"
)


@dataclass(frozen=True)
class Figure:
    """One measurement; `us` is the server's CPU per notification (or per request of the empty application)."""

    name: str
    per_second: float
    p50_ms: float
    p99_ms: float
    us: float
    refused: int


async def empty(_: Scope, receive: Receive, send: Send) -> None:
    """Reads the body and answers as many bytes as ours does."""
    while (await receive()).get("more_body"):
        pass
    body = b'{"id":"019aaf2c-4a7b-7c3e-9d53-5b1c2a90ee00"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("no callbacks here")


async def _ready() -> list[Check]:
    return []


async def _metrics() -> bytes:
    return b""


async def bellhouse(data: Path) -> ASGIApp:
    """Our HTTP face on a fresh SQLite file with recipients."""
    store = SqliteStore(data / "bench.db", LocalDoorbell())
    tenant = await store.catalogue.tenant("bench", "bench")
    key = ApiKey(TOKEN.key_id, tenant, "bench", "bench", ("send",), keys.digest(PEPPER, TOKEN), "", 0)
    await store.catalogue.put_key(key)
    await store.catalogue.put_type(tenant, NotificationType("order_shipped", "transactional"))
    profiles = [Profile(f"user-{number:06}") for number in range(RECIPIENTS)]
    await store.recipients.put_recipients(tenant, profiles, 0)
    limits = Limits(tenant_rate_per_s=1e9, tenant_burst=10**9)
    return build_asgi(
        Services(
            ingest=store.ingest,
            route=store.route,
            recipients=store.recipients,
            catalogue=store.catalogue,
            breakers=store.catalogue,
            dead_letters=store.dead_letters,
            insights=store.insights,
            clock=SystemClock(),
            telemetry=NullTelemetry(),
            logbook=NullLogbook(),
            renderer=Renderer(),
            pepper=PEPPER,
            callbacks=_nothing,
            readiness=_ready,
            metrics=_metrics,
            steps=Steps(limits, SystemClock(), NullTelemetry(), NullLogbook()),
            provider_channels={},
            limits=limits,
        )
    )


def serve(which: str, listener: socket.socket, data: str) -> None:
    """A server process."""

    async def main() -> None:
        app = empty if which == "empty" else await bellhouse(Path(data))
        settle_memory()
        server = HttpServer(app, Limits(), listener, SystemClock(), 1.0)
        await server.start()
        await server.run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


class Client(asyncio.Protocol):
    """One keep-alive connection that sends the next request as soon as it has its answer."""

    def __init__(
        self, requests: Iterator[bytes], took: list[float], refused: list[bytes], done: Callable[[], None]
    ) -> None:
        self.requests, self.took, self.refused, self.done = requests, took, refused, done
        self.buffer = b""
        self.began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.next()

    def next(self) -> None:
        request = next(self.requests, None)
        if request is None:
            self.transport.close()
            self.done()
            return
        self.began = time.perf_counter()
        self.transport.write(request)  # type: ignore[attr-defined]  # it is a socket's transport

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.buffer.find(b"content-length: ")
        length = int(self.buffer[at + 16 : self.buffer.index(b"\r\n", at)])
        if len(self.buffer) < end + 4 + length:
            return
        self.took.append(time.perf_counter() - self.began)
        if self.buffer[9:12] != b"202" or b'"error"' in self.buffer:
            self.refused.append(self.buffer)
        self.buffer = b""
        self.next()


def load(port: int, clients: int, requests: Iterator[bytes]) -> tuple[float, list[float], list[bytes]]:
    """Send all requests; answers the seconds it took, each answer's latency, and what was not accepted."""

    async def main() -> tuple[float, list[float], list[bytes]]:
        loop = asyncio.get_running_loop()
        took: list[float] = []
        refused: list[bytes] = []
        left, finished = [clients], loop.create_future()

        def done() -> None:
            left[0] -= 1
            if not left[0]:
                finished.set_result(None)

        began = time.perf_counter()
        for _ in range(clients):
            await loop.create_connection(lambda: Client(requests, took, refused, done), "127.0.0.1", port)
        await finished
        return time.perf_counter() - began, took, refused

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


_PRIORITIES = ("critical", "high", "normal", "low")
_NUMBER = itertools.count()


KEYED = True
"""Whether each notification brings an idempotency key, which costs the store a place in a random b-tree."""


def _body() -> str:
    number = next(_NUMBER)
    body = BODY % (number * 7919 % RECIPIENTS, _PRIORITIES[number & 3], number, number)
    return body if KEYED else body.partition(',"idempotency_key"')[0] + "}"


def singles(count: int) -> Iterator[bytes]:
    """Requests of one notification each."""
    for _ in range(count):
        body = _body()
        yield (HEAD % ("/v1/notifications", TOKEN.token, len(body)) + body).encode()


def batches(count: int, size: int) -> list[bytes]:
    """Requests of many, made beforehand so that making them does not slow the measurement."""
    made = []
    for _ in range(count):
        body = '{"notifications":[' + ",".join(_body() for _ in range(size)) + "]}"
        made.append((HEAD % ("/v1/notifications/batch", TOKEN.token, len(body)) + body).encode())
    return made


def measure(name: str, pid: int, port: int, clients: int, requests: Iterator[bytes], items: int) -> Figure:
    """Load a server and read what it used."""
    before = cpu(pid)
    seconds, took, refused = load(port, clients, requests)
    used = cpu(pid).total_s - before.total_s
    done = len(took) * items
    latency = spread(1000 * one for one in took)
    if refused:
        print(refused[0][:500].decode(errors="replace"), file=sys.stderr)
    return Figure(name, done / seconds, latency.p50, latency.p99, 1e6 * used / done, len(refused))


def run(which: str, requests: int, batch_count: int, clients: int) -> list[Figure]:
    """Start a server and measure it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as data:
        process = multiprocessing.get_context("fork").Process(target=serve, args=(which, listener, data))
        process.start()
        listener.close()
        assert process.pid is not None
        try:
            load(port, 4, singles(2_000))
            figures = [measure(f"{which}: single", process.pid, port, clients, singles(requests), 1)]
            if which != "empty" and batch_count:
                figures.append(
                    measure(f"{which}: batch of 1,000", process.pid, port, 2, iter(batches(batch_count, 1_000)), 1_000)
                )
            return figures
        finally:
            process.terminate()
            process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-keys", action="store_true")
    given = parser.parse_args()
    global KEYED  # noqa: PLW0603  # set once, before anything is sent
    KEYED = not given.no_keys
    figures = [
        figure
        for which in ("empty", "bellhouse")
        for figure in run(which, given.requests, given.batches, given.clients)
    ]
    if given.json:
        print(json.dumps([asdict(figure) for figure in figures]))
        return
    for figure in figures:
        print(
            f"{figure.name:28} {figure.per_second:9,.0f}/s  p50 {figure.p50_ms:6.1f} ms  p99 {figure.p99_ms:6.1f} ms"
            f"  {figure.us:6.1f} µs CPU each  {figure.refused} refused"
        )


if __name__ == "__main__":
    main()
