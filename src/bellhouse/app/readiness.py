"""What `/readyz` checks, and what ingest's steps are decided by: the backlog, and what is free on the disk."""

import math
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.app.locks import holder
from bellhouse.app.settings import Settings
from bellhouse.ingest.degrade import Volume, Waiting
from bellhouse.ingest.steps import Steps
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import Log
from bellhouse.ports.service import Beat
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.web.health import Check, Readiness

_LOOK_S: Final = 0.5
_COST: Final = 10
"""A count that takes long is made less often: it may cost a tenth of the time."""
_STORE_LOOK_S: Final = 1.0


def backlog_of_log(log: Log) -> Callable[[], Awaitable[Waiting]]:
    """How many records wait in a log that is part of the store."""

    async def waiting() -> Waiting:
        return Waiting(sum(lag.lag for lag in await log.lags()))

    return waiting


def volume_of(folder: Path) -> Callable[[], Volume | None]:
    """What is free on the volume of a folder; None while it cannot be seen."""

    def volume() -> Volume | None:
        try:
            seen = os.statvfs(folder)
        except OSError:
            return None
        return Volume(seen.f_bavail * seen.f_frsize, seen.f_blocks * seen.f_frsize)

    return volume


class Backlog(Beat):
    """How many records wait, looked up twice a second or, where counting takes long, less often. Service."""

    def __init__(self, count: Callable[[], Awaitable[Waiting]], clock: Clock) -> None:
        super().__init__("backlog", _LOOK_S, clock)
        self._count = count
        self.waiting = Waiting()

    async def beat(self) -> None:
        self.waiting = await self._count()

    def rest_s(self, took_s: float) -> float:
        return max(_LOOK_S, took_s * _COST)


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


def with_accepting(readiness: Readiness, steps: Steps) -> Readiness:
    """The checks, and the step that ingest stands on.

    No step fails the check. What makes the step is shared by all processes, so that another one would refuse as well;
    and callbacks, reading and the operator's acts, with which the backlog goes down again, come in by the same door.
    """

    async def checks() -> Sequence[Check]:
        detail = f"{steps.name}: {steps.why}" if steps.number else steps.name
        return [*await readiness(), Check("accepting", True, detail)]

    return checks


def _store_check(store: SqliteStore) -> Check:
    try:
        store.database.probe()
    except StoreUnavailable as down:
        return Check("store", False, f"{down.reason}: {down.remedy}")
    return Check("store", True)
