"""What routing asks of the store: the facts of a decision, and keeping it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from bellhouse.domain.delivery import Delivery
from bellhouse.domain.ids import RecipientNo, TenantNo
from bellhouse.domain.notification import Decision, Notification
from bellhouse.domain.recipient import Profile
from bellhouse.ports.log import Position


class Facts(msgspec.Struct, frozen=True):
    """What a batch of decisions needs to know of recipients."""

    profiles: Mapping[RecipientNo, Profile]
    suppressed: Mapping[TenantNo, frozenset[str]]
    """The suppressed ones among the addresses of these profiles, by tenant."""


class Routed(msgspec.Struct, frozen=True, gc=False):
    """A notification's decision with the deliveries that it plans."""

    notification: Notification
    decision: Decision
    deliveries: tuple[Delivery, ...] = ()


class RouteStore(Protocol):
    async def facts(self, notifications: Sequence[Notification]) -> Facts: ...

    async def decide(self, routed: Sequence[Routed], now: int, done: Sequence[Position]) -> int:
        """Store decisions and publish their deliveries; answers how many were new.

        A notification that already has a decision (a replayed record, a cancellation) keeps it, and the stored one
        is published again where publishing is not part of the same transaction. A delivery that is not ready
        before `now` becomes a due row. Raises StoreUnavailable, and LogUnavailable where the decisions are stored and
        their deliveries are not published yet: repeat the call.
        """
        ...
