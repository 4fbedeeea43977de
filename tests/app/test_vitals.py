"""A process tells what it reaches, what its disk has, and how far its clock is off."""

import asyncio
from pathlib import Path

from bellhouse.app.vitals import EVERY_S, Vitals
from bellhouse.observability.skew import Skew
from bellhouse.ports.cache import CacheUnavailable
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import Dependency, NullTelemetry
from bellhouse.testing.clock import START, ManualClock


class Told(NullTelemetry):
    """What was told last."""

    def __init__(self) -> None:
        self.up: dict[Dependency, bool] = {}
        self.volume: tuple[int, int] | None = None
        self.skew: float | None = -1.0

    def depends(self, dependency: Dependency, up: bool) -> None:  # type: ignore[override]  # the null one takes all
        self.up[dependency] = up

    def disk(self, free_bytes: int, size_bytes: int) -> None:  # type: ignore[override]  # as above
        self.volume = free_bytes, size_bytes

    def clock_skew(self, seconds: float | None) -> None:  # type: ignore[override]  # as above
        self.skew = seconds


async def test_each_dependency_is_looked_at_by_itself_and_comes_back(tmp_path: Path) -> None:
    clock, told = ManualClock(), Told()
    broken: set[str] = {"store", "cache"}

    async def store() -> None:
        if "store" in broken:
            raise StoreUnavailable("io", "wait")

    async def cache() -> None:
        if "cache" in broken:
            raise CacheUnavailable

    async def log() -> None:
        return None

    vitals = Vitals({"store": store, "log": log, "cache": cache}, tmp_path, Skew(), told, clock)
    running = asyncio.create_task(vitals.run())
    await clock.advance(0.1)
    assert told.up == {"store": False, "log": True, "cache": False}
    broken.clear()
    await clock.advance(EVERY_S)
    assert told.up == {"store": True, "log": True, "cache": True}
    assert told.volume is not None
    assert 0 < told.volume[0] <= told.volume[1]
    vitals.drain()
    await clock.advance(EVERY_S)
    await running


async def test_a_clock_that_was_set_ahead_shows_and_one_that_nobody_compares_does_not(tmp_path: Path) -> None:
    clock, told, skew = ManualClock(), Told(), Skew()
    vitals = Vitals({}, tmp_path / "gone", skew, told, clock)
    await vitals.beat()
    assert told.skew is None
    assert told.volume is None
    clock.set(START + 30_000)
    skew.add("store", clock.now(), clock.now(), START, clock.monotonic())
    await vitals.beat()
    assert told.skew == 30
