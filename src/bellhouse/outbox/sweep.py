"""Keeps the store short: deletes log records that every group has finished, and keys that have lived their day."""

from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.log import Log
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.ingest import IngestStore
from bellhouse.ports.telemetry import Lease, Logbook

_BATCH: Final = 2_000
_REST_S: Final = 1.0
_BUSY_S: Final = 0.05


class Sweeper:
    """Trims in small transactions, so that nobody waits for it. Service; one in the whole house, by lease."""

    name = "sweep"

    def __init__(self, log: Log, ingest: IngestStore, lease: Lease, clock: Clock, logbook: Logbook) -> None:
        self._log = log
        self._ingest = ingest
        self._lease = lease
        self._clock = clock
        self._logbook = logbook
        self._draining = False

    async def start(self) -> None:
        """Nothing to prepare."""

    async def run(self) -> None:
        while not self._draining:
            deleted = 0
            try:
                if await self._lease.held():
                    deleted = await self._log.trim(_BATCH) + await self._ingest.forget_keys(self._clock.now(), _BATCH)
            except StoreUnavailable as down:
                self._logbook.note("error", "The store cannot be swept", reason=down.reason, error=str(down))
            await self._clock.sleep(_BUSY_S if deleted >= _BATCH else _REST_S)

    def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        """Nothing to close."""
