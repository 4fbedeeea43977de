"""Recipients with their contact points and preferences, suppressed addresses and inboxes."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from bellhouse.domain.ids import DeliveryId, RecipientNo, TenantNo
from bellhouse.domain.recipient import Profile
from bellhouse.domain.words import Channel
from bellhouse.ports.store.deliver import InboxItem, Suppression


class Unseen(msgspec.Struct, frozen=True):
    """One page of profiles that nobody has stored for long."""

    looked: int
    contacts: int
    """Contact points that were taken out, or would be."""
    last: RecipientNo
    """The last profile that was looked at."""


class RecipientStore(Protocol):
    async def put_recipient(self, tenant: TenantNo, profile: Profile, now: int) -> bool:
        """Create or replace; preferences of an existing recipient are kept. Answers whether it was created."""
        ...

    async def put_recipients(self, tenant: TenantNo, profiles: Sequence[Profile], now: int) -> int:
        """The same for many, in one transaction; answers how many were created."""
        ...

    async def get_recipient(self, tenant: TenantNo, user_id: str) -> tuple[RecipientNo, Profile] | None: ...

    async def delete_recipient(self, tenant: TenantNo, user_id: str) -> bool: ...

    async def update_preferences(self, tenant: TenantNo, user_id: str, preferences: bytes, now: int) -> bool:
        """Replace the preferences (msgpack of Preferences); False where there is no such recipient."""
        ...

    async def retire_unseen(
        self, channel: Channel, before: int, tenant: TenantNo | None, after: RecipientNo, limit: int, dry_run: bool
    ) -> "Unseen":
        """Take the contact points of a channel out of the profiles that nobody has stored since `before` (ms since the
        epoch); looks at no more than `limit` such profiles behind `after`, in the order of their numbers."""
        ...

    async def put_suppression(self, suppression: Suppression) -> None: ...

    async def get_suppression(self, tenant: TenantNo, address: str) -> Suppression | None: ...

    async def delete_suppression(self, tenant: TenantNo, address: str) -> bool: ...

    async def inbox(
        self, tenant: TenantNo, user_id: str, before: DeliveryId | None, limit: int, unread_only: bool, now: int
    ) -> tuple[Sequence[InboxItem], int] | None:
        """The newest items first, and the count of unread; None where there is no such recipient."""
        ...

    async def mark_read(
        self, tenant: TenantNo, user_id: str, deliveries: Sequence[DeliveryId], read: bool, now: int
    ) -> int | None:
        """Mark items read or unread; answers how many changed, None where there is no such recipient."""
        ...
