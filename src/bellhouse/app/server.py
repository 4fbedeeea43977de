"""The HTTP server: uvicorn on httptools, guarded against too many, too slow and too large requests."""

import asyncio
import socket
from functools import partial
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bellhouse.ports.clock import Clock
from bellhouse.web.codes import ProblemCode
from bellhouse.web.limits import Limits
from bellhouse.web.problems import MEDIA_TYPE, Problem
from bellhouse.web.reply import ASGIApp

BACKLOG: Final = 2_048
_SWEEP_S: Final = 1.0
_PHRASES: Final = {400: "Bad Request", 408: "Request Timeout", 503: "Service Unavailable"}


def canned(code: ProblemCode, detail: str, retry_after_s: int | None = None) -> bytes:
    """A whole HTTP/1.1 answer with a problem, for a connection that has no request to answer."""
    problem = Problem(code, detail, retry_after_s=retry_after_s)
    lines = [
        f"HTTP/1.1 {problem.status} {_PHRASES[problem.status]}",
        f"content-type: {MEDIA_TYPE}",
        f"content-length: {len(problem.body)}",
        "connection: close",
        *(f"{name.decode()}: {value.decode()}" for name, value in problem.headers),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + problem.body


class GuardedProtocol(HttpToolsProtocol):
    """One connection, which must bring each request within a time, and its head within a size."""

    def __init__(self, limits: Limits, clock: Clock, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._now = clock.monotonic
        self._in_head = True
        self._head_bytes = 0
        self._awaited_since: float | None = self._now()
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn itself
        """Refuse what is beyond the limit, in words."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            detail = f"{self._limits.connections:,} connections are held."
            transport.write(canned("too_many_connections", detail, retry_after_s=1))
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head; the body is counted by whoever reads it."""
        if self._refused or self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self._limits.header_bytes:
            detail = f"The request's head has more than {self._limits.header_bytes:,} bytes."
            self._refuse(canned("bad_request", detail))

    def on_message_begin(self) -> None:
        """A request begins: from now on its time counts."""
        super().on_message_begin()
        self._awaited_since = self._now()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The whole request is there: how long the answer takes is ours."""
        super().on_message_complete()
        self._in_head = True
        self._awaited_since = None

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered like every other mistake."""
        self._refuse(canned("bad_request", msg))

    def sweep(self, now: float) -> None:
        """End the connection if the rest of a request has been awaited for too long; `now` is monotonic time."""
        if self._refused:
            self.transport.close()
            return
        since = self._awaited_since
        if since is None or now - since <= self._limits.request_timeout_s or self.transport.is_closing():
            return
        detail = f"It was not complete after {self._limits.request_timeout_s:g} s."
        self._refuse(canned("request_timeout", detail))

    def _refuse(self, answer: bytes) -> None:
        """End the connection; with an answer where the request that is at fault has had none.

        What still comes is thrown away until the caller or the next sweep closes: a close at once would reset the
        connection, and take the answer away from a caller who is still sending (RFC 9112, 9.6).
        """
        cycle = self.cycle
        self._refused = True
        if cycle is None or (cycle.response_complete if self._in_head else not cycle.response_started):
            self.transport.write(answer)
            if self.transport.can_write_eof():
                self.transport.write_eof()
        else:
            self.transport.close()


class HttpServer:
    """Serves an ASGI application on a socket that is bound already, until it is drained."""

    name: Final = "http"

    def __init__(self, app: ASGIApp, limits: Limits, listener: socket.socket, clock: Clock, drain_s: float) -> None:
        """`drain_s` is how long answers under way may take when it is drained."""
        self._clock = clock
        self._listener = listener
        self._server = uvicorn.Server(_config(app, limits, clock, drain_s))
        self._stopped = False

    async def start(self) -> None:
        """Listen."""
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[self._listener])

    async def run(self) -> None:
        """Serve until drained, then finish what is under way."""
        sweeping = asyncio.get_running_loop().create_task(self._sweep())
        try:
            await self._server.main_loop()
            await self.stop()
        finally:
            sweeping.cancel()

    def drain(self) -> None:
        """Take no new connections; `run` returns when the answers under way are given."""
        self._server.should_exit = True

    async def stop(self) -> None:
        """Close everything."""
        if self._server.started and not self._stopped:
            self._stopped = True
            await self._server.shutdown(sockets=[self._listener])

    async def _sweep(self) -> None:
        """Look once a second for requests that do not arrive: one timer for all connections costs the many nothing."""
        while True:
            await self._clock.sleep(_SWEEP_S)
            now = self._clock.monotonic()
            for connection in list(self._server.server_state.connections):
                cast(GuardedProtocol, connection).sweep(now)


def _config(app: ASGIApp, limits: Limits, clock: Clock, drain_s: float) -> uvicorn.Config:
    return uvicorn.Config(
        cast(Any, app),
        http=cast(Any, partial(GuardedProtocol, limits, clock)),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=max(1, round(limits.keep_alive_s)),
        timeout_graceful_shutdown=max(1, round(drain_s)),
    )
