"""What an operator has pulled: brakes, a preferred provider, a rate; and the record of every operator's act."""

from typing import Literal

import msgspec

from bellhouse.domain.words import Channel, Priority

LeverKind = Literal["pause", "prefer", "rate"]
"""A brake; a provider that comes first on a channel; messages a second through a provider."""

ActWord = Literal[
    "pause",
    "resume",
    "prefer",
    "prefer_reset",
    "rate_set",
    "rate_reset",
    "breaker_open",
    "breaker_close",
    "breaker_reset",
    "dlq_replay",
    "dlq_discard",
    "skip_expired",
    "token_cleanup",
    "suppression_add",
    "suppression_lift",
]
"""What an operator can do."""

PLATFORM = "platform"
"""How a selector that names nothing is written: everything."""


class Selector(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which deliveries: those that agree with every word that is given. None given is all of them."""

    channel: Channel | None = None
    priority: Priority | None = None
    tenant: str | None = None
    """The tenant's name; it is meant in each of its environments."""
    type: str | None = None
    template: str | None = None
    campaign: str | None = None
    """The campaign's name; it is meant in every tenant, unless one is named too."""

    @property
    def text(self) -> str:
        """The one way in which this selector is written: `channel=sms, tenant=acme`, or `platform`."""
        words = [f"{name}={value}" for name in self.__struct_fields__ if (value := getattr(self, name)) is not None]
        return ", ".join(words) or PLATFORM


class Lever(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lever that is pulled."""

    kind: LeverKind
    scope: str
    """What it is about: a selector's text, a channel, or a provider. One lever of a kind is pulled for a scope."""
    value: str = ""
    """The provider that is preferred, or the rate; a brake has none."""
    selector: Selector = Selector()
    """Which deliveries a brake holds."""
    by: str = ""
    """The name of the API key with which it was pulled."""
    at: int = 0
    """When it was pulled (ms since the epoch)."""
    why: str = ""
    until: int = 0
    """When it goes back by itself (ms since the epoch); 0 where an operator has to let it go."""

    def same_as(self, other: "Lever | None") -> bool:
        """Whether pulling this where the other is pulled changes nothing, whoever says why."""
        return other is not None and (self.value, self.until) == (other.value, other.until)

    def holds(self, now: int) -> bool:
        """Whether it has not gone back by itself."""
        return not self.until or now < self.until


class Levers(msgspec.Struct, frozen=True):
    """All levers that are pulled, as they stood at one version."""

    version: int
    """It grows with every change."""
    rows: tuple[Lever, ...] = ()

    def find(self, kind: LeverKind, scope: str) -> Lever | None:
        """The lever of a kind for a scope."""
        return next((lever for lever in self.rows if (lever.kind, lever.scope) == (kind, scope)), None)


class Act(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an operator did: a row that is inserted and never changed."""

    act: ActWord
    scope: str
    """About what: a selector's text, a provider, a filter; never an address."""
    by: str
    """The name of the API key."""
    key: str
    """The API key's id."""
    at: int
    """When (ms since the epoch)."""
    why: str = ""
    before: str = ""
    after: str = ""
    number: int = 0
    """Its place among all acts; given by the store."""
