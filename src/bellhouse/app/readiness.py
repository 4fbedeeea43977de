"""What `/readyz` checks, and the backlog that ingest protects."""

import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.app.locks import holder
from bellhouse.app.settings import Settings
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import Log
from bellhouse.ports.store import StoreUnavailable
from bellhouse.web.health import Check, Readiness

_LOOK_S: Final = 0.5
_STORE_LOOK_S: Final = 1.0


def backlog_of_log(log: Log) -> Callable[[], Awaitable[int]]:
    """How many records wait in a log that is part of the store."""

    async def waiting() -> int:
        return sum(lag.lag for lag in await log.lags())

    return waiting


class Backlog:
    """How many records wait, looked up twice a second. Service."""

    name = "backlog"

    def __init__(self, count: Callable[[], Awaitable[int]], clock: Clock) -> None:
        self._count = count
        self._clock = clock
        self._draining = False
        self.waiting = 0

    async def start(self) -> None:
        """Nothing to prepare."""

    async def run(self) -> None:
        while not self._draining:
            with contextlib.suppress(StoreUnavailable):
                self.waiting = await self._count()
            await self._clock.sleep(_LOOK_S)

    def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        """Nothing to close."""


def readiness_of(store: SqliteStore, settings: Settings, role: str, clock: Clock) -> Readiness:
    """The checks of the process that serves the API."""

    known = Check("store", True)
    looked_at = -math.inf

    async def readiness() -> Sequence[Check]:
        nonlocal known, looked_at
        # The check writes a row; whoever asks more often than once a second gets the last answer.
        if clock.monotonic() - looked_at >= _STORE_LOOK_S:
            known, looked_at = _store_check(store), clock.monotonic()
        checks = [known]
        if role == "api":
            alive = holder(settings.data / "lock.bulk") is not None
            detail = "" if alive else "the process that delivers is being started again; what is accepted waits"
            # Accepting goes on without it, so no load balancer shall turn callers away.
            checks.append(Check("bulk", True, detail))
        return checks

    return readiness


def _store_check(store: SqliteStore) -> Check:
    try:
        store.database.probe()
    except StoreUnavailable as down:
        return Check("store", False, f"{down.reason}: {down.remedy}")
    return Check("store", True)
