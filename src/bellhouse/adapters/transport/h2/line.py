"""One TLS connection: a session's bytes on an asyncio transport."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from bellhouse.adapters.transport.h2 import frames
from bellhouse.adapters.transport.h2.call import Call
from bellhouse.adapters.transport.h2.session import Session
from bellhouse.ports.provider import NoAnswer

PATIENCE: Final = 10_000
"""How many frames may wait for a peer that makes us answer but does not read."""


class Line(asyncio.Protocol):
    """A connection. `turn` is called after each event that may have changed what can be sent."""

    def __init__(self, session: Session, monotonic: Callable[[], float], turn: Callable[["Line"], None]) -> None:
        loop = asyncio.get_running_loop()
        self.session = session
        self.greeted: asyncio.Future[str | None] = loop.create_future()
        """Done when requests may be written (None), or when they never will (the reason)."""
        self.gone: asyncio.Future[None] = loop.create_future()
        self.counted = False
        """Whether its loss has been noticed."""
        self.proved = False
        """Whether its first answer has been noticed."""
        self._monotonic = monotonic
        self._turn = turn
        self._wire: asyncio.Transport | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up; the peer must have chosen h2."""
        self._wire = cast(asyncio.Transport, transport)
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        if tls.selected_alpn_protocol() != "h2":
            self.drop("the peer does not speak HTTP/2")
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Read frames, then send what has become possible, in one write."""
        self.session.receive(data, self._monotonic())
        if self.session.ready and not self.greeted.done():
            self.greeted.set_result(None)
        self._turn(self)

    def pause_writing(self) -> None:
        """The peer reads too slowly: nothing more is handed over, so that it stays in the queue, unsent."""
        self._paused = True

    def resume_writing(self) -> None:
        """The peer has read."""
        self._paused = False
        self._turn(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end; what was written and not answered is unknown."""
        self._lose(f"the connection was lost: {exc}" if exc else "the peer closed the connection", "reset")
        self._wire = None
        if not self.gone.done():
            self.gone.set_result(None)
        self._turn(self)

    def push(self, queue: deque[Call], now: float) -> None:
        """Write calls from the queue while session and peer take them."""
        session = self.session
        while queue and session.usable and not self._paused:
            before = len(session.out)
            session.send(queue, now)
            if len(session.out) == before:
                break
            self.flush()

    def flush(self) -> None:
        """Write what the session wants written, at once; close a session that is over."""
        session, wire = self.session, self._wire
        if wire is None:
            session.out.clear()
            return
        if session.out and not (self._paused and session.dead is None):
            wire.write(b"".join(session.out))
            session.out.clear()
        elif len(session.out) > PATIENCE:
            self.drop("the peer does not read")
        if session.draining and session.in_flight == 0 and session.dead is None:
            self.leave("done")
        elif session.dead is not None and not wire.is_closing():
            self._settle_greeting(session.dead)
            wire.close()

    def leave(self, reason: str) -> None:
        """Say GOAWAY and close; what was written and not answered is unknown."""
        self.session.leave(frames.NO_ERROR, "", NoAnswer(reason, "closed"), self._monotonic())
        self.flush()

    def drop(self, reason: str) -> None:
        """Close at once, without a word."""
        self._lose(reason, "reset")
        if self._wire is not None:
            self._wire.abort()

    def _lose(self, reason: str, code: str) -> None:
        self.session.lost(reason, NoAnswer(reason, code), self._monotonic())
        self._settle_greeting(reason)

    def _settle_greeting(self, reason: str) -> None:
        if not self.greeted.done():
            self.greeted.set_result(reason)
