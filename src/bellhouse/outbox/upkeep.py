"""The store's upkeep, round after round, by whoever holds its lease."""

from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.service import Beat
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.processes import UpkeepStore
from bellhouse.ports.telemetry import Lease, Logbook

_ROUND_S: Final = 2.0


class Upkeep(Beat):
    """Looks after the store every other second. Service; one in the whole house, by lease."""

    def __init__(self, store: UpkeepStore, lease: Lease, clock: Clock, logbook: Logbook, retention_days: int) -> None:
        super().__init__("upkeep", _ROUND_S, clock)
        self._store = store
        self._lease = lease
        self._logbook = logbook
        self._retention_days = retention_days

    async def beat(self) -> None:
        if await self._lease.held():
            for done in await self._store.upkeep(self._clock.now(), self._retention_days):
                self._logbook.note("info", f"Upkeep: {done}")

    def missed(self, down: StoreUnavailable | LogUnavailable) -> None:
        self._logbook.note("error", "The store cannot be looked after", reason=down.reason, error=str(down))
