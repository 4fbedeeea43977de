"""One request on its way, and the batch it came with."""

import asyncio
from collections.abc import Callable

import msgspec

from bellhouse.adapters.transport.h2.decoder import Head
from bellhouse.adapters.transport.h2.encoder import Form
from bellhouse.ports.provider import Exchange

Report = Callable[[int, Exchange, float], None]


class Batch:
    """The requests of one `exchange`: who is told, until when, and how many are still open."""

    __slots__ = ("deadline", "done", "error", "left", "report", "started")

    def __init__(
        self, report: Report, left: int, done: "asyncio.Future[None]", started: float, deadline: float
    ) -> None:
        self.report = report
        self.left = left
        self.done = done
        self.started = started
        self.deadline = deadline
        self.error: Exception | None = None

    def settle(self, index: int, outcome: Exchange, seconds: float) -> None:
        """Report one outcome. What the caller's own callback raises is the caller's, not the network's: kept for it."""
        try:
            self.report(index, outcome, seconds)
        except Exception as error:
            self.error = self.error or error
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


class Call(msgspec.Struct, gc=False):
    """One request, from the queue to its outcome."""

    batch: Batch
    index: int
    path: bytes
    form: Form
    body: bytes
    since: float
    """When it was written; before that, when its exchange began. Monotonic seconds."""
    settled: bool = False
    head: Head | None = None
    data: bytes | bytearray = b""
    held: int = 0
    """Bytes of the connection's receive window that wait here for the end of the response."""

    def settle(self, outcome: Exchange, now: float) -> None:
        """Report the outcome, unless that was done or its exchange was cancelled."""
        if not self.settled:
            self.settled = True
            self.batch.settle(self.index, outcome, now - self.since)
