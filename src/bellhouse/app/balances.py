"""Asks providers for the money that is left in their accounts, and keeps what they said last."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import HasBalance, Provider
from bellhouse.ports.service import Beat
from bellhouse.ports.telemetry import Lease, Logbook, ProviderBalance

AGAIN_S: Final = 30.0
"""How soon a provider that did not say is asked again."""


class Balances(Beat):
    """Asks every provider that knows its balance. Service; one, by lease."""

    def __init__(
        self,
        providers: Sequence[Provider],
        low: Mapping[str, float],
        every_s: float,
        lease: Lease,
        clock: Clock,
        logbook: Logbook,
    ) -> None:
        """`low`: by provider, below what a person is told; `every_s`: how often they are asked."""
        super().__init__("balances", every_s, clock)
        self._asked = {one.sheet.name: one for one in providers if isinstance(one, HasBalance)}
        self._low = low
        self._lease = lease
        self._logbook = logbook
        self._amounts: dict[str, float] = {}
        self._fresh_at: dict[str, int] = {}
        self._failing: set[str] = set()

    async def beat(self) -> None:
        if await self._lease.held():
            await asyncio.gather(*(self._ask(name, provider) for name, provider in self._asked.items()))

    def rest_s(self, took_s: float) -> float:
        return min(AGAIN_S, self._every_s) if self._failing else super().rest_s(took_s)

    def read(self) -> Sequence[ProviderBalance]:
        """What is known; of a provider that was asked in vain what it said last, and when."""
        return [
            ProviderBalance(
                name,
                self._amounts.get(name),
                self._low.get(name),
                self._fresh_at[name] if name in self._failing else 0,
            )
            for name in self._asked
        ]

    async def _ask(self, name: str, provider: HasBalance) -> None:
        now = self._clock.now()
        amount = await provider.balance()
        if amount is not None:
            self._amounts[name], self._fresh_at[name] = amount, now
            self._failing.discard(name)
            return
        self._fresh_at.setdefault(name, now)
        if name not in self._failing:
            self._failing.add(name)
            self._logbook.note("warning", "A provider does not tell its balance", provider=name)
