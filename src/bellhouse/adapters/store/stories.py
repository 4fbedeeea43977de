"""What readers are told of a notification, and which notifications a list is about, whatever store they are in."""

from collections.abc import Callable, Sequence
from typing import Any

from bellhouse.adapters.store.codec import decode_detail
from bellhouse.adapters.store.standing import StateOf, fold_all
from bellhouse.domain.ids import DeliveryId, delivery_id
from bellhouse.domain.notification import Decision, Notification
from bellhouse.domain.words import DeliveryState
from bellhouse.ports.store.insights import ListQuery, Story, StoryEvent


def story_of(
    notification: Notification,
    decision: Decision | None,
    rows: Sequence[Any],
    is_sending: Callable[[DeliveryId, StateOf], bool],
) -> Story:
    """Everything that is stored about a notification; `rows` are of (id, kind, n, state, detail, at, source)."""
    planned = [delivery_id(notification.id, d.ordinal) for d in decision.deliveries] if decision else []
    states: dict[DeliveryId, DeliveryState] = {
        delivery: "in_flight" if is_sending(delivery, standing) else standing.state
        for delivery, standing in fold_all(planned, [row[:5] for row in rows]).items()
    }
    events = _in_order([StoryEvent(i, source, n, state, at, detail) for i, _, n, state, detail, at, source in rows])
    waits = notification.ready_at if decision is None and notification.ready_at > notification.received_at else None
    return Story(notification, decision, events, states, waits)


def _in_order(events: Sequence[StoryEvent]) -> Sequence[StoryEvent]:
    """As they happened. News comes after what it is about: a provider's clock may be behind, or know whole seconds."""
    attempts = [decode_detail(event.detail).attempt if event.detail else 0 for event in events]
    made: dict[tuple[DeliveryId, int], int] = {}
    for event, attempt in zip(events, attempts, strict=True):
        if event.source != "news" and attempt:
            made[event.delivery, attempt] = min(event.at, made.get((event.delivery, attempt), event.at))

    def moment(place: int) -> tuple[int, bool, int]:
        event, attempt = events[place], attempts[place]
        if event.source != "news":
            return event.at, False, event.at
        return max(event.at, made.get((event.delivery, attempt), 0)), True, event.at

    return [events[place] for place in sorted(range(len(events)), key=moment)]


def bounds(query: ListQuery) -> tuple[bytes, bytes]:
    """The ids between which a list's notifications are: below the first, and not below the second."""
    return query.before or b"\xff" * 16, (query.since or 0).to_bytes(6) + bytes(10)


def matches(query: ListQuery, notification: Notification) -> bool:
    """Whether a notification belongs in a list, but for its state."""
    return (
        notification.tenant == query.tenant
        and (query.type is None or notification.type == query.type)
        and (query.campaign is None or notification.campaign == query.campaign)
        and (query.user_id is None or notification.user_id == query.user_id)
    )
