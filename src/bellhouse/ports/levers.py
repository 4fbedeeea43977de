"""The operator's levers and the record of his acts, as they stand in the store.

Promised by every adapter:

* A lever changes in one transaction with the record of the act that changed it, and with the version that readers
  watch: whoever sees the version sees the lever.
* An act is inserted once and never changed; acts are numbered in the order in which they were committed.
* What is held under a brake waits as a due row whose moment is the end of its lifetime, so that it expires in its time
  whether the brake is let go or not.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from bellhouse.domain.ids import NotificationId
from bellhouse.domain.levers import Act, ActWord, Lever, LeverKind, Levers
from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.store.deliver import Claim


class LeverReader(Protocol):
    """For those who work under levers."""

    async def levers(self, known: Levers | None = None) -> Levers:
        """All that are pulled, those that have gone back by themselves included; `known` itself where nothing has
        changed since, at the price of one tiny read."""
        ...


class LeverStore(LeverReader, Protocol):
    """For those who pull them."""

    async def change_lever(
        self, kind: LeverKind, scope: str, before: Lever | None, after: Lever | None, act: Act
    ) -> bool:
        """Compare and set: True where the lever was `before` (None: not pulled) and is now `after`, and the act is
        recorded; otherwise nothing is written."""
        ...


class ActFilter(msgspec.Struct, frozen=True):
    """Which acts; None matches all."""

    since: int | None = None
    act: ActWord | None = None
    before: int | None = None
    """Only acts with a lower number."""


class AuditStore(Protocol):
    """The record of what operators did."""

    async def record(self, act: Act) -> None:
        """Add an act that changed something else than a lever."""
        ...

    async def acts(self, wanted: ActFilter, limit: int) -> Sequence[Act]:
        """At most `limit` acts, the newest first."""
        ...


class Held(msgspec.Struct, frozen=True):
    """Deliveries of one channel and priority that wait under a brake."""

    scope: str
    channel: Channel
    priority: Priority


class HeldStore(Protocol):
    """What waits until a brake is let go."""

    async def held(self) -> Sequence[Held]:
        """Under which brakes anything is held, each channel and priority by itself."""
        ...

    async def release_held(self, held: Held, limit: int) -> int:
        """Append at most `limit` of those deliveries to the log, the oldest first; answers how many records it looked
        at: 0 is the end. Raises LogUnavailable, and then they stay."""
        ...


class ExpiryStore(Protocol):
    """What is ended because its lifetime is over, before a worker comes by it."""

    async def waiting(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        """Those of these records that still stand for a delivery that waits and that nobody is sending, each once."""
        ...

    async def expire(self, claims: Sequence[Claim], now: int, by: str) -> int:
        """End those of them as expired; answers how many. Their records stay in the log, and are dropped by whoever
        polls them. What a worker is sending, or has moved since, is left alone."""
        ...

    async def undecided(self, notifications: Sequence[NotificationId]) -> frozenset[NotificationId]:
        """Those of these notifications that have no decision yet."""
        ...
