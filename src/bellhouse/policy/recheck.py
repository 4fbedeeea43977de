"""What is asked again at the moment of sending: only what can have been revoked or run out since the decision."""

from collections.abc import Collection

from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.delivery import Delivery
from bellhouse.domain.notification import Notification
from bellhouse.domain.recipient import ContactPoint, Profile
from bellhouse.domain.words import DeliveryState
from bellhouse.policy import quiet
from bellhouse.policy.consent import refusal
from bellhouse.policy.decide import IN_APP
from bellhouse.policy.reasons import ReasonCode

Answer = tuple[ContactPoint | None, ReasonCode | None, int]
"""The contact point to send to; or why not (now), and the moment until which it waits (ms, 0 where it is over)."""


def recheck(
    delivery: Delivery,
    notification: Notification,
    kind: NotificationType,
    profile: Profile | None,
    suppressed: Collection[str],
    now: int,
) -> Answer:
    """Ask fresh facts whether this delivery may still go out.

    `(contact, None, 0)`: send it. `(contact, "waiting:quiet_hours", not_before)`: not before then. `(None, reason,
    0)`: never; `state_after` names the state in which it ends.
    """
    if now > delivery.expires_at:
        return None, "expired:lifetime", 0
    code = "suppressed:recipient_deleted" if profile is None else refusal(profile.preferences, kind, delivery.channel)
    if profile is None or code is not None:
        return None, code, 0
    if delivery.channel == "in_app":
        return IN_APP, None, 0
    contact = _contact(profile, delivery.contact)
    if contact is None or contact.address in suppressed:
        return None, "suppressed:no_contact_point" if contact is None else "suppressed:address", 0
    later = 0
    if profile.preferences.quiet_hours is not None:
        later = quiet.deferral(kind, profile, notification.recipient, now, delivery.expires_at)
    if later == quiet.DROPPED:
        return None, "suppressed:quiet_hours", 0
    return contact, "waiting:quiet_hours" if later else None, later


def _contact(profile: Profile, wanted: str) -> ContactPoint | None:
    for contact in profile.contacts:
        if contact.id == wanted:
            return contact
    return None


def state_after(reason: ReasonCode) -> DeliveryState:
    """The state of a delivery that `recheck` has not let out."""
    match reason.partition(":")[0]:
        case "expired":
            return "expired"
        case "waiting":
            return "waiting"
        case _:
            return "cancelled"
