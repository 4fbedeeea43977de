"""The spans of callbacks: of news that moved a sampled notification's delivery, or will."""

from collections.abc import Sequence
from typing import Final

import msgspec

from bellhouse.domain.delivery import Detail
from bellhouse.domain.trace import Span, is_sampled, trace_of
from bellhouse.domain.trace_delivery import About, callback_span
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.confirm import Confirmed, NewsRow
from bellhouse.ports.tracing import Moments

_decode: Final = msgspec.msgpack.Decoder(Detail).decode


def called_back(rows: Sequence[NewsRow], about: Sequence[Confirmed], began: float, clock: Clock) -> Sequence[Span]:
    """A span for each of these rows that is about one of the deliveries, where that is sampled; `began` is when their
    commit did (s, monotonic)."""
    sampled = {one.delivery: one for one in about if is_sampled(one.notification.traceparent)}
    if not sampled:
        return ()
    moments = Moments(clock)
    start, end = moments.at(began), moments.at(clock.monotonic())
    return [
        callback_span(_about(sampled[row.delivery]), row.n, _decode(row.detail), start, end, rebuilt=False)
        for row in rows
        if row.delivery in sampled
    ]


def _about(one: Confirmed) -> About:
    return About(trace_of(one.notification.id, one.notification.traceparent), one.delivery, one.channel)
