"""The spans of a routed batch: one for the batch, linked to its sampled notifications, and theirs."""

from collections.abc import Sequence
from typing import NamedTuple

from bellhouse.domain.ids import to_text
from bellhouse.domain.trace import (
    PREFERENCES,
    PUBLISH,
    ROUTE,
    ROUTE_BATCH,
    ROUTER_SERVICE,
    AttributeValue,
    Link,
    Span,
    is_sampled,
    receive_id,
    span_id,
    trace_of,
)
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.route import Routed
from bellhouse.ports.tracing import Moments


class Times(NamedTuple):
    """Monotonic moments (s) of a batch: polled, its facts known, decided, stored and published."""

    began: float
    known: float
    decided: float
    published: float


def routed_spans(topic: str, routed: Sequence[Routed], times: Times, clock: Clock) -> Sequence[Span]:
    """The spans of a batch; none where none of it is sampled."""
    sampled = [item for item in routed if is_sampled(item.notification.traceparent)]
    if not sampled:
        return ()
    moments = Moments(clock)
    spans: list[Span] = []
    links: list[Link] = []
    began, known, decided, published = (moments.at(moment) for moment in times)
    for item in sampled:
        notification = item.notification
        trace, own = trace_of(notification.id, notification.traceparent), span_id(notification.id, ROUTE)
        about: dict[str, AttributeValue] = {
            "notification_id": to_text(notification.id),
            "state": item.decision.state,
            "deliveries": len(item.deliveries),
        }
        root = receive_id(notification.id)
        spans += (
            Span(trace, own, root, ROUTE, ROUTER_SERVICE, began, published, about, (), "consumer"),
            Span(trace, span_id(notification.id, PREFERENCES), own, PREFERENCES, ROUTER_SERVICE, began, known),
            Span(
                trace, span_id(notification.id, PUBLISH), own, PUBLISH, ROUTER_SERVICE, decided, published, {}, (),
                "producer",
            ),
        )  # fmt: skip
        links.append(Link(trace, own))
    first = sampled[0].notification.id
    whole: dict[str, AttributeValue] = {"topic": topic, "count": len(routed), "sampled": len(sampled)}
    own = span_id(first, ROUTE_BATCH)
    batch_trace = own + span_id(own, ROUTE_BATCH)
    spans.append(
        Span(batch_trace, own, None, ROUTE_BATCH, ROUTER_SERVICE, began, published, whole, tuple(links), "consumer")
    )
    return spans
