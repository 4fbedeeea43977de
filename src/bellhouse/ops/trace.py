"""The whole trace of a notification, rebuilt from its story: the spans that were recorded, or would have been.

Only what is stored is claimed. A decision's moment is known and how long it took is not, so its span has no length;
what leaves no row (the validation of a request, the lookup of contact points) is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import DeliveryId, NotificationId, delivery_id, to_text
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery
from bellhouse.domain.trace import (
    API_SERVICE,
    CALLBACK,
    DELIVER,
    RECEIVE,
    ROUTE,
    ROUTER_SERVICE,
    AttributeValue,
    Context,
    Kind,
    Link,
    Span,
    SpanId,
    TraceId,
    callback_id,
    caller_span,
    deliver_id,
    is_sampled,
    receive_id,
    send_id,
    send_name,
    span_id,
    trace_of,
    worker_service,
)
from bellhouse.domain.words import Channel
from bellhouse.ports.store import Story, StoryEvent
from bellhouse.web.times import milliseconds, rfc3339

_MS: Final = 1_000_000
_FAILED: Final = frozenset({"failed", "dead_lettered", "expired", "unknown"})
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
    start = milliseconds(datetime.fromisoformat(view.start)) * _MS
    trace = bytes.fromhex(trace_id)
    return Span(
        trace,
        bytes.fromhex(view.id),
        None if view.parent is None else bytes.fromhex(view.parent),
        view.name,
        view.service,
        start,
        start + int(view.duration_ms * _MS),
        view.attributes,
        tuple(Link(trace, bytes.fromhex(link)) for link in view.links),
        failure=view.failure,
    )


def _root(trace: TraceId, note: Notification) -> Span:
    at = note.received_at * _MS
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
    at = decision.at * _MS
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
    delivery = delivery_id(story.notification.id, plan.ordinal)
    case = _Case(trace, story.notification.id, delivery, plan.channel)
    flight: list[tuple[StoryEvent, Detail]] = []
    for event in story.events:
        if event.delivery != delivery:
            continue
        detail = _decode(event.detail) if event.detail else Detail()
        match event.source:
            case "worker":
                flight.append((event, detail))
                if event.state != "in_flight":  # a failover is followed by another call of the same flight
                    yield from case.flight(flight)
                    flight = []
            case "news":
                yield case.callback(event, detail)
            case "operator":
                pass
    if flight:
        yield from case.flight(flight)


class _Case:
    """One delivery while its spans are put together."""

    def __init__(self, trace: TraceId, notification: NotificationId, delivery: DeliveryId, channel: Channel) -> None:
        self._trace = trace
        self._root = receive_id(notification)
        self._delivery = delivery
        self._channel = channel
        self._service = worker_service(channel)
        self._calls: dict[int, Span] = {}

    def flight(self, events: Sequence[tuple[StoryEvent, Detail]]) -> Iterator[Span]:
        """`deliver` and the calls in it: what a worker did between taking a record and putting it down."""
        first, last, told = events[0][0], events[-1][0], events[-1][1]
        own = deliver_id(self._delivery, first.n)
        calls = [self._call(event, detail, own) for event, detail in events if detail.verdict and detail.provider]
        start = min([first.at * _MS, *(call.start for call in calls)])
        about: dict[str, AttributeValue] = {
            "delivery_id": to_text(self._delivery),
            "channel": self._channel,
            "state": last.state,
            "rebuilt": True,
        }
        if told.reason:
            about["reason"] = told.reason
        if told.retry_at:
            about["retry_at"] = rfc3339(told.retry_at)
        failure = last.state if last.state in _FAILED else None
        end = max([last.at * _MS, *(call.end for call in calls)])
        yield self._span(own, self._root, DELIVER, start, end, about, failure=failure)
        yield from calls

    def _call(self, event: StoryEvent, detail: Detail, parent: SpanId) -> Span:
        provider, end = detail.provider or "", event.at * _MS
        status = "success" if detail.verdict == "accepted" else detail.verdict or "unknown"
        about: dict[str, AttributeValue] = {
            "provider": provider,
            "status": status,
            "attempt": detail.attempt,
            "rebuilt": True,
        }
        if detail.code:
            about["code"] = detail.code
        own = send_id(self._delivery, provider, detail.attempt)
        start = end - int(detail.duration_ms * _MS)
        failure = None if status == "success" else status
        call = self._span(own, parent, send_name(provider), start, end, about, failure=failure)
        self._calls[detail.attempt] = call
        return call

    def callback(self, event: StoryEvent, detail: Detail) -> Span:
        """News, which comes after the call that it is about, whatever the provider's clock said."""
        about: dict[str, AttributeValue] = {
            "delivery_id": to_text(self._delivery),
            "provider": detail.provider or "",
            "news": detail.news or "",
            "attempt": detail.attempt,
            "provider_time": rfc3339(event.at),
            "rebuilt": True,
        }
        call = self._calls.get(detail.attempt)
        at = event.at * _MS if call is None else max(event.at * _MS, call.end)
        links = (Link(self._trace, call.id),) if call is not None else ()
        failure = "failed" if detail.news == "failed" else None
        own = callback_id(self._delivery, event.n)
        return Span(
            self._trace, own, self._root, CALLBACK, API_SERVICE, at, at, about, links, "server", failure=failure
        )

    def _span(
        self,
        own: SpanId,
        parent: SpanId,
        name: str,
        start: int,
        end: int,
        about: Mapping[str, AttributeValue],
        failure: str | None,
    ) -> Span:
        kind: Kind = "consumer" if name == DELIVER else "client"
        return Span(self._trace, own, parent, name, self._service, start, end, about, (), kind, failure)


def _view(note: Notification, span: Span) -> SpanView:
    origin = max(note.received_at, note.ready_at) if span.name != RECEIVE else note.received_at
    return SpanView(
        span.id.hex(),
        None if span.parent is None else span.parent.hex(),
        span.name,
        span.service,
        rfc3339(span.start // _MS),
        round((span.start - origin * _MS) / _MS, 1),
        round((span.end - span.start) / _MS, 1),
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
