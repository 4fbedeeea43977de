"""The spans of a delivery, from its events: by the worker that has just written them, and by whoever rebuilds them."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import DeliveryId, notification_of, to_text
from bellhouse.domain.trace import (
    API_SERVICE,
    CALLBACK,
    DELIVER,
    TOKENS,
    AttributeValue,
    Link,
    Span,
    SpanId,
    TraceId,
    callback_id,
    deliver_id,
    receive_id,
    send_id,
    send_name,
    span_id,
    worker_service,
)
from bellhouse.domain.words import Channel, DeliveryState

MS: Final = 1_000_000
"""Nanoseconds."""
_FAILED: Final[frozenset[DeliveryState]] = frozenset({"failed", "dead_lettered", "expired", "unknown"})


class About(NamedTuple):
    """Which delivery, in which trace."""

    trace: TraceId
    delivery: DeliveryId
    channel: Channel


class Told(NamedTuple):
    """One event of a worker."""

    n: int
    state: DeliveryState
    at: int
    """Milliseconds since the epoch."""
    detail: Detail


class Looked(NamedTuple):
    """When a worker began to look a delivery's facts up, and when it had them (ns since the epoch)."""

    began: int
    ended: int


def flight_spans(about: About, events: Sequence[Told], looked: Looked | None = None) -> Iterator[Span]:
    """`deliver` with what it did, from its events between taking a record and putting it down, of which all but the
    last are failovers. `looked` is known only while it happens: without it the spans are rebuilt ones."""
    first, last = events[0], events[-1]
    own = deliver_id(about.delivery, first.n)
    calls = [_call(about, told, own, looked is None) for told in events if told.detail.verdict and told.detail.provider]
    starts = [first.at * MS, *(call.start for call in calls)]
    ends = [last.at * MS, *(call.end for call in calls)]
    if looked is not None:
        starts.append(looked.began)
        ends.append(looked.ended)
    yield _deliver(about, last, own, min(starts), max(ends), looked is None)
    if looked is not None:
        lookup = span_id(about.delivery, TOKENS, first.n)
        yield Span(about.trace, lookup, own, TOKENS, worker_service(about.channel), looked.began, looked.ended)
    yield from calls


def _deliver(about: About, last: Told, own: SpanId, start: int, end: int, rebuilt: bool) -> Span:
    attributes: dict[str, AttributeValue] = {
        "notification_id": to_text(notification_of(about.delivery)),
        "delivery_id": to_text(about.delivery),
        "channel": about.channel,
        "state": last.state,
        "rebuilt": rebuilt,
    }
    if last.detail.reason:
        attributes["reason"] = last.detail.reason
    root = receive_id(notification_of(about.delivery))
    failure = last.state if last.state in _FAILED else None
    service = worker_service(about.channel)
    return Span(about.trace, own, root, DELIVER, service, start, end, attributes, (), "consumer", failure)


def _call(about: About, told: Told, parent: SpanId, rebuilt: bool) -> Span:
    detail, end = told.detail, told.at * MS
    provider = detail.provider or ""
    status = "success" if detail.verdict == "accepted" else detail.verdict or "unknown"
    attributes: dict[str, AttributeValue] = {
        "provider": provider,
        "status": status,
        "attempt": detail.attempt,
        "rebuilt": rebuilt,
    }
    if detail.code:
        attributes["code"] = detail.code
    return Span(
        about.trace,
        send_id(about.delivery, provider, detail.attempt),
        parent,
        send_name(provider),
        worker_service(about.channel),
        end - int(detail.duration_ms * MS),
        end,
        attributes,
        (),
        "client",
        None if status == "success" else status,
    )


def callback_span(about: About, n: int, detail: Detail, start: int, end: int, rebuilt: bool) -> Span:
    """A provider's news, number `n` among the delivery's events, linked to the call that it is about."""
    attributes: dict[str, AttributeValue] = {
        "delivery_id": to_text(about.delivery),
        "provider": detail.provider or "",
        "news": detail.news or "",
        "attempt": detail.attempt,
        "rebuilt": rebuilt,
    }
    links = (Link(about.trace, send_id(about.delivery, detail.provider or "", detail.attempt)),)
    root = receive_id(notification_of(about.delivery))
    failure = "failed" if detail.news == "failed" else None
    own = callback_id(about.delivery, n)
    return Span(about.trace, own, root, CALLBACK, API_SERVICE, start, end, attributes, links, "server", failure)
