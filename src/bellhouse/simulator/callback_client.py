"""An outgoing HTTP/1.1 client for callbacks: a few keep-alive connections per host, one call at a time on each."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools

from bellhouse.simulator.clock import monotonic
from bellhouse.simulator.wheel import run_safely

# Called with the status of the answer, or 0 when there was none.
Answered = Callable[[int], None]

_PATIENCE_S = 15.0
_DOWN_S = 0.05


class Target(NamedTuple):
    """Where a callback goes; `url` is exactly what the receiver was told, `path` what is requested."""

    url: str
    host: str
    port: int
    path: str


def target_of(url: str) -> Target | None:
    """The target of an http URL without its fragment; None when it is not one we can call."""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        return None
    if parts.scheme != "http" or not parts.hostname:
        return None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or any(c <= " " for c in path):
        return None
    return Target(url.partition("#")[0], parts.hostname, port, path)


class Call(NamedTuple):
    """One POST: extra header lines (each ending in CRLF) and the body."""

    target: Target
    fields: bytes
    body: bytes
    answered: Answered


class _Line(asyncio.Protocol):
    """One connection to a receiver."""

    def __init__(self, host: "_Host") -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._call: Call | None = None
        self._parser = httptools.HttpResponseParser(self)
        self.deadline = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses of it

    def send(self, call: Call) -> None:
        assert self._transport is not None
        self._call = call
        self.deadline = monotonic() + _PATIENCE_S
        target = call.target
        self._transport.write(
            b"POST %b HTTP/1.1\r\nhost: %b:%d\r\nuser-agent: provider-simulator\r\n%bcontent-length: %d\r\n\r\n%b"
            % (
                target.path.encode(),
                target.host.encode(),
                target.port,
                call.fields,
                len(call.body),
                call.body,
            )
        )

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort()

    def on_message_complete(self) -> None:
        call, self._call = self._call, None
        self.deadline = 0.0
        status, reusable = self._parser.get_status_code(), self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)
        if not reusable:
            self.abort()
        if call is not None:
            run_safely(call.answered, status)
        self._host.line_free(self, reusable)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        call, self._call = self._call, None
        self._host.line_lost(self)
        if call is not None:
            run_safely(call.answered, 0)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Host:
    """The lines to one host and port, and what waits for them."""

    def __init__(self, client: "CallbackClient", address: tuple[str, int], lines: int) -> None:
        self._client = client
        self._address = address
        self._limit = lines
        self._lines: set[_Line] = set()
        self._idle: list[_Line] = []
        self._connecting = 0
        self._down_until = 0.0
        self.waiting: deque[Call] = deque()

    def put(self, call: Call) -> None:
        self.waiting.append(call)
        self._pull()

    def _pull(self) -> None:
        while self.waiting and self._idle:
            self._idle.pop().send(self.waiting.popleft())
        if not self.waiting:
            return
        if monotonic() < self._down_until:
            self._fail_waiting()
        elif self._connecting < len(self.waiting) and len(self._lines) + self._connecting < self._limit:
            self._connecting += 1
            self._client.spawn(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        host, port = self._address
        try:
            async with asyncio.timeout(5):
                _, line = await loop.create_connection(lambda: _Line(self), host, port)
        except (OSError, TimeoutError):
            self._connecting -= 1
            self._down_until = monotonic() + _DOWN_S
            self._fail_waiting()
            return
        self._connecting -= 1
        self._lines.add(line)
        self._idle.append(line)
        self._pull()

    def _fail_waiting(self) -> None:
        """A host that refuses connections refuses them to every call that waits, without asking for each."""
        waiting, self.waiting = self.waiting, deque()
        for call in waiting:
            run_safely(call.answered, 0)

    def line_free(self, line: _Line, reusable: bool) -> None:
        if reusable and line in self._lines:
            self._idle.append(line)
        self._pull()

    def line_lost(self, line: _Line) -> None:
        self._lines.discard(line)
        if line in self._idle:
            self._idle.remove(line)
        asyncio.get_running_loop().call_soon(self._pull)

    def cut_overdue(self, now: float) -> None:
        for line in list(self._lines):
            if line.deadline and line.deadline < now:
                line.abort()

    def close(self) -> None:
        for line in list(self._lines):
            line.abort()


class CallbackClient:
    """Sends calls to any number of hosts."""

    def __init__(self, lines_per_host: int) -> None:
        self._lines_per_host = lines_per_host
        self._hosts: dict[tuple[str, int], _Host] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, call: Call) -> None:
        """Send `call` as soon as a line is free; its `answered` is called exactly once, unless `clear` comes first."""
        address = (call.target.host, call.target.port)
        host = self._hosts.get(address)
        if host is None:
            host = self._hosts[address] = _Host(self, address, self._lines_per_host)
        host.put(call)

    def clear(self) -> None:
        """Forget what has not been sent yet."""
        for host in self._hosts.values():
            host.waiting.clear()

    def cut_overdue(self) -> None:
        """Break the lines whose answer has taken too long."""
        now = monotonic()
        for host in self._hosts.values():
            host.cut_overdue(now)

    def spawn(self, work: "asyncio.Future[None] | object") -> None:
        """Run a coroutine and hold on to it."""
        assert asyncio.iscoroutine(work)
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Break all lines."""
        self.clear()
        for host in self._hosts.values():
            host.close()
