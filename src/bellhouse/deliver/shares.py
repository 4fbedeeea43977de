"""How the workers of many processes share one account's rate: each by what it has to send.

Every second each process says in the cache how much it would send through an account, and takes what it says, as far as
no other is left with less for it; those that had to wait claim half as much again as they sent, so that parts move to
where the work is, and who comes to it late has as much as the others after a few seconds, whatever they claim. A
fifth of every rate is shared evenly among the processes that deliver critical, whatever the others claim. Without the
cache all get the same. Parts are a second old at the most: the sum may be off by what has changed within it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bellhouse.deliver.accounts import Account, Accounts
from bellhouse.deliver.limits import RESERVE, WANTS_MORE
from bellhouse.ports.cache import Cache, CacheUnavailable
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.processes import Member

_EVERY_S: Final = 1.0
_KEPT_S: Final = 5.0
_LEAST: Final = 0.02
"""The part of a rate that a process has which sends nothing, so that its first messages need not wait."""
_ALL: Final = "*"
"""The claim over all accounts."""


def part_of(own: float, claims: Sequence[float], critical: bool, of_critical: int) -> float:
    """This process's part of a rate: `claims` are those of all processes with its own; `of_critical` processes deliver
    critical, this one among them where `critical`."""
    reserve = RESERVE if of_critical else 0.0
    mine = reserve / of_critical if critical else 0.0
    total = sum(claims)
    if total <= 0:
        return mine + (1.0 - reserve) / max(1, len(claims))
    # Of many processes each keeps less: the half of what is spread goes by demand all the same.
    least = min(_LEAST, (1.0 - reserve) / (2 * len(claims))) if len(claims) > 1 else 0.0
    spread = 1.0 - reserve - least * len(claims)
    return mine + least + spread * _fair(own, claims)


def _fair(own: float, claims: Sequence[float]) -> float:
    """What `own` is of the whole, when the smallest claims are met in full and the others come to the same. All claims
    together are more than the whole by what those claim who had to wait."""
    whole = left = sum(claims) / WANTS_MORE
    for met, claim in enumerate(sorted(claims)):
        level = left / (len(claims) - met)
        if claim >= level:
            return min(own, level) / whole
        left -= claim
    return own / whole


class SharedRates:
    """Adjusts this process's part of each account's rate. Service."""

    name: Final = "shared-rates"

    def __init__(
        self,
        process: str,
        accounts: Accounts,
        members: Callable[[], Sequence[Member]],
        cache: Cache,
        clock: Clock,
    ) -> None:
        """`members` answers who is alive, this process among them."""
        self._process = process
        self._accounts = accounts
        self._members = members
        self._cache = cache
        self._clock = clock
        self._drained = asyncio.Event()

    async def start(self) -> None:
        await self.adjust()

    async def run(self) -> None:
        while not self._drained.is_set():
            await self._clock.sleep(_EVERY_S)
            await self.adjust()

    def drain(self) -> None:
        self._drained.set()

    async def stop(self) -> None:
        """Nothing to close."""

    async def adjust(self) -> None:
        """One round."""
        accounts = self._accounts.each()
        now = self._clock.monotonic()
        demands = {account.name: account.limiter.demand(now) for account in accounts}
        demands[_ALL] = sum(demands.values())
        claims = await self._claims(demands, accounts)
        workers = self._workers()
        critical = [member.process for member in workers if _delivers_critical(member)]
        mine = self._process in critical

        def part(name: str) -> float:
            return part_of(claims[name][self._process], list(claims[name].values()), mine, len(critical))

        of_all = part(_ALL)
        for account in accounts:
            account.limiter.share(part(account.name), of_all, now)

    async def _claims(
        self, demands: Mapping[str, float], accounts: Sequence[Account]
    ) -> Mapping[str, Mapping[str, float]]:
        """What each process claims of each account; the same for all where the cache does not answer."""
        asked = {
            name: [self._process, *(m.process for m in self._workers(channels) if m.process != self._process)]
            for name, channels in ((_ALL, None), *((a.name, frozenset(a.breakers)) for a in accounts))
        }
        keys = [(name, process) for name, processes in asked.items() for process in processes]
        try:
            mine = {f"demand:{name}:{self._process}": b"%f" % demand for name, demand in demands.items()}
            await self._cache.put(mine, _KEPT_S)
            found = await self._cache.get([f"demand:{name}:{process}" for name, process in keys])
        except CacheUnavailable:
            return {name: dict.fromkeys(processes, 1.0) for name, processes in asked.items()}
        claims: dict[str, dict[str, float]] = {name: {} for name in asked}
        for (name, process), value in zip(keys, found, strict=True):
            claims[name][process] = demands[name] if process == self._process else float(value or 0.0)
        return claims

    def _workers(self, channels: frozenset[str] | None = None) -> list[Member]:
        """Who delivers, or who delivers on one of these channels."""
        return [
            member
            for member in self._members()
            if any(
                lane.startswith("deliveries.") and (channels is None or lane.split(".")[1] in channels)
                for lane in member.lanes
            )
        ]


def _delivers_critical(member: Member) -> bool:
    return any(lane.startswith("deliveries.") and lane.endswith(".critical") for lane in member.lanes)
