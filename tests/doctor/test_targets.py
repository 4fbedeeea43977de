"""A process that stands still is told from one that is not there, and what is no Bellhouse from both."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bellhouse.app import examine
from bellhouse.app.asking import Unanswered
from bellhouse.app.scraping import Scraper
from bellhouse.cli import api, main
from bellhouse.engines.ports import free_port
from bellhouse.ops.doctor.diagnose import diagnose
from bellhouse.ops.doctor.facts import Facts


def test_what_takes_a_connection_and_says_nothing_is_stuck_and_what_does_not_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examine, "_METRICS_S", 0.2)
    nobody = f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as still:
        stuck = f"127.0.0.1:{still.getsockname()[1]}"
        facts = examine.examine(examine.Request(metrics=(stuck, nobody), window_s=0.2))
    assert (facts.hung_targets, facts.dead_targets) == ((stuck,), (nobody,))
    causes = {cause.name: cause for cause in diagnose(facts, "queue-backlog").causes}
    assert stuck in causes["StuckWorker"].evidence[0]
    assert nobody in causes["ProcessMissing"].summary
    assert next(iter(causes)) == "StuckWorker"


@pytest.fixture
def stranger() -> Iterator[str]:
    """A server that answers everything with JSON of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"checks": ["x"], "data": {"result": [1], "alerts": "none"}}')

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_stranger_at_the_address_is_said_to_be_one(stranger: str) -> None:
    facts = examine.examine(examine.Request(url=stranger, prometheus=stranger, window_s=0.0))
    assert (facts.server.answers, facts.server.error) == (False, "what answers is no Bellhouse")
    assert facts.gaps == (f"Prometheus at {stranger}: it answers, but not as a Prometheus does",)
    with pytest.raises(Unanswered, match="not as a Prometheus does"):
        Scraper([], stranger).look()


@pytest.mark.parametrize("address", ["http://[x", "http://host:abc"])
def test_what_is_no_address_is_told_and_ends_nothing(address: str) -> None:
    assert examine.examine(examine.Request(metrics=(address,))).dead_targets == (address,)
    assert not examine.examine(examine.Request(url=address)).server.answers
    assert examine.examine(examine.Request(prometheus=address)).gaps
    for targets, prometheus in (([address], None), ([], address)):
        with pytest.raises(Unanswered, match="it is no URL"):
            Scraper(targets, prometheus).look()


def test_where_nothing_could_be_asked_nobody_is_told_that_all_is_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BELLHOUSE_URL", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--prometheus", f"http://127.0.0.1:{free_port()}", "--data", "/nowhere"])
    assert ended.value.code == 1
    assert capsys.readouterr().out.startswith("Unknown: Nothing could be asked.")


@pytest.mark.parametrize(
    ("url", "looked_at"),
    [
        (None, True),
        ("http://127.0.0.1:8080/", True),
        ("http://localhost:8080", True),
        ("http://127.0.0.1:9999", False),
        ("https://bellhouse.example.com", False),
    ],
)
def test_a_folder_that_another_server_serves_is_no_evidence(
    url: str | None, looked_at: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[examine.Request] = []

    def note(request: examine.Request) -> Facts:
        asked.append(request)
        return Facts()

    monkeypatch.delenv("BELLHOUSE_URL", raising=False)
    monkeypatch.delenv("BELLHOUSE_KEY", raising=False)
    monkeypatch.setattr(examine, "examine", note)
    monkeypatch.setattr(api, "running_url", lambda _: "http://127.0.0.1:8080")
    monkeypatch.setattr(api, "kept_key", lambda _: "a key of this folder")
    with pytest.raises(SystemExit):
        main(["doctor", "--data", str(tmp_path), *(("--url", url) if url else ())])
    (request,) = asked
    assert (request.data is not None, request.key is not None) == (looked_at, looked_at)
