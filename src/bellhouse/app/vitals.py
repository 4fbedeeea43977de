"""What every process tells of its own footing: whether it reaches what it stands on, its disk, and its clock."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from bellhouse.app.readiness import volume_of
from bellhouse.observability.skew import Skew
from bellhouse.ports.cache import CacheUnavailable
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.service import Beat
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import Dependency, Telemetry

EVERY_S: Final = 5.0
_PATIENCE_S: Final = 4.0
"""What has not answered within it is down."""

Probe = Callable[[], Awaitable[None]]
"""Returns where the dependency answers; raises its Unavailable where it does not."""


class Vitals(Beat):
    """Sets a process's own gauges every few seconds. Service."""

    def __init__(
        self,
        probes: Mapping[Dependency, Probe],
        folder: Path,
        skew: Skew,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        """`folder`: the data folder, of whose volume the disk's figures are."""
        super().__init__("vitals", EVERY_S, clock)
        self._probes = probes
        self._volume = volume_of(folder)
        self._skew = skew
        self._telemetry = telemetry

    async def beat(self) -> None:
        await asyncio.gather(*(self._look(name, probe) for name, probe in self._probes.items()))
        volume = self._volume()
        if volume is not None:
            self._telemetry.disk(volume.free, volume.size)
        self._telemetry.clock_skew(self._skew.seconds(self._clock.monotonic()))

    async def _look(self, dependency: Dependency, probe: Probe) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await probe()
        except (StoreUnavailable, LogUnavailable, CacheUnavailable, TimeoutError):
            self._telemetry.depends(dependency, False)
        else:
            self._telemetry.depends(dependency, True)
