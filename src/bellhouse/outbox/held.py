"""Lets go what was held under a brake that is no longer pulled: in a ramp, beside what is new, never as a flood."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from bellhouse.domain.words import Channel
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import Held, HeldStore
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.service import Beat
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import Lease, Logbook

_TICK_S: Final = 0.25
_FULL_RATE: Final = 500
"""Deliveries a tick, brake, channel and priority once the ramp is over."""
_FIRST: Final = 25
"""Of the first tick; each further one lets twice as many go."""
_SHARE: Final = 0.5
"""The part of a channel's rate at which what was held comes back; the other is for what is new meanwhile."""


class HeldReleaser(Beat):
    """Looks at what is held a few times a second. Service; one in the whole house, by lease."""

    def __init__(
        self,
        store: HeldStore,
        is_pulled: Callable[[str], bool],
        rate_of: Callable[[Channel], float | None],
        lease: Lease,
        clock: Clock,
        logbook: Logbook,
    ) -> None:
        """`is_pulled` answers whether the brake of a scope is pulled; `rate_of` what a channel may send a second, None
        where that has no limit."""
        super().__init__("held", _TICK_S, clock)
        self._store = store
        self._is_pulled = is_pulled
        self._rate_of = rate_of
        self._lease = lease
        self._logbook = logbook
        self._ramp: dict[Held, int] = {}
        """What the next tick may let go of each."""

    async def beat(self) -> None:
        if await self._lease.held():
            await self.release()

    def missed(self, down: StoreUnavailable | LogUnavailable) -> None:
        where = "store" if isinstance(down, StoreUnavailable) else "log"
        self._logbook.note("error", f"Held rows wait for the {where}", reason=down.reason, error=str(down))

    async def release(self) -> int:
        """One tick; answers how many rows were looked at. What cannot go because its log is away waits for another
        tick, and holds up no other."""
        free = [held for held in await self._store.held() if not self._is_pulled(held.scope)]
        self._ramp = {held: self._ramp.get(held, _FIRST) for held in free}
        sharers = Counter(held.channel for held in free)
        looked, away = 0, None
        for held in free:
            try:
                looked += await self._store.release_held(held, self._limit(held, sharers[held.channel]))
            except LogUnavailable as down:
                away = down
            else:
                self._ramp[held] = min(_FULL_RATE, 2 * self._ramp[held])
        if away is not None:
            self.missed(away)
        return looked

    def _limit(self, held: Held, sharers: int) -> int:
        limit = self._ramp[held]
        rate = self._rate_of(held.channel)
        return limit if rate is None else max(1, min(limit, int(rate * _TICK_S * _SHARE / sharers)))
