"""Traces: W3C contexts, and spans whose ids follow from what they are about.

A span's id is a digest of its notification or delivery, its name and its number. So the spans that a process emits
while it works, and those that are rebuilt from the stored story, are the same spans; and no process needs to be told
the id of a parent that another one made. A notification that came without a context has its own id for its trace's.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from bellhouse.domain.ids import DeliveryId, NotificationId
from bellhouse.domain.words import Channel

TraceId = bytes
"""16 bytes, not all zero."""
SpanId = bytes
"""8 bytes, not all zero."""

RECEIVE: Final = "receive_notification"
VALIDATE: Final = "validate"
WRITE: Final = "write_to_outbox"
ROUTE: Final = "route"
PREFERENCES: Final = "fetch_preferences"
PUBLISH: Final = "publish_to_channels"
DELIVER: Final = "deliver"
TOKENS: Final = "fetch_device_tokens"
CALLBACK: Final = "callback"
ROUTE_BATCH: Final = "route_batch"
DELIVER_BATCH: Final = "deliver_batch"

API_SERVICE: Final = "notification-api"
ROUTER_SERVICE: Final = "notification-router"

Kind = Literal["server", "client", "producer", "consumer", "internal"]
AttributeValue = str | int | float | bool

_LENGTH: Final = 55
_HEX: Final = frozenset("0123456789abcdef")
_ODD: Final = frozenset("13579bdf")
_RANDOM_BITS: Final = 56


class Context(msgspec.Struct, frozen=True, gc=False):
    """What a `traceparent` says: the trace, the span that caused this one, and whether it is sampled."""

    trace_id: TraceId
    parent: SpanId
    sampled: bool

    @property
    def text(self) -> str:
        """The header's value, version 00."""
        return f"00-{self.trace_id.hex()}-{self.parent.hex()}-{'01' if self.sampled else '00'}"


class Link(msgspec.Struct, frozen=True, gc=False):
    """Another span that a span is about."""

    trace_id: TraceId
    span_id: SpanId


class Span(msgspec.Struct, frozen=True, gc=False):
    """One finished piece of work of a trace. It carries no address and no content."""

    trace_id: TraceId
    id: SpanId
    parent: SpanId | None
    name: str
    service: str
    """Whose work it is, as logs name it: `notification-api`, `push-worker`."""
    start: int
    """Nanoseconds since the epoch."""
    end: int
    attributes: Mapping[str, AttributeValue] = {}
    links: tuple[Link, ...] = ()
    kind: Kind = "internal"
    failure: str | None = None
    """What went wrong, as a word; None where nothing did."""
    remote_parent: bool = False
    """Whether the parent is the caller's."""


def parse(traceparent: str | None) -> Context | None:
    """The context of a W3C `traceparent`; None for none, and for one that is malformed: its trace starts anew."""
    if traceparent is None or len(traceparent) < _LENGTH:
        return None
    version, trace, parent, flags = traceparent[:2], traceparent[3:35], traceparent[36:52], traceparent[53:55]
    well_formed = traceparent[2] == traceparent[35] == traceparent[52] == "-" and version != "ff"
    longer = traceparent[_LENGTH:]
    if not well_formed or (longer and (version == "00" or longer[0] != "-")):
        return None
    if not _HEX.issuperset(version + trace + parent + flags):
        return None
    if trace.count("0") == len(trace) or parent.count("0") == len(parent):
        return None
    return Context(bytes.fromhex(trace), bytes.fromhex(parent), flags[1] in _ODD)


def id_of(traceparent: str | None) -> str | None:
    """The trace's id in a stored context, as log lines carry it; None where there is none."""
    return None if traceparent is None or len(traceparent) < _LENGTH else traceparent[3:35]


def is_sampled(traceparent: str | None) -> bool:
    """Whether a stored context says that its spans are recorded. Costs a comparison where there is none."""
    return traceparent is not None and traceparent[54:55] in _ODD


def takes(trace_id: TraceId, ratio: float) -> bool:
    """Whether a share `ratio` of all traces has this one in it: by its last 56 bits, as OpenTelemetry's consistent
    probability sampling reads them, so that everybody who asks with the same ratio gets the same answer."""
    return int.from_bytes(trace_id[-7:]) >= (1.0 - ratio) * (1 << _RANDOM_BITS)


def trace_of(notification: NotificationId, traceparent: str | None) -> TraceId:
    """A notification's trace: the caller's, or its own id."""
    context = parse(traceparent)
    return bytes(notification) if context is None else context.trace_id


def caller_span(notification: NotificationId, traceparent: str | None) -> SpanId | None:
    """The caller's span that asked for a notification; None where it came without a context."""
    context = parse(traceparent)
    return None if context is None or context.trace_id == notification else context.parent


def own_context(notification: NotificationId) -> Context:
    """The context of a sampled notification that came without one."""
    return Context(bytes(notification), receive_id(notification), sampled=True)


def answered_context(notification: NotificationId, traceparent: str) -> Context | None:
    """What the caller is told: the trace, and the span that took its request on."""
    context = parse(traceparent)
    return None if context is None else Context(context.trace_id, receive_id(notification), context.sampled)


def span_id(about: bytes, name: str, number: int = 0) -> SpanId:
    """The id of a span about a notification, a delivery or a batch; `number` tells several of one name apart."""
    digest = blake2b(b"%b%b:%d" % (about, name.encode(), number), digest_size=8).digest()
    return digest if any(digest) else b"\0\0\0\0\0\0\0\1"


def receive_id(notification: NotificationId) -> SpanId:
    """The root of a notification's spans."""
    return span_id(notification, RECEIVE)


def deliver_id(delivery: DeliveryId, step: int) -> SpanId:
    """The work on a delivery from its step `step` on, until it waits or ends."""
    return span_id(delivery, DELIVER, step)


def send_name(provider: str) -> str:
    """How the call of a provider is called."""
    return f"send_to_{provider}"


def send_id(delivery: DeliveryId, provider: str, call: int) -> SpanId:
    """The call number `call` of a delivery."""
    return span_id(delivery, send_name(provider), call)


def callback_id(delivery: DeliveryId, news: int) -> SpanId:
    """A provider's news; `news` is its number among the delivery's events."""
    return span_id(delivery, CALLBACK, news)


def worker_service(channel: Channel) -> str:
    """The service that delivers a channel, as its Kubernetes Deployment is called."""
    return f"{channel.replace('_', '-')}-worker"
