"""What a process looks at every second, so that whoever asks for health or backlog is answered from memory."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bellhouse.observability.health import Finding, Health
from bellhouse.observability.merge import STALE_MS, SUFFIX
from bellhouse.observability.ticks import ticks
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import NOTIFICATION_TOPICS, Log
from bellhouse.ports.store import CatalogueStore, StoreUnavailable
from bellhouse.ports.telemetry import Telemetry
from bellhouse.web.health import Check

_BEAT_S: Final = 1.0
_NEVER: Final = -1


class Pulse:
    """Reads the backlog, sees whether the store answers and whether the other roles live, and names new types to
    the metrics. Service."""

    name = "pulse"

    def __init__(
        self,
        log: Log,
        catalogue: CatalogueStore,
        telemetry: Telemetry,
        clock: Clock,
        others: Sequence[str],
        metrics: Path,
    ) -> None:
        """`others` are the roles beside this one, which save their metrics in the folder `metrics`."""
        self._log = log
        self._catalogue = catalogue
        self._telemetry = telemetry
        self._clock = clock
        self._others = others
        self._metrics = metrics
        self._stop = asyncio.Event()
        self._backlog = 0
        self._trouble: str | None = None
        self._seen: dict[str, int] = {}
        self._health = Health()
        self._health.register("store", self._store)
        for role in others:
            self._health.register(role, lambda role=role: self._role(role))  # type: ignore[misc]  # a Check with a default

    def backlog(self) -> int:
        """How many accepted notifications were not routed yet when last looked."""
        return self._backlog

    async def readiness(self) -> list[Check]:
        """The checks of `/readyz`; what only slows the work down is named and is no reason to be taken out."""
        return [
            Check(result.name, result.status != "not_ready", result.reason) for result in self._health.ready().checks
        ]

    async def start(self) -> None:
        """Look for the first time."""
        await self.look()

    async def run(self) -> None:
        async for _ in ticks(self._clock, _BEAT_S, self._stop):
            await self.look()

    def drain(self) -> None:
        self._stop.set()

    async def stop(self) -> None:
        self._stop.set()

    async def look(self) -> None:
        """One beat."""
        try:
            lags = await self._log.lags()
            self._backlog = sum(lag.lag for lag in lags if lag.topic in NOTIFICATION_TOPICS)
            for tenant in await self._catalogue.tenants():
                self._telemetry.register("type", [kind.name for kind in await self._catalogue.types(tenant)])
            self._trouble = None
        except StoreUnavailable as down:
            self._trouble = f"{down.reason}: {down.remedy}"
        self._seen = {role: self._last_seen(role) for role in self._others}

    def _last_seen(self, role: str) -> int:
        try:
            return int((self._metrics / f"{role}{SUFFIX}").stat().st_mtime * 1000)
        except OSError:
            return _NEVER

    def _store(self) -> Finding:
        return Finding("ready") if self._trouble is None else Finding("not_ready", self._trouble)

    def _role(self, role: str) -> Finding:
        """A role that is away is being started again; meanwhile its work waits and nothing is refused."""
        seen = self._seen.get(role, _NEVER)
        if seen != _NEVER and self._clock.now() - seen <= STALE_MS:
            return Finding("ready")
        return Finding("degraded", f"role {role} has not been seen for {STALE_MS // 1000} s")
