"""Facts from which the policy's tests start."""

from typing import Any

import msgspec

from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.delivery import Delivery
from bellhouse.domain.ids import DeliveryId, NotificationId, RecipientNo, TenantNo
from bellhouse.domain.notification import Decision, Notification
from bellhouse.domain.recipient import ContactPoint, Preferences, Profile
from bellhouse.domain.words import CHANNELS
from bellhouse.policy.decide import decide

NOON = 1_782_900_000_000
"""2026-07-01 10:00 UTC, noon in Paris."""
HOUR = 3_600_000

PHONE = ContactPoint(id="push:1", channel="push", address="token-1")
TABLET = ContactPoint(id="push:2", channel="push", address="token-2")
MAIL = ContactPoint(id="email:1", channel="email", address="ann@example.org")
WORK_MAIL = ContactPoint(id="email:2", channel="email", address="ann@example.com")
MOBILE = ContactPoint(id="sms:1", channel="sms", address="+33612345678")
EVERYTHING = (PHONE, TABLET, MAIL, WORK_MAIL, MOBILE)


def notification(**changes: Any) -> Notification:
    plain = Notification(
        id=NotificationId(bytes(16)),
        tenant=TenantNo(1),
        recipient=RecipientNo(7),
        user_id="ann",
        type="order_shipped",
        priority="normal",
        data=b"{}",
        received_at=NOON,
        expires_at=NOON + 24 * HOUR,
        ready_at=NOON,
    )
    return msgspec.structs.replace(plain, **changes)


def kind(category: Any = "product", **changes: Any) -> NotificationType:
    return NotificationType(name="order_shipped", category=category, **changes)


def profile(*contacts: ContactPoint, preferences: Preferences | None = None, zone: str = "Europe/Paris") -> Profile:
    return Profile(
        user_id="ann",
        zone=zone,
        contacts=contacts or EVERYTHING,
        preferences=Preferences() if preferences is None else preferences,
    )


def delivery(contact: ContactPoint = MAIL, **changes: Any) -> Delivery:
    plain = Delivery(
        id=DeliveryId(bytes(15) + b"\x01"),
        channel=contact.channel,
        priority="normal",
        contact=contact.id,
        expires_at=NOON + 24 * HOUR,
        template="order_shipped",
        template_version=3,
        notification=msgspec.Raw(b""),
    )
    return msgspec.structs.replace(plain, **changes)


def decided(
    asked: Notification | None = None,
    of: NotificationType | None = None,
    who: Profile | None = None,
    stops: frozenset[str] = frozenset(),
    contents: tuple[Any, ...] = CHANNELS,
    now: int = NOON,
) -> Decision:
    return decide(asked or notification(), of or kind(), who or profile(), stops, contents, "order_shipped", 3, now)


def taken(decision: Decision) -> list[str]:
    return [plan.contact for plan in decision.deliveries]


def refused(decision: Decision) -> list[tuple[str, str | None]]:
    return [(reason.code, reason.channel) for reason in decision.reasons]
