"""What all processes share about providers: breakers, and signs of life."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from bellhouse.domain.words import Channel

Forced = Literal["none", "open", "closed"]
BreakerState = Literal["closed", "open", "half_open"]
BreakerReason = Literal["failures", "silent"]


class BreakerRow(msgspec.Struct, frozen=True):
    """A breaker as all processes see it."""

    provider: str
    channel: Channel
    state: BreakerState = "closed"
    forced: Forced = "none"
    changed_at: int = 0
    """When it took this state (ms since the epoch)."""
    failures: int = 0
    probe_owner: str = ""
    version: int = 0
    reason: BreakerReason = "failures"
    """Why it is not closed: the provider fails, or accepts and confirms nothing."""


class BreakerStore(Protocol):
    async def breakers(self) -> Sequence[BreakerRow]:
        """All breakers, from memory that follows every change in the store: at once where the store is on this machine,
        within a twentieth of a second elsewhere."""
        ...

    async def change_breaker(self, row: BreakerRow, expected_version: int) -> bool:
        """Compare and set: True when the row was at `expected_version` (0: absent) and is now `row`."""
        ...


class Sign(msgspec.Struct, frozen=True, gc=False):
    """What was last seen and heard of somebody outside."""

    heard_at: int = 0
    """When it was last heard (ms since the epoch); 0: never."""
    accepted: int = 0
    """Messages that it has accepted since."""
    since: int = 0
    """When the first of them was noted (ms since the epoch); 0: there are none."""


class SignStore(Protocol):
    """Signs of life: what providers accept and when they call back, and when probes got through. Small, and written
    seldom: whoever has much to note gathers it for a second or two."""

    async def note_accepted(self, counts: Mapping[str, int], since: int) -> None:
        """So many messages more were accepted by each of these, the first of them no earlier than `since` (ms). Whoever
        was heard at that moment or later has none to be added: what was heard may be about these."""
        ...

    async def note_heard(self, subjects: Sequence[str], now: int) -> None:
        """These were heard: what they had accepted before counts no more."""
        ...

    async def signs(self) -> Mapping[str, Sign]:
        """Of everybody of whom anything was ever noted."""
        ...
