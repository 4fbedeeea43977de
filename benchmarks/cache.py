"""What a key costs in the shared cache: CPU on both sides, alone and in a cluster of three.

python -m benchmarks.cache [--keys 500] [--rounds 400]
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psutil

from bellhouse.adapters.cache.circuits import RedisBreakers
from bellhouse.adapters.cache.redis import RedisCache, RedisConfig, RedisLink
from bellhouse.adapters.clock import SystemClock
from bellhouse.engines.valkey import Valkey, ValkeyCluster
from bellhouse.ports.store.providers import BreakerRow

_TTL_S = 600.0
_PROVIDERS = ("fcm", "apns", "sendgrid", "ses", "smtp", "twilio", "vonage", "chat")


class Nothing:
    """A durable store in which nothing is forced."""

    async def breakers(self) -> Sequence[BreakerRow]:
        return ()

    async def change_breaker(self, row: BreakerRow, expected_version: int) -> bool:
        raise NotImplementedError


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


async def measure(name: str, keys: int, rounds: int, servers: Sequence[Valkey], call: Callable[[int], Any]) -> None:
    """Print CPU µs a key of this process and of the servers, and how long a call took."""
    theirs = [psutil.Process(server.pid) for server in servers]
    await call(-1)
    ours_s, theirs_s, since = time.process_time(), _cpu_s(theirs), time.perf_counter()
    for number in range(rounds):
        await call(number)
    seconds = time.perf_counter() - since
    scale = 1e6 / (rounds * keys)
    ours, servers_cpu = (time.process_time() - ours_s) * scale, (_cpu_s(theirs) - theirs_s) * scale
    print(f"{name:34} {ours:8.2f} {servers_cpu:8.2f} {1e3 * seconds / rounds:8.2f}", flush=True)


async def cache(where: str, config: RedisConfig, servers: Sequence[Valkey], keys: int, rounds: int) -> None:
    """A batch of keys in one call each, and the same keys one by one."""
    link = RedisLink(config, SystemClock())
    shared = RedisCache(link)
    names = [f"limit:tenant-1:recipient-{number:06d}" for number in range(keys)]
    values = dict.fromkeys(names, b"v" * 20)
    counters = {f"n:{name}": 1 for name in names}
    calls: dict[str, Callable[[int], Awaitable[Any]]] = {
        "get": lambda _: shared.get(names),
        "put": lambda _: shared.put(values, _TTL_S),
        "add, new": lambda number: shared.add({f"{number}:{name}": b"1" for name in names}, _TTL_S),
        "add, known": lambda _: shared.add(values, _TTL_S),
        "count": lambda _: shared.count(counters, _TTL_S),
    }
    for name, call in calls.items():
        await measure(f"{where}: {name}", keys, rounds, servers, call)
    await measure(f"{where}: get, one key a call", 1, rounds, servers, lambda _: shared.get(names[:1]))
    await link.close()


async def breakers(config: RedisConfig, servers: Sequence[Valkey], rounds: int) -> None:
    """A look at the breakers of eight providers: one that asks Redis, and one that remembers."""
    link = RedisLink(config, SystemClock())
    for name, refresh_s in (("that asks", 0.0), ("that remembers", 60.0)):
        store = RedisBreakers(link, Nothing(), SystemClock(), _PROVIDERS, refresh_s)
        for number, provider in enumerate(_PROVIDERS[:3]):
            await store.change_breaker(BreakerRow(provider, "push", "open", changed_at=number, version=1), 0)
        await measure(f"breakers, a call {name}", 1, rounds, servers, lambda _, store=store: store.breakers())  # type: ignore[misc]
        await store.close()
    await link.close()


async def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=400)
    given = parser.parse_args()
    print(f"{f'{given.keys} keys a call':34} {'µs, us':>8} {'µs, them':>8} {'ms a call':>8}")
    with Valkey() as server:
        config = RedisConfig(server.url, timeout_s=5.0)
        await cache("alone", config, [server], given.keys, given.rounds)
        await breakers(config, [server], given.rounds)
    with ValkeyCluster() as cluster:
        await cache(
            "cluster", RedisConfig(cluster.url, cluster=True, timeout_s=5.0), cluster.nodes, given.keys, given.rounds
        )


if __name__ == "__main__":
    asyncio.run(main())
