"""The whole trace of a notification, rebuilt from its story: the spans that were recorded, or would have been.

Only what is stored is claimed. A decision's moment is known and how long it took is not, so its span has no length;
what leaves no row (the validation of a request, the lookup of contact points) is left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import delivery_id, to_text
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery
from bellhouse.domain.trace import (
    API_SERVICE,
    DELIVER,
    RECEIVE,
    ROUTE,
    ROUTER_SERVICE,
    AttributeValue,
    Context,
    Link,
    Span,
    TraceId,
    caller_span,
    is_sampled,
    receive_id,
    send_name,
    span_id,
    trace_of,
    worker_service,
)
from bellhouse.domain.trace_delivery import MS, About, Told, callback_span, flight_spans
from bellhouse.domain.words import Channel
from bellhouse.ports.store.insights import Story, StoryEvent
from bellhouse.web.times import milliseconds, rfc3339

_decode: Final = msgspec.msgpack.Decoder(Detail).decode

UNTIL_ROUTED_MS: Final = 55.0
"""The latency budget from receipt to decision: receive 5, validate 10, write to the outbox 15, route 25."""
SEND_MS: Final[Mapping[Channel, float]] = {"push": 125.0, "email": 500.0}
"""The budget of a provider's call."""
DELIVER_MS: Final[Mapping[Channel, float]] = {"push": 150.0, "email": 500.0}
"""The budget of a delivery in the worker's hands; other channels have none."""


class SpanView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One span. `id` and `parent` are W3C span ids in hexadecimal digits."""

    id: str
    parent: str | None
    name: str
    service: str
    start: str
    """RFC 3339."""
    after_ms: float
    """From the notification's receipt (or from the moment it was scheduled for) to the span's start."""
    duration_ms: float
    attributes: dict[str, AttributeValue]
    failure: str | None = None
    links: tuple[str, ...] = ()
    """The spans of the same trace that it is about."""
    budget_ms: float | None = None
    """What the latency budget gives: to `route` from receipt to decision, to the others for themselves."""


class TraceAnswer(msgspec.Struct, frozen=True):
    """The trace of a notification, rebuilt from its story; a parent comes before its children."""

    id: str
    trace_id: str
    sampled: bool
    """Whether its spans were recorded while it was worked on."""
    traceparent: str
    """The context of its root, for whoever wants to link to it."""
    spans: list[SpanView]


def rebuild(story: Story) -> list[Span]:
    """The spans of a story, the root first, each delivery's in the order in which they happened."""
    note, decision = story.notification, story.decision
    trace = trace_of(note.id, note.traceparent)
    spans = [_root(trace, note)]
    if decision is not None:
        spans.append(_route(trace, note, decision))
        for plan in decision.deliveries:
            spans.extend(_of_delivery(trace, story, plan))
    return spans


def trace_view(story: Story) -> TraceAnswer:
    """A story's trace as it is shown."""
    note = story.notification
    trace, sampled = trace_of(note.id, note.traceparent), is_sampled(note.traceparent)
    return TraceAnswer(
        to_text(note.id),
        trace.hex(),
        sampled,
        Context(trace, receive_id(note.id), sampled).text,
        [_view(note, span) for span in rebuild(story)],
    )


def span_of(trace_id: str, view: SpanView) -> Span:
    """A shown span as a span again, to the millisecond; for whoever exports what the API answered."""
    start = milliseconds(datetime.fromisoformat(view.start)) * MS
    trace = bytes.fromhex(trace_id)
    return Span(
        trace,
        bytes.fromhex(view.id),
        None if view.parent is None else bytes.fromhex(view.parent),
        view.name,
        view.service,
        start,
        start + int(view.duration_ms * MS),
        view.attributes,
        tuple(Link(trace, bytes.fromhex(link)) for link in view.links),
        failure=view.failure,
    )


def _root(trace: TraceId, note: Notification) -> Span:
    at = note.received_at * MS
    about: dict[str, AttributeValue] = {
        "notification_id": to_text(note.id),
        "user_id": note.user_id,
        "priority": note.priority,
        "type": note.type,
        "tenant": int(note.tenant),
        "rebuilt": True,
    }
    if note.ready_at > note.received_at:
        about["send_at"] = rfc3339(note.ready_at)
    parent = caller_span(note.id, note.traceparent)
    return Span(trace, receive_id(note.id), parent, RECEIVE, API_SERVICE, at, at, about, (), "server", None, True)


def _route(trace: TraceId, note: Notification, decision: Decision) -> Span:
    at = decision.at * MS
    about: dict[str, AttributeValue] = {
        "notification_id": to_text(note.id),
        "state": decision.state,
        "deliveries": len(decision.deliveries),
        "rebuilt": True,
    }
    if not decision.deliveries and decision.reasons:
        about["reason"] = decision.reasons[0].code
    return Span(
        trace, span_id(note.id, ROUTE), receive_id(note.id), ROUTE, ROUTER_SERVICE, at, at, about, (), "consumer"
    )


def _of_delivery(trace: TraceId, story: Story, plan: PlannedDelivery) -> Iterator[Span]:
    about = About(trace, delivery_id(story.notification.id, plan.ordinal), plan.channel)
    calls: dict[int, Span] = {}
    for spans in _in_turn(about, story.events, calls):
        for span in spans:
            if span.name.startswith(send_name("")):
                calls[int(span.attributes["attempt"])] = span
            yield span


def _in_turn(about: About, events: Sequence[StoryEvent], calls: Mapping[int, Span]) -> Iterator[Iterable[Span]]:
    flight: list[Told] = []
    for event in events:
        if event.delivery != about.delivery:
            continue
        detail = _decode(event.detail) if event.detail else Detail()
        match event.source:
            case "worker":
                flight.append(Told(event.n, event.state, event.at, detail))
                if event.state != "in_flight":  # a failover is followed by another call of the same flight
                    yield flight_spans(about, flight)
                    flight = []
            case "news":
                yield (_callback(about, event, detail, calls.get(detail.attempt)),)
            case "operator":
                pass
    if flight:
        yield flight_spans(about, flight)


def _callback(about: About, event: StoryEvent, detail: Detail, call: Span | None) -> Span:
    """News, which comes after the call that it is about, whatever the provider's clock said."""
    at = event.at * MS if call is None else max(event.at * MS, call.end)
    span = callback_span(about, event.n, detail, at, at, rebuilt=True)
    told = {**span.attributes, "provider_time": rfc3339(event.at)}
    same = call is not None and call.name == send_name(detail.provider or "")
    return msgspec.structs.replace(span, attributes=told, links=span.links if same else ())


def _view(note: Notification, span: Span) -> SpanView:
    origin = max(note.received_at, note.ready_at) if span.name != RECEIVE else note.received_at
    return SpanView(
        span.id.hex(),
        None if span.parent is None else span.parent.hex(),
        span.name,
        span.service,
        rfc3339(span.start // MS),
        round((span.start - origin * MS) / MS, 1),
        round((span.end - span.start) / MS, 1),
        dict(span.attributes),
        span.failure,
        tuple(link.span_id.hex() for link in span.links),
        _budget(span),
    )


def _budget(span: Span) -> float | None:
    if span.name == ROUTE:
        return UNTIL_ROUTED_MS
    channel = next((channel for channel in DELIVER_MS if worker_service(channel) == span.service), None)
    if channel is None:
        return None
    return DELIVER_MS[channel] if span.name == DELIVER else SEND_MS[channel]
