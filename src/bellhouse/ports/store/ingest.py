"""What accepting asks of the store: notifications with their keys, and cancelling."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from bellhouse.domain.ids import NotificationId, RecipientNo, TenantNo
from bellhouse.domain.notification import Notification


class Acceptance(msgspec.Struct, frozen=True, gc=False):
    """One validated notification, ready to be made durable."""

    notification: Notification
    key: bytes | None = None
    """16 bytes that stand for tenant and idempotency key; None where the caller gave none."""
    fingerprint: bytes = b""
    """8 bytes that stand for the request's body."""


class Accepted(msgspec.Struct, frozen=True, tag="accepted", gc=False):
    id: NotificationId


class Repeated(msgspec.Struct, frozen=True, tag="repeated", gc=False):
    """The key has been used within 24 h for the same body: the first answer."""

    id: NotificationId


class KeyReused(msgspec.Struct, frozen=True, tag="key_reused", gc=False):
    """The key has been used within 24 h for another body."""


AcceptResult = Accepted | Repeated | KeyReused
CancelResult = Literal["cancelled", "already_cancelled", "too_late", "unknown"]


class IngestStore(Protocol):
    async def known_recipients(self, tenant: TenantNo, user_ids: Sequence[str]) -> Mapping[str, RecipientNo]:
        """The numbers of those recipients that exist."""
        ...

    async def accept(self, items: Sequence[Acceptance], now: int) -> list[AcceptResult]:
        """Insert notifications with their keys and outbox rows, in one transaction; one result per item, in order.

        What is not ready before `now` becomes a due row instead of a record in the log. A key lives 24 h from its
        notification's receipt; the check is part of the insert. Equal keys within `items` are folded. Raises
        OutcomeUnknown only where the store does not come back soon enough to tell.
        """
        ...

    async def forget_keys(self, now: int, limit: int) -> int:
        """Delete at most `limit` idempotency keys that have lived their 24 h; answers how many went."""
        ...

    async def cancel(self, tenant: TenantNo, notification: NotificationId, now: int, by: str) -> CancelResult:
        """Cancel what has not been sent: the notification while it waits, then each of its waiting deliveries."""
        ...
