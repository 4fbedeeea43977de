"""Many delayed actions behind a single event loop timer, in slots of one millisecond."""

import asyncio
import heapq
import sys
import traceback
from collections.abc import Callable


class Wheel:
    """Runs actions after a delay; thousands pending cost one loop timer and one list entry each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[tuple[Callable[..., object], tuple[object, ...]]]] = {}
        self._ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0

    def __len__(self) -> int:
        return sum(len(slot) for slot in self._slots.values())

    def later(self, delay_ms: float, action: Callable[..., object], *args: object) -> None:
        """Call `action(*args)` after `delay_ms` milliseconds, never earlier."""
        tick = int(self._loop.time() * 1000 + delay_ms) + 1
        slot = self._slots.get(tick)
        if slot is None:
            slot = self._slots[tick] = []
            heapq.heappush(self._ticks, tick)
            if self._timer is None or tick < self._armed_for:
                self._arm(tick)
        slot.append((action, args))

    def clear(self) -> None:
        """Forget everything that is still waiting."""
        self._slots.clear()
        self._ticks.clear()

    def _arm(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = tick
        self._timer = self._loop.call_at(tick / 1000, self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = self._loop.time() * 1000
        while self._ticks and self._ticks[0] <= now:
            for action, args in self._slots.pop(heapq.heappop(self._ticks)):
                run_safely(action, *args)
        # An action may have armed the timer for something later than what waits already.
        if self._ticks and (self._timer is None or self._ticks[0] < self._armed_for):
            self._arm(self._ticks[0])


def run_safely(action: Callable[..., object], *args: object) -> None:
    """Call and, on a fault of our own, report it on stderr: one bad call must not stop the others."""
    try:
        action(*args)
    except Exception:
        traceback.print_exc(file=sys.stderr)
