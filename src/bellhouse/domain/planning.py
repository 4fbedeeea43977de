"""From a decision to the records of its deliveries; the same decision always makes the same ones."""

import msgspec

from bellhouse.domain.delivery import Delivery
from bellhouse.domain.ids import delivery_id
from bellhouse.domain.notification import Decision, Notification


def planned_deliveries(notification: Notification, record: bytes, decision: Decision) -> tuple[Delivery, ...]:
    """The deliveries that a decision plans; `record` is the notification as it travels, carried along unopened."""
    raw = msgspec.Raw(record)
    return tuple(
        Delivery(
            delivery_id(notification.id, plan.ordinal),
            plan.channel,
            notification.priority,
            plan.contact,
            notification.expires_at,
            decision.template,
            decision.template_version,
            raw,
            ready_at=max(notification.ready_at, plan.not_before),
        )
        for plan in decision.deliveries
    )
