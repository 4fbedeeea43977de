"""A delivery: one notification on one channel to one contact point, its states and their lawful moves."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from bellhouse.domain.ids import DeliveryId
from bellhouse.domain.words import Channel, DeliveryState, Priority

Source = Literal["worker", "news", "operator"]
"""Who wrote an event: the delivering worker, a provider's callback, or an operator (cancel, replay, discard)."""

PassedOver = Literal["breaker", "silent", "rate"]
"""Why a provider that stands earlier in the order was not asked: its breaker was open, for failures or an operator, or
since it had accepted messages and confirmed none; or it was at its rate."""

NewsKind = Literal["accepted", "delivered", "failed"]
"""What a callback says of an attempt, in our words."""

TERMINAL: Final[frozenset[DeliveryState]] = frozenset({"delivered", "failed", "dead_lettered", "expired", "cancelled"})
"""Where nothing more is done by us; late news may still correct it, and a replay reopens a dead letter."""

MOVES: Final[dict[DeliveryState, frozenset[DeliveryState]]] = {
    "waiting": frozenset({"waiting", "in_flight", "expired", "cancelled", "failed", "dead_lettered", "delivered"}),
    "in_flight": frozenset({"in_flight", "waiting", "unknown", "sent", "delivered", "failed", "dead_lettered"}),
    "unknown": frozenset(
        {"unknown", "waiting", "in_flight", "sent", "delivered", "failed", "dead_lettered", "expired", "cancelled"}
    ),
    "sent": frozenset({"delivered", "failed"}),
    "delivered": frozenset({"failed"}),
    "failed": frozenset({"delivered", "sent"}),
    "dead_lettered": frozenset({"waiting", "delivered", "failed", "cancelled", "sent"}),
    "expired": frozenset({"delivered"}),
    "cancelled": frozenset({"delivered"}),
}
"""The table of lawful moves; `docs/` draws its diagram from here."""


class Delivery(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A delivery as it travels through `deliveries.<channel>.<priority>` and waits as a due row.

    The same evolution rule as for Notification: fields are only added at the end, with a default.
    """

    id: DeliveryId
    channel: Channel
    priority: Priority
    contact: str
    """The contact point's id within the recipient's profile."""
    expires_at: int
    template: str | None
    template_version: int
    notification: msgspec.Raw
    """The Notification's record, carried along unopened."""
    step: int = 0
    """How many worker events this delivery has had: the next one's number. It makes a redelivered record visible."""
    attempt: int = 0
    """Failed attempts so far that count against their limit; a failover to another provider is part of one."""
    ready_at: int = 0
    """When it may leave (ms since the epoch): receipt, or the due moment of what was scheduled or deferred."""
    tried: tuple[str, ...] = ()
    """Providers that have failed this delivery since it last waited, in order."""
    parked: bool = False
    """Whether the end of an outage or of a brake brings it back."""
    unknown_since: int = 0
    """When an attempt's outcome became unknown (ms); 0 when none is."""
    calls: int = 0
    """Calls of providers so far; the next one's number is one more, and travels to the provider and back."""
    unknown_at: str = ""
    """The provider whose answer never came; empty when none is awaited."""


class Event(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One thing that happened to a delivery: a row that is inserted and never changed.

    `n` numbers a worker's events (the delivery's `step`); for news it is a hash of the provider's event id, so
    that a repeated callback is the same row.
    """

    delivery: DeliveryId
    source: Source
    n: int
    state: DeliveryState
    at: int
    previous: DeliveryState = "waiting"
    detail: bytes = b""
    """A msgpack map of Detail's fields."""


class Detail(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What an event says beside its state."""

    reason: str | None = None
    provider: str | None = None
    attempt: int = 0
    verdict: str | None = None
    code: str | None = None
    """The provider's own code."""
    message_id: str | None = None
    duration_ms: float = 0.0
    news: NewsKind | None = None
    price: float = 0.0
    retry_at: int = 0
    by: str | None = None
    """Who did it, for an operator's act."""
    why: str | None = None
    passed_over: dict[str, PassedOver] = {}
    """The providers that stand earlier in the order and were not asked, by name."""


_NEWS_RANK: Final[dict[NewsKind, int]] = {"accepted": 0, "delivered": 1, "failed": 2}


def settled(worker: DeliveryState, last_attempt: int, news: Iterable[tuple[int, NewsKind]]) -> DeliveryState:
    """The state that follows from the worker's last state and *all* news, whatever order they came in.

    News is a set of (attempt, kind). Within one attempt the strongest counts: a bounce after `delivered` is a
    failure (SendGrid reports asynchronous bounces so). Over several attempts a delivered one wins; a failure
    counts only for the last attempt, since an earlier one has already been answered by another try.
    """
    strongest: dict[int, NewsKind] = {}
    for attempt, kind in news:
        known = strongest.get(attempt)
        if known is None or _NEWS_RANK[kind] > _NEWS_RANK[known]:
            strongest[attempt] = kind
    if "delivered" in strongest.values():
        return "delivered"
    latest = strongest.get(last_attempt)
    if latest is None:
        return worker
    if latest == "accepted":
        return "sent" if worker == "unknown" else worker
    return "failed" if worker in ("sent", "unknown", "delivered", "failed") else worker
