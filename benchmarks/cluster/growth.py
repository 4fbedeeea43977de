"""Whether a notification costs the same beside few stored ones and beside millions."""

from dataclasses import dataclass
from typing import Final

from benchmarks.cluster.cost import Cost, cost_of
from benchmarks.cluster.prefill import prefill
from benchmarks.cluster.stand import Stand

_ROUNDS: Final = 2


@dataclass(frozen=True)
class Growth:
    """CPU µs per notification of Bellhouse and PostgreSQL together, the mean of some rounds each."""

    few_us: float
    many_us: float

    @property
    def ratio(self) -> float:
        return self.many_us / self.few_us


async def growth(stand: Stand, kind: str, count: int, stored: int) -> Growth:
    """Measure, add `stored` notifications of past days, and measure again."""
    few = [await cost_of(stand, kind, count) for _ in range(_ROUNDS)]
    await prefill(stand.place.url, stored)
    many = [await cost_of(stand, kind, count) for _ in range(_ROUNDS)]
    return Growth(_both(few), _both(many))


def _both(costs: list[Cost]) -> float:
    return sum(cost.ours_us + cost.us["PostgreSQL"] for cost in costs) / len(costs)
