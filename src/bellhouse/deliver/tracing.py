"""The spans of deliveries: noted when a batch is looked up, handed over when what became of it is stored."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from bellhouse.deliver.flight import Ticket, Traced
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import notification_of
from bellhouse.domain.trace import (
    DELIVER_BATCH,
    AttributeValue,
    Link,
    Span,
    deliver_id,
    is_sampled,
    span_id,
    trace_of,
    worker_service,
)
from bellhouse.domain.trace_delivery import About, Looked, Told, flight_spans
from bellhouse.domain.words import Channel, DeliveryState
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.deliver import Claim, Outcome
from bellhouse.ports.tracing import Moments, Tracing

if TYPE_CHECKING:
    from bellhouse.deliver.settler import Settled

_KEPT: Final[frozenset[DeliveryState]] = frozenset({"failed", "dead_lettered"})
_decode: Final = msgspec.msgpack.Decoder(Detail).decode


class LaneTracing:
    """One lane's spans. It costs a look at each notification's context where tracing is on, nothing where it is off."""

    def __init__(self, channel: Channel, topic: str, tracing: Tracing, clock: Clock) -> None:
        self.on = tracing.on
        self._channel = channel
        self._topic = topic
        self._tracing = tracing
        self._clock = clock

    def looked_up(self, ticket: Ticket, claims: Sequence[Claim], began: float) -> None:
        """Note the sampled ones of a batch whose facts were looked up since `began` (s, monotonic) until now."""
        sampled = [claim for claim in claims if is_sampled(claim.notification.traceparent)]
        if not sampled:
            return
        moments, now = Moments(self._clock), self._clock.monotonic()
        looked = Looked(moments.at(began), moments.at(now))
        ticket.traced = ticket.traced or {}
        links = []
        for claim in sampled:
            delivery, notification = claim.delivery, claim.notification
            trace = trace_of(notification.id, notification.traceparent)
            ticket.traced[delivery.id] = Traced(About(trace, delivery.id, self._channel), looked)
            links.append(Link(trace, deliver_id(delivery.id, delivery.step)))
        first = sampled[0].delivery
        own = span_id(first.id, DELIVER_BATCH, first.step)
        trace = own + span_id(own, DELIVER_BATCH)
        about: dict[str, AttributeValue] = {"topic": self._topic, "count": len(claims), "sampled": len(sampled)}
        service = worker_service(self._channel)
        batch = Span(
            trace, own, None, DELIVER_BATCH, service, looked.began, looked.ended, about, tuple(links), "consumer"
        )
        self._tracing.emit((batch,))

    def stored(self, settled: Iterable["Settled"]) -> None:
        """Hand over the spans of what is stored by now, and ask for the traces of what failed without any."""
        for one in settled:
            last = one.outcomes[-1].event
            traced = one.ticket.traced.get(last.delivery) if one.ticket.traced is not None else None
            if traced is not None:
                told = [_told(outcome) for outcome in one.outcomes]
                self._tracing.emit(tuple(flight_spans(traced.about, told, traced.looked)))
            elif last.state in _KEPT:
                self._tracing.keep(notification_of(last.delivery))


def _told(outcome: Outcome) -> Told:
    event = outcome.event
    return Told(event.n, event.state, event.at, _decode(event.detail))
