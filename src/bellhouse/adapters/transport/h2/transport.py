"""The transport port over HTTP/2: a queue, a few connections, and one watch over all deadlines."""

import asyncio
import contextlib
import random
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from bellhouse.adapters.transport.h2.call import Batch, Call, Report
from bellhouse.adapters.transport.h2.form import Forms
from bellhouse.adapters.transport.h2.line import Line
from bellhouse.adapters.transport.h2.session import Session
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import NotSent, Request

TICK_S: Final = 0.05
"""How often deadlines are looked at while there are any; a timeout is late by this at the most."""
BACKOFF_S: Final = 0.1
LONGEST_BACKOFF_S: Final = 5.0
FAREWELL_S: Final = 0.5
"""How long `close` waits for TLS to end before it cuts the connection."""


class H2Transport:
    """HTTP/2 over TLS to one `https` base URL, whose path, if any, comes before that of each request.

    `ca_pem` is trusted beside the system's authorities. `connections` bounds how many are used at once: another is
    opened when the peer's limit of streams is reached on all. `streams` bounds the streams of one connection where
    the peer does not. `queue_limit` bounds the requests that wait for a stream; beyond it they are not sent, `pool`.

    Codes of NotSent: `connect` (DNS, TCP, TLS, no HTTP/2), `pool` (no stream was free in time), `refused`
    (REFUSED_STREAM), `goaway`, `request` (a path or header that may not be written), `closed`. Codes of NoAnswer:
    `timeout`, `reset` (the stream or the connection), `protocol`, `too_large` (a body of more than 1 MiB), `closed`.

    A call's duration counts from the moment it was written; for one never written, from the start of its exchange.
    Raises ValueError for a base URL that is not https, ssl.SSLError for authorities that cannot be read.
    """

    def __init__(
        self,
        base_url: str,
        clock: Clock,
        *,
        ca_pem: bytes | None = None,
        connections: int = 4,
        streams: int = 8_192,
        connect_timeout_s: float = 5.0,
        ping_s: float = 20.0,
        queue_limit: int = 65_536,
        user_agent: str = "bellhouse",
    ) -> None:
        url = urlsplit(base_url)
        if url.scheme != "https" or not url.hostname:
            raise ValueError(f"not an https URL: {base_url}")
        self._host = url.hostname
        self._port = url.port or 443
        self._forms = Forms(url.netloc.rpartition("@")[2], url.path.rstrip("/"), user_agent)
        self._tls = _tls(ca_pem)
        self._clock = clock
        self._connections = connections
        self._streams = streams
        self._connect_timeout_s = connect_timeout_s
        self._ping_s = ping_s
        self._queue_limit = queue_limit
        self._queue: deque[Call] = deque()
        self._open: set[Batch] = set()
        self._soonest = float("inf")
        self._lines: list[Line] = []
        self._failures = 0
        self._last_failure: str | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._pumping = False
        self._closed = False

    async def exchange(self, requests: Sequence[Request], report: Report, timeout_s: float) -> None:
        """Write the requests, each at most once, and report each outcome once.

        Raises only what `report` itself raised, when all are reported. A cancelled exchange reports nothing more.
        """
        if not requests:
            return
        now = self._clock.monotonic()
        done = asyncio.get_running_loop().create_future()
        batch = Batch(report, len(requests), done, now, now + timeout_s)
        self._open.add(batch)
        self._soonest = min(self._soonest, batch.deadline)
        try:
            self._admit(requests, batch, now)
            self._pump_soon()
            if not done.done():
                self._watch()
                await done
        except asyncio.CancelledError:
            self._abandon(batch)
            raise
        finally:
            self._open.discard(batch)
        if batch.error is not None:
            raise batch.error

    async def close(self) -> None:
        """Say GOAWAY and close. Open exchanges end: not sent what was queued, no answer to what was written."""
        self._closed = True
        for task in (self._dialing, self._watching, self._keeping):
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._fail_queue(NotSent("the transport is closed", "closed"))
        lines = list(self._lines)
        for line in lines:
            line.leave("the transport was closed")
        if lines:
            await asyncio.wait([line.gone for line in lines], timeout=FAREWELL_S)
        for line in self._lines[:]:
            line.drop("the transport was closed")
        if lines:
            await asyncio.wait([line.gone for line in lines], timeout=FAREWELL_S)

    def _admit(self, requests: Sequence[Request], batch: Batch, now: float) -> None:
        """Put the requests into the queue; what can never be written is told at once."""
        queue, prepare = self._queue, self._forms.prepare
        room = self._queue_limit - len(queue)
        last: Request | None = None
        path, form = b"", None
        for index, request in enumerate(requests):
            if (
                last is None
                or form is None
                or request.headers is not last.headers
                or request.path != last.path
                or request.method != last.method
            ):
                path, form = prepare(request)
                last = request
            call = Call(batch, index, path, form, request.body, now)
            if form.refused is None and index < room and not self._closed:
                queue.append(call)
            else:
                call.settle(self._refusal(form.refused), now)

    def _refusal(self, flaw: str | None) -> NotSent:
        if flaw is not None:
            return NotSent(flaw, "request")
        if self._closed:
            return NotSent("the transport is closed", "closed")
        return NotSent("too many requests wait for a stream", "pool")

    # Connections.

    def _pump_soon(self) -> None:
        """Let the exchanges that begin in the same turn of the loop share one write."""
        if self._queue and not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump_now)

    def _pump_now(self) -> None:
        self._pumping = False
        self._pump(self._clock.monotonic())

    def _pump(self, now: float) -> None:
        """Write what can be written, and open a connection where that would help."""
        if not self._queue:
            return
        for line in self._lines:
            line.push(self._queue, now)
            if not self._queue:
                return
        live = [line for line in self._lines if line.session.usable]
        wanted = len(live) < self._connections and all(line.session.full for line in live)
        if wanted and self._dialing is None and len(self._lines) < 2 * self._connections and not self._closed:
            self._dialing = asyncio.create_task(self._dial(), name="h2-dial")

    def _turn(self, line: Line) -> None:
        """A connection has news: more may fit, or it is over."""
        session = line.session
        if (session.draining or session.dead is not None) and not line.counted:
            line.counted = True
            self._failures += 0 if session.answered else 1
        if session.answered and not line.proved:
            line.proved = True
            self._failures = 0
        if line.gone.done() and line in self._lines:
            self._lines.remove(line)
        if self._queue:
            self._pump(self._clock.monotonic())
        line.flush()

    async def _dial(self) -> None:
        """Open one connection; where there is none at all and it fails, nothing that waits will be sent."""
        try:
            if self._failures:
                longest = min(LONGEST_BACKOFF_S, BACKOFF_S * 2 ** min(self._failures - 1, 10))
                await self._clock.sleep(longest * random.uniform(0.5, 1.0))
            reason = await self._connect()
        finally:
            self._dialing = None
        if reason is not None and not any(line.session.usable for line in self._lines):
            self._fail_queue(NotSent(reason, "connect"))
        self._pump(self._clock.monotonic())

    async def _connect(self) -> str | None:
        """A connection that may be used, or why there is none."""
        line = Line(Session(self._streams), self._clock.monotonic, self._turn)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await asyncio.get_running_loop().create_connection(
                    lambda: line,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host,
                    ssl_handshake_timeout=self._connect_timeout_s,
                    ssl_shutdown_timeout=FAREWELL_S,
                )
                if not line.gone.done():
                    self._lines.append(line)
                reason = await line.greeted
        except TimeoutError:
            reason = f"no connection to {self._host}:{self._port} within {self._connect_timeout_s:g} s"
        except (OSError, ValueError) as error:
            reason = f"no connection to {self._host}:{self._port}: {error}"
        if reason is None:
            self._keep()
        else:
            self._failures += 0 if line.counted else 1
            line.counted = True
            line.drop(reason)
        self._last_failure = reason
        return reason

    def _keep(self) -> None:
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_alive(), name="h2-keep")

    async def _keep_alive(self) -> None:
        """Ask silent connections whether they live, and drop those that do not say so."""
        while self._lines:
            await self._clock.sleep(self._ping_s)
            now = self._clock.monotonic()
            for line in self._lines[:]:
                if line.session.pinged:
                    line.drop("the peer is silent")
                elif now - line.session.heard_at >= self._ping_s:
                    line.session.ping()
                    line.flush()

    # Deadlines.

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch_deadlines(), name="h2-watch")

    async def _watch_deadlines(self) -> None:
        while self._open:
            await self._clock.sleep(TICK_S)
            now = self._clock.monotonic()
            if now >= self._soonest:
                self._expire(now)

    def _expire(self, now: float) -> None:
        """End what is past its deadline, in the queue and on the connections."""
        reason = self._last_failure
        for call in self._queue:
            if call.batch.deadline <= now:
                call.settle(NotSent(reason or "no stream was free in time", "connect" if reason else "pool"), now)
        self._purge()
        for line in self._lines[:]:
            line.session.expire(now)
            self._turn(line)
        self._soonest = min((batch.deadline for batch in self._open if batch.deadline > now), default=float("inf"))

    def _abandon(self, batch: Batch) -> None:
        for call in self._queue:
            call.settled = call.settled or call.batch is batch
        self._purge()
        for line in self._lines[:]:
            line.session.abandon(batch)
            self._turn(line)

    def _fail_queue(self, outcome: NotSent) -> None:
        now = self._clock.monotonic()
        calls, self._queue = self._queue, deque()
        for call in calls:
            call.settle(outcome, now)

    def _purge(self) -> None:
        self._queue = deque(call for call in self._queue if not call.settled)


def _tls(ca_pem: bytes | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_pem is not None:
        context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    context.set_alpn_protocols(["h2"])
    return context
