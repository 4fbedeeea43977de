"""The levers as a process knows them: looked at twice a second, and asked by its lanes for each batch in no time."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from bellhouse.domain.ids import TenantNo
from bellhouse.domain.levers import Levers
from bellhouse.domain.words import Channel
from bellhouse.policy.pauses import Pause, pauses_of
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import LeverReader
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.service import Beat
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import Logbook

_EVERY_S: Final = 0.5
"""How old the levers that a process works under may be."""


class Pulled(msgspec.Struct, frozen=True):
    """What is pulled, as stages ask it. It is the same object until something changes."""

    pauses: tuple[Pause, ...] = ()
    preferred: Mapping[Channel, str] = {}
    """The provider that comes first on a channel."""
    rates: Mapping[str, float] = {}
    """Messages a second through a provider, for the whole deployment."""

    def pauses_scope(self, scope: str) -> bool:
        """Whether the brake of a scope is pulled."""
        return any(pause.lever.scope == scope for pause in self.pauses)


NOTHING_PULLED: Final = Pulled()
ReadPulled = Callable[[], Pulled]


def nothing_pulled() -> Pulled:
    """The levers of a process that has none."""
    return NOTHING_PULLED


def pulled_of(levers: Levers, tenants: Mapping[TenantNo, tuple[str, str]], now: int) -> Pulled:
    """What the stages ask of these levers, without those that have gone back by themselves."""
    rows = [lever for lever in levers.rows if lever.holds(now)]
    return Pulled(
        pauses_of(rows, tenants),
        {lever.selector.channel: lever.value for lever in rows if lever.kind == "prefer" and lever.selector.channel},
        {lever.scope: float(lever.value) for lever in rows if lever.kind == "rate"},
    )


class LeverWatch(Beat):
    """Keeps `now` up to date. Service: started before whoever works under it, so that what was paused when a process
    was killed is paused when it starts again. While the store is away it stays as it was."""

    def __init__(self, store: LeverReader, catalogue: CatalogueStore, clock: Clock, logbook: Logbook) -> None:
        super().__init__("levers", _EVERY_S, clock)
        self._store = store
        self._catalogue = catalogue
        self._logbook = logbook
        self._levers: Levers | None = None
        self._now = NOTHING_PULLED

    def now(self) -> Pulled:
        """What is pulled, as it was seen last."""
        return self._now

    async def start(self) -> None:
        """Know the levers before anything is sent. Raises StoreUnavailable."""
        await self.beat()

    async def beat(self) -> None:
        self._levers = await self._store.levers(self._levers)
        if not self._levers.rows:
            self._now = NOTHING_PULLED
            return
        tenants = await self._catalogue.tenants()
        found = pulled_of(self._levers, tenants, self._clock.now())
        if found != self._now:
            self._now = found

    def missed(self, down: StoreUnavailable | LogUnavailable) -> None:
        self._logbook.note("warning", "Levers stay as they were", reason=down.reason, error=str(down))
