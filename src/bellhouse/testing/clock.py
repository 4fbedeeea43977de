"""A clock moved by hand: nothing waits, and whoever sleeps wakes in the order of the moments slept for."""

import asyncio
import heapq
from itertools import count
from typing import Final

START: Final = 1_795_000_000_000
"""Where a clock begins unless told otherwise: in November 2026 (ms since the epoch)."""

_TURNS: Final = 10
"""How often the event loop turns after a step: enough for a sleeper to go on to its next sleep."""


class ManualClock:
    """A Clock whose time stands still until a test moves it."""

    def __init__(self, now: int = START) -> None:
        self._wall_ms = float(now)
        self._monotonic = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return int(self._wall_ms)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been moved by `seconds`; a sleep of nothing lets others go first."""
        if seconds <= 0:
            await _turn(1)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), woken))
        await woken

    def set(self, now: int) -> None:
        """Set the wall clock alone, forward or back, as an operator or NTP does: sleepers do not notice."""
        self._wall_ms = float(now)

    async def advance(self, seconds: float) -> None:
        """Move both clocks by `seconds`, stopping at each sleeper's moment and letting it work before going on."""
        end = self._monotonic + seconds
        await _turn(_TURNS)
        while self._sleepers and self._sleepers[0][0] <= end:
            moment, _, woken = heapq.heappop(self._sleepers)
            self._move_to(moment)
            if not woken.done():
                woken.set_result(None)
                await _turn(_TURNS)
        self._move_to(end)

    @property
    def sleeping(self) -> int:
        """How many sleepers wait for the clock."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def _move_to(self, moment: float) -> None:
        self._wall_ms += (moment - self._monotonic) * 1000
        self._monotonic = moment


async def _turn(times: int) -> None:
    """Let the event loop run everything that is ready, `times` times over."""
    for _ in range(times):
        await asyncio.sleep(0)  # noqa: TID251  # a sleep of zero waits for nothing: it lets others run
