"""Releases due rows to the log when their moment has come."""

from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.doorbell import DUE, Doorbell
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.waiting import DueStore
from bellhouse.ports.telemetry import Logbook

_LONGEST_WAIT_S: Final = 1.0
"""A wall clock that is set forward, or a lost ring, costs at most this."""
_AWAY_S: Final = 0.5


class DueReleaser:
    """Sleeps until the next due row's moment, then appends what is due. Service; of several each takes other rows."""

    def __init__(
        self,
        store: DueStore,
        doorbell: Doorbell,
        clock: Clock,
        logbook: Logbook,
        batch: int = 300,
        name: str = "due",
    ) -> None:
        self.name = name
        self._store = store
        self._doorbell = doorbell
        self._clock = clock
        self._logbook = logbook
        self._batch = batch
        self._draining = False

    async def start(self) -> None:
        """Nothing to prepare."""

    async def run(self) -> None:
        while not self._draining:
            now = self._clock.now()
            try:
                if await self._store.release_due(now, self._batch) == 0:
                    await self._doorbell.wait(DUE, await self._pause(now))
            except StoreUnavailable as down:
                self._logbook.note("error", "Due rows wait for the store", reason=down.reason, error=str(down))
                await self._clock.sleep(_AWAY_S)
            except LogUnavailable as down:
                self._logbook.note("error", "Due rows wait for the log", reason=down.reason, error=str(down))
                await self._clock.sleep(_AWAY_S)
            await self._clock.sleep(0)

    async def _pause(self, looked_at: int) -> float:
        # What was due then and is there still is in another's hands, or another's to release.
        next_due = await self._store.next_due(looked_at)
        if next_due is None:
            return _LONGEST_WAIT_S
        return min(_LONGEST_WAIT_S, max(0.001, (next_due - self._clock.now()) / 1000))

    def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        """Nothing to close."""
