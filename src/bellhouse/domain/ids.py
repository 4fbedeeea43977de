"""Identifiers: UUIDv7 (RFC 9562) for notifications, and their deliveries' ids derived from them.

A notification's id ends in a zero byte; a delivery's id is its notification's id with that byte set to the
delivery's ordinal, 1 to 255. So a delivery id is deterministic (a replayed decision makes the same ones), it
leads back to its notification without a lookup, and all rows of one notification lie beside one another.
"""

import os
from typing import NewType
from uuid import UUID

NotificationId = NewType("NotificationId", bytes)
DeliveryId = NewType("DeliveryId", bytes)
TenantNo = NewType("TenantNo", int)
"""The number of a tenant's environment: (tenant, environment) in one integer."""
RecipientNo = NewType("RecipientNo", int)

MAX_DELIVERIES = 255

_VERSION = 0x7000
_VARIANT = 0x80
_SEQUENCE = 0x1000


def new_notification_ids(now: int, count: int) -> list[NotificationId]:
    """Make `count` ids for the moment `now` (ms since the epoch), ascending so that they are inserted in order."""
    noise = os.urandom(7 * count)
    start = int.from_bytes(os.urandom(2)) % max(1, _SEQUENCE - count)
    moment = now.to_bytes(6)
    ids = []
    for i in range(count):
        sequence = _VERSION | (start + i) % _SEQUENCE
        tail = noise[7 * i : 7 * i + 7]
        ids.append(
            NotificationId(moment + sequence.to_bytes(2) + bytes((_VARIANT | tail[0] & 0x3F,)) + tail[1:] + b"\x00")
        )
    return ids


def delivery_id(notification: NotificationId, ordinal: int) -> DeliveryId:
    """The id of a notification's delivery number `ordinal` (1 to 255)."""
    if not 1 <= ordinal <= MAX_DELIVERIES:
        raise ValueError(f"ordinal {ordinal} is not within 1..{MAX_DELIVERIES}")
    return DeliveryId(notification[:15] + ordinal.to_bytes())


def notification_of(delivery: bytes) -> NotificationId:
    """The notification to which a delivery belongs."""
    return NotificationId(delivery[:15] + b"\x00")


def last_delivery_of(notification: bytes) -> bytes:
    """The highest delivery id that a notification can have: the upper end of a range over its deliveries."""
    return notification[:15] + b"\xff"


def made_at(identifier: bytes) -> int:
    """The moment inside an id, in ms since the epoch."""
    return int.from_bytes(identifier[:6])


def to_text(identifier: bytes) -> str:
    """The canonical text of an id: 8-4-4-4-12 hexadecimal digits."""
    h = identifier.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def from_text(text: str) -> bytes:
    """The 16 bytes of an id's text. Raises ValueError for anything that is not a UUID."""
    return UUID(text).bytes
