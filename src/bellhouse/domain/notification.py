"""What a caller asks for: one recipient, one type, one priority, data."""

import msgspec

from bellhouse.domain.ids import NotificationId, RecipientNo, TenantNo
from bellhouse.domain.words import Channel, NotificationState, Priority


class Notification(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A notification as it stands in the store and travels through the log; it never changes.

    Encoded as a msgpack array: a field may be added at the end with a default, none removed or moved, so that
    old records are read by new code and new records by old.
    """

    id: NotificationId
    tenant: TenantNo
    recipient: RecipientNo
    user_id: str
    type: str
    priority: Priority
    data: bytes
    """The caller's `data` as a JSON object."""
    received_at: int
    expires_at: int
    """Nothing is sent after this moment (ms since the epoch)."""
    ready_at: int
    """When it may leave: `received_at`, or the `send_at` that was asked for."""
    channels: tuple[Channel, ...] | None = None
    """The channels that the caller asked for, in their order; None leaves them to the type."""
    collapse_key: str | None = None
    idempotency_key: str | None = None
    traceparent: str | None = None
    campaign: str | None = None
    """The campaign that it belongs to, in the caller's words."""


class Reason(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Why a channel, a contact point or a whole notification was taken or left out."""

    code: str
    """A word of the closed list in `policy`, such as `suppressed:unsubscribed` or `chosen:type_channel`."""
    channel: Channel | None = None
    contact: str | None = None
    """The contact point's id, never its address."""
    detail: str | None = None


class PlannedDelivery(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One delivery that a decision plans."""

    ordinal: int
    channel: Channel
    contact: str
    """The contact point's id within the recipient's profile."""
    not_before: int = 0
    """Earliest moment of sending (ms since the epoch); 0 is at once."""
    reason: str = "chosen"


class Decision(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the route decided for a notification, stored once, with a reason for each yes and no."""

    state: NotificationState
    at: int
    deliveries: tuple[PlannedDelivery, ...] = ()
    reasons: tuple[Reason, ...] = ()
    template: str | None = None
    template_version: int = 0
