"""Somebody who is called by Alertmanager, and what waits for others' processes, for tests."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest

from bellhouse.adapters.clock import SystemClock

_PATIENCE_S = 60.0


class Pager:
    """A webhook receiver on loopback that keeps what it was told, by the path that it was told on."""

    def __init__(self) -> None:
        told = self
        self._changed = threading.Condition()
        self._calls: list[tuple[str, dict[str, Any]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()
                told._note(self.path, body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is called; any path below it will do."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def wait_for(self, name: str, status: str = "firing", path: str | None = None) -> dict[str, Any]:
        """The alert of this name, once it was told with this status (on this path); fails after a minute."""
        with self._changed:
            found = self._changed.wait_for(lambda: next(self._told(name, status, path), None), _PATIENCE_S)
        assert found is not None, f"nobody was told of {name}, only of {self.names()}"
        return found

    def names(self, path: str | None = None) -> set[str]:
        """The names of all alerts that it was told of (on this path)."""
        return {
            alert["labels"]["alertname"]
            for where, call in list(self._calls)
            for alert in call["alerts"]
            if path is None or where == path
        }

    def paths(self) -> list[str]:
        """On which paths it was called, the first call first."""
        return [where for where, _ in list(self._calls)]

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _told(self, name: str, status: str, path: str | None) -> Iterator[dict[str, Any]]:
        for where, call in self._calls:
            for alert in call["alerts"]:
                if alert["labels"]["alertname"] == name and alert["status"] == status and path in (None, where):
                    yield {**alert, "path": where, "groupLabels": call["groupLabels"]}

    def _note(self, path: str, body: dict[str, Any]) -> None:
        with self._changed:
            self._calls.append((path, body))
            self._changed.notify_all()


def wait_until(true: Callable[[], object]) -> None:
    """Until it is true; fails after a minute."""
    clock = SystemClock()
    deadline = clock.monotonic() + _PATIENCE_S
    while not true():
        assert clock.monotonic() < deadline, "it did not come true within a minute"
        clock.pause(0.02)


def gone(process: psutil.Process) -> bool:
    """Whether it has ended; one that only waits for its parent to notice has."""
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def pager() -> Iterator[Pager]:
    """One that is called by nobody else."""
    running = Pager()
    yield running
    running.close()
