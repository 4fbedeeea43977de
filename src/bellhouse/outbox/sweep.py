"""Keeps the log short: deletes the records that every group has finished."""

from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.log import Log
from bellhouse.ports.store import StoreUnavailable
from bellhouse.ports.telemetry import Logbook

_BATCH: Final = 2_000
_REST_S: Final = 1.0


class LogSweeper:
    """Trims in small transactions, so that nobody waits for it. Service; one in the whole house."""

    name = "sweep"

    def __init__(self, log: Log, clock: Clock, logbook: Logbook) -> None:
        self._log = log
        self._clock = clock
        self._logbook = logbook
        self._draining = False

    async def start(self) -> None:
        """Nothing to prepare."""

    async def run(self) -> None:
        while not self._draining:
            trimmed = 0
            try:
                trimmed = await self._log.trim(_BATCH)
            except StoreUnavailable as down:
                self._logbook.note("error", "The log cannot be trimmed", reason=down.reason, error=str(down))
            await self._clock.sleep(0.05 if trimmed >= _BATCH else _REST_S)

    def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        """Nothing to close."""
