"""What confirming asks of the store: news of deliveries, and what it does to addresses."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from bellhouse.domain.ids import DeliveryId, RecipientNo, TenantNo
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import Channel, DeliveryState
from bellhouse.ports.store.deliver import Retirement, Suppression


class NewsRow(msgspec.Struct, frozen=True, gc=False):
    """One piece of a provider's news about a delivery."""

    delivery: DeliveryId
    n: int
    """A hash of the provider's event id (63 bits)."""
    attempt: int
    kind: Literal["accepted", "delivered", "failed"]
    at: int
    detail: bytes


class Confirmed(msgspec.Struct, frozen=True, gc=False):
    """A delivery that news has moved."""

    delivery: DeliveryId
    before: DeliveryState
    after: DeliveryState
    notification: Notification
    channel: Channel
    ready_at: int


class NewsResult(msgspec.Struct, frozen=True):
    moved: Sequence[Confirmed]
    repeated: int
    """Rows that were already there."""
    unmatched: int
    """Rows about deliveries that were never planned."""
    early: Sequence[Confirmed] = ()
    """Deliveries whose news has overtaken its attempt; the state, before and after, is the one that stands still."""


class Concerned(msgspec.Struct, frozen=True, gc=False):
    """Whom a delivery was for."""

    tenant: TenantNo
    recipient: RecipientNo
    contact: str
    """The contact point's id."""
    address: str
    """Where that is; empty where the recipient or the contact point is gone."""


class ConfirmStore(Protocol):
    async def news(self, rows: Sequence[NewsRow]) -> NewsResult:
        """Insert news and move its deliveries. A repeat is not inserted again; what overtakes its own attempt is
        kept and counts when the attempt is settled."""
        ...

    async def recipients_of(self, deliveries: Sequence[DeliveryId]) -> Mapping[DeliveryId, Concerned]:
        """Whom planned deliveries were for."""
        ...

    async def every_tenant(self) -> Sequence[TenantNo]:
        """All tenants: a STOP names no delivery and is said to an account that they share."""
        ...

    async def follow_up(
        self, suppressions: Sequence[Suppression], lifted: Sequence[Suppression], retirements: Sequence[Retirement]
    ) -> None:
        """Suppress, lift suppressions and retire contact points, in one transaction."""
        ...
