"""The spans of an accepted notification: its receipt, with its validation and its way into the outbox."""

from typing import NamedTuple

from bellhouse.domain.ids import to_text
from bellhouse.domain.notification import Notification
from bellhouse.domain.trace import (
    API_SERVICE,
    RECEIVE,
    VALIDATE,
    WRITE,
    AttributeValue,
    Span,
    caller_span,
    receive_id,
    span_id,
    trace_of,
)
from bellhouse.ports.tracing import Moments


class Times(NamedTuple):
    """Monotonic moments (s): the request began, it was found well-formed, its commit began and had ended."""

    began: float
    checked: float
    commit_began: float
    committed: float


def received(notification: Notification, times: Times, moments: Moments) -> tuple[Span, Span, Span]:
    """What ingest did for a sampled notification."""
    identifier = notification.id
    trace, root = trace_of(identifier, notification.traceparent), receive_id(identifier)
    began, committed = moments.at(times.began), moments.at(times.committed)
    about: dict[str, AttributeValue] = {
        "notification_id": to_text(identifier),
        "user_id": notification.user_id,
        "priority": notification.priority,
        "type": notification.type,
        "tenant": int(notification.tenant),
    }
    parent = caller_span(identifier, notification.traceparent)
    checked, writing = moments.at(times.checked), moments.at(times.commit_began)
    return (
        Span(trace, root, parent, RECEIVE, API_SERVICE, began, committed, about, (), "server", None, True),
        Span(trace, span_id(identifier, VALIDATE), root, VALIDATE, API_SERVICE, began, checked),
        Span(trace, span_id(identifier, WRITE), root, WRITE, API_SERVICE, writing, committed, {}, (), "producer"),
    )
