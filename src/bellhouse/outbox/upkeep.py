"""The store's upkeep, round after round, by whoever holds its lease."""

from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.store import StoreUnavailable, UpkeepStore
from bellhouse.ports.telemetry import Lease, Logbook

_ROUND_S: Final = 2.0


class Upkeep:
    """Looks after the store every other second. Service; one in the whole house, by lease."""

    name = "upkeep"

    def __init__(self, store: UpkeepStore, lease: Lease, clock: Clock, logbook: Logbook, retention_days: int) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._logbook = logbook
        self._retention_days = retention_days
        self._draining = False

    async def start(self) -> None:
        """Nothing to prepare."""

    async def run(self) -> None:
        while not self._draining:
            try:
                if await self._lease.held():
                    for done in await self._store.upkeep(self._clock.now(), self._retention_days):
                        self._logbook.note("info", f"Upkeep: {done}")
            except StoreUnavailable as down:
                self._logbook.note("error", "The store cannot be looked after", reason=down.reason, error=str(down))
            await self._clock.sleep(_ROUND_S)

    def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        """Nothing to close."""
