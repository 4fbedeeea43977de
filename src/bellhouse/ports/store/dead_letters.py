"""Dead letters, for operators: list, replay, discard."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from bellhouse.domain.ids import DeliveryId, TenantNo
from bellhouse.domain.words import Channel

DeadLetterState = Literal["open", "replayed", "discarded"]


class DeadLetterRow(msgspec.Struct, frozen=True):
    delivery: DeliveryId
    tenant: TenantNo
    channel: Channel
    provider: str | None
    type: str
    user_id: str
    reason: str
    code: str | None
    at: int
    state: DeadLetterState
    epoch: int
    by: str = ""
    why: str = ""


class DeadLetterFilter(msgspec.Struct, frozen=True):
    """Which dead letters; None matches all."""

    tenant: TenantNo | None = None
    ids: tuple[DeliveryId, ...] | None = None
    channel: Channel | None = None
    reason: str | None = None
    provider: str | None = None
    type: str | None = None
    since: int | None = None
    state: DeadLetterState | None = "open"


class DeadLetterStore(Protocol):
    async def dead_letters(
        self, filter: DeadLetterFilter, after: DeliveryId | None, limit: int
    ) -> Sequence[DeadLetterRow]:
        """In the order of their delivery ids."""
        ...

    async def replay(
        self, deliveries: Sequence[DeliveryId], tenant: TenantNo | None, now: int, lifetime_ms: int, by: str
    ) -> int:
        """Send open dead letters again, each at most once however often it is asked; answers how many.

        A delivery that would have expired gets `lifetime_ms` more from now.
        """
        ...

    async def discard(
        self, deliveries: Sequence[DeliveryId], tenant: TenantNo | None, now: int, by: str, why: str
    ) -> int: ...

    async def depths(self) -> Mapping[Channel, int]:
        """Open dead letters by channel."""
        ...
