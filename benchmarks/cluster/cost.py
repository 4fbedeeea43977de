"""What one notification costs on its whole way, process by process."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from benchmarks import load
from benchmarks.cluster.roles import ROLES
from benchmarks.cluster.stand import Stand
from benchmarks.stand import CLOCK

_WARM_UP = 2_000


@dataclass(frozen=True)
class Cost:
    """Per notification: CPU µs by process, and bytes of WAL; and how many ended a second."""

    us: Mapping[str, float]
    wal_bytes: float
    per_second: float

    @property
    def ours_us(self) -> float:
        """Bellhouse's own processes."""
        return sum(us for name, us in self.us.items() if name in ROLES)


async def cost_of(stand: Stand, kind: str, count: int) -> Cost:
    """Send `count` notifications of a type as fast as they are taken, until all have ended."""
    done = await stand.ended() + min(count, _WARM_UP)
    await load.send(stand.client, load.bodies(kind, min(count, _WARM_UP)))
    await stand.until_ended(done)
    made = load.bodies(kind, count)

    async def work() -> None:
        await load.send(stand.client, made)
        await stand.until_ended(done + count)

    return await priced(stand, count, work)


async def priced(stand: Stand, count: int, work: Callable[[], Awaitable[None]]) -> Cost:
    """What some work used, for each of `count` notifications."""
    used, lsn, began = stand.cpu_s(), await stand.database.fetchval("SELECT pg_current_wal_lsn()"), CLOCK.monotonic()
    await work()
    seconds, now = CLOCK.monotonic() - began, stand.cpu_s()
    wal = await stand.database.fetchval("SELECT (pg_current_wal_lsn() - $1)::float8", lsn)
    return Cost({name: 1e6 * (now[name] - used[name]) / count for name in now}, wal / count, count / seconds)
