"""Which brake holds a delivery: any that matches it does, and the one that says most is named. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from bellhouse.domain.ids import TenantNo
from bellhouse.domain.levers import Lever, Selector
from bellhouse.domain.words import Channel, Priority

_FIELDS = Selector.__struct_fields__
_WITHIN_LANES = tuple(name for name in _FIELDS if name not in ("channel", "priority"))
"""What a brake may choose by within a lane."""


class Pause(msgspec.Struct, frozen=True):
    """A brake as it is asked: with the numbers of the tenants that it names."""

    lever: Lever
    tenants: frozenset[TenantNo] | None = None
    """None: every tenant."""

    def holds(self, tenant: TenantNo, kind: str, template: str | None, campaign: str | None) -> bool:
        """Whether it holds a delivery of a lane that it is about."""
        chosen = self.lever.selector
        return (
            (self.tenants is None or tenant in self.tenants)
            and chosen.type in (None, kind)
            and chosen.template in (None, template)
            and chosen.campaign in (None, campaign)
        )

    def concerns(self, channel: Channel, priority: Priority) -> bool:
        """Whether it holds anything of a lane."""
        chosen = self.lever.selector
        return chosen.channel in (None, channel) and chosen.priority in (None, priority)

    @property
    def whole(self) -> bool:
        """Whether it holds everything of each lane that it is about."""
        return is_whole(self.lever.selector)


class Brakes(msgspec.Struct, frozen=True):
    """The brakes of one lane."""

    whole: Pause | None = None
    """The brake that holds all of the lane."""
    all: tuple[Pause, ...] = ()
    """Every brake that holds some of it, the ones that say most first."""

    def holding(self, tenant: TenantNo, kind: str, template: str | None, campaign: str | None) -> Pause | None:
        """The brake that holds a delivery of the lane; None where none does."""
        for pause in self.all:
            if pause.holds(tenant, kind, template, campaign):
                return pause
        return None


NO_BRAKES = Brakes()


def is_whole(selector: Selector) -> bool:
    """Whether it chooses by nothing but what lanes are made of."""
    return all(getattr(selector, name) is None for name in _WITHIN_LANES)


def said(selector: Selector) -> int:
    """How many words a selector gives: of several that match the one that says most is named."""
    return sum(getattr(selector, name) is not None for name in _FIELDS)


def pauses_of(levers: Iterable[Lever], tenants: Mapping[TenantNo, tuple[str, str]]) -> tuple[Pause, ...]:
    """The brakes among the levers, those that say most first; `tenants` are (name, environment) by number."""
    found = []
    for lever in levers:
        if lever.kind != "pause":
            continue
        wanted = lever.selector.tenant
        numbers = None if wanted is None else frozenset(no for no, (name, _) in tenants.items() if name == wanted)
        found.append(Pause(lever, numbers))
    return tuple(sorted(found, key=lambda pause: (-said(pause.lever.selector), pause.lever.scope)))


def brakes_of(pauses: Sequence[Pause], channel: Channel, priority: Priority) -> Brakes:
    """What the brakes are for one lane."""
    mine = [pause for pause in pauses if pause.concerns(channel, priority)]
    if not mine:
        return NO_BRAKES
    return Brakes(next((pause for pause in mine if pause.whole), None), tuple(mine))


def covered(selector: Selector, others: Collection[Selector]) -> list[Selector]:
    """Those of the others that hold everything that the selector does, and more."""
    return [other for other in others if other != selector and _within(selector, other)]


def _within(narrow: Selector, wide: Selector) -> bool:
    return all(getattr(wide, name) in (None, getattr(narrow, name)) for name in _FIELDS)
