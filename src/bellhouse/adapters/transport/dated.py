"""A transport that looks at the `Date` of answers now and then, to learn how far our clock is from others."""

from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Exchange, Request, Response, Transport

LOOK_S: Final = 1.0
_HALF_SECOND_MS: Final = 500
"""A Date names the second that has begun: half of it has gone on average."""

Heard = Callable[[str, int, int, int, float], None]
"""The source, when it was asked and when it answered by our clock, its own time (ms), and the monotonic moment (s)."""


class DatedTransport:
    """Another transport, of which one answer a second is looked at; all others pass untouched."""

    def __init__(self, inner: Transport, source: str, clock: Clock, heard: Heard) -> None:
        """`source` names whose clock it is."""
        self._inner = inner
        self._source = source
        self._clock = clock
        self._heard = heard
        self._next = 0.0

    async def exchange(
        self, requests: Sequence[Request], report: Callable[[int, Exchange, float], None], timeout_s: float
    ) -> None:
        """Send all; see the port."""
        if self._clock.monotonic() < self._next:
            await self._inner.exchange(requests, report, timeout_s)
            return

        def looking(index: int, outcome: Exchange, seconds: float) -> None:
            if isinstance(outcome, Response) and self._clock.monotonic() >= self._next:
                self._look(outcome, seconds)
            report(index, outcome, seconds)

        await self._inner.exchange(requests, looking, timeout_s)

    async def close(self) -> None:
        """Close the inner one."""
        await self._inner.close()

    def _look(self, answer: Response, seconds: float) -> None:
        date = answer.headers.get("date")
        now_s = self._clock.monotonic()
        try:
            theirs = round(parsedate_to_datetime(date or "").timestamp() * 1000) + _HALF_SECOND_MS
        except (ValueError, OverflowError):
            return
        self._next = now_s + LOOK_S
        now = self._clock.now()
        self._heard(self._source, now - round(seconds * 1000), now, theirs, now_s)
