"""Whether a notification costs the same beside few stored ones and beside millions."""

import asyncio
from dataclasses import dataclass
from typing import Final

from benchmarks.cluster.cost import cost_of
from benchmarks.cluster.prefill import prefill
from benchmarks.cluster.stand import Stand
from benchmarks.stand import CLOCK

_ROUNDS: Final = 2
_QUIET: Final = 0.1
"""Of a core: what PostgreSQL uses while nothing is sent, and a little."""
_PATIENCE_S: Final = 300.0


@dataclass(frozen=True)
class Beside:
    """CPU µs per notification, and bytes of WAL: the mean of some rounds."""

    ours_us: float
    postgres_us: float
    wal_bytes: float

    @property
    def both_us(self) -> float:
        return self.ours_us + self.postgres_us


@dataclass(frozen=True)
class Growth:
    """Beside those of this run alone, and beside many."""

    few: Beside
    many: Beside

    @property
    def ratio(self) -> float:
        return self.many.both_us / self.few.both_us


async def growth(stand: Stand, kind: str, count: int, stored: int, quiet_s: float) -> Growth:
    """Measure, add `stored` notifications of past days, and measure again."""
    few = await _measured(stand, kind, count, quiet_s)
    await prefill(stand.place.url, stored)
    return Growth(few, await _measured(stand, kind, count, quiet_s))


async def _measured(stand: Stand, kind: str, count: int, quiet_s: float) -> Beside:
    await _until_quiet(stand, quiet_s)
    # Pages that are touched for the first time since the checkpoint go whole to the WAL: that is another question.
    await cost_of(stand, kind, count)
    costs = [await cost_of(stand, kind, count) for _ in range(_ROUNDS)]
    return Beside(
        _mean([cost.ours_us for cost in costs]),
        _mean([cost.us["PostgreSQL"] for cost in costs]),
        _mean([cost.wal_bytes for cost in costs]),
    )


async def _until_quiet(stand: Stand, seconds: float) -> None:
    """Wait until PostgreSQL has done what a change of millions leaves it: vacuum, and one count of each new day for the
    ledger. `seconds` is how long it has to be quiet. Raises TimeoutError."""
    deadline = CLOCK.monotonic() + _PATIENCE_S
    used = seconds
    while used > _QUIET * seconds:
        if CLOCK.monotonic() > deadline:
            raise TimeoutError("PostgreSQL does not come to rest")
        before = stand.cpu_s()["PostgreSQL"]
        await asyncio.sleep(seconds)
        used = stand.cpu_s()["PostgreSQL"] - before


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
