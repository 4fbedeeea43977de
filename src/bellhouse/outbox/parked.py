"""Releases what an outage has parked: one delivery as a probe, then a ramp, never a flood."""

from typing import Final, Protocol

from bellhouse.domain.words import Channel
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.service import Beat
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.waiting import DueStore
from bellhouse.ports.telemetry import Lease, Logbook

_TICK_S: Final = 0.25
_FULL_RATE: Final = 500
"""Deliveries a tick, channel and priority once the ramp is over."""


class Recovery(Protocol):
    """How far a channel has recovered."""

    async def share(self, channel: Channel) -> float:
        """From 0 (every provider is out) to 1 (nothing is held back); in between while a recovery ramps up. A
        channel whose breaker may send its probe answers a very small share."""
        ...


class ParkedReleaser(Beat):
    """Looks at what is parked a few times a second. Service; one in the whole house, by lease."""

    def __init__(
        self,
        store: DueStore,
        recovery: Recovery,
        lease: Lease,
        clock: Clock,
        logbook: Logbook,
        name: str = "parked",
    ) -> None:
        super().__init__(name, _TICK_S, clock)
        self._store = store
        self._recovery = recovery
        self._lease = lease
        self._logbook = logbook

    async def beat(self) -> None:
        if await self._lease.held():
            await self.release()

    def missed(self, down: StoreUnavailable | LogUnavailable) -> None:
        where = "store" if isinstance(down, StoreUnavailable) else "log"
        self._logbook.note("error", f"Parked rows wait for the {where}", reason=down.reason, error=str(down))

    async def release(self) -> int:
        """One tick: the critical first, each channel by its share; answers how many went. What cannot go because its
        log is away waits for another tick, and holds up no other."""
        released = 0
        away: LogUnavailable | None = None
        for channel, priority in await self._store.parked():
            share = await self._recovery.share(channel)
            if share > 0:
                limit = max(1, int(_FULL_RATE * share))
                try:
                    released += await self._store.release_parked(channel, priority, limit)
                except LogUnavailable as down:
                    away = down
        if away is not None:
            self.missed(away)
        return released
