"""A delivery in the worker's hands, from its intent until its outcome."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from bellhouse.domain.content import Content
from bellhouse.domain.delivery import Delivery, Detail, Event, PassedOver
from bellhouse.domain.ids import DeliveryId
from bellhouse.domain.notification import Notification
from bellhouse.domain.trace_delivery import About, Looked
from bellhouse.policy.unknown import AfterUnknown
from bellhouse.ports.log import Ends
from bellhouse.ports.store.deliver import Claim

_encode = msgspec.msgpack.Encoder().encode


class Traced(NamedTuple):
    """A sampled delivery in the worker's hands."""

    about: About
    looked: Looked


class Ticket:
    """One polled batch: how many of its records are unsettled, and where it ends in the log."""

    __slots__ = ("ends", "intents", "open", "traced")

    def __init__(self, ends: Ends, count: int) -> None:
        self.ends = ends
        self.open = count
        self.intents: list[int] = []
        """Under which its deliveries are being sent."""
        self.traced: dict[DeliveryId, Traced] | None = None
        """Its sampled deliveries; None where there are none, as in nearly every batch."""


class Flight:
    """What the worker knows of one delivery while it is being sent. It is the only mutable thing on the way."""

    __slots__ = (
        "address",
        "after_unknown",
        "claim",
        "content",
        "delivery",
        "events",
        "notification",
        "passed_over",
        "providers",
        "ticket",
        "tried",
    )

    def __init__(
        self,
        claim: Claim,
        ticket: Ticket,
        content: Content,
        address: str,
        providers: tuple[str, ...],
        after_unknown: AfterUnknown,
    ) -> None:
        self.claim = claim
        self.delivery: Delivery = claim.delivery
        self.notification: Notification = claim.notification
        self.ticket = ticket
        self.content = content
        self.address = address
        self.providers = providers
        """The providers that can reach the contact point; empty means all of the channel."""
        self.after_unknown = after_unknown
        self.tried: tuple[str, ...] = claim.delivery.tried
        self.passed_over: Mapping[str, PassedOver] | None = None
        """The providers before the one that was chosen, where it is not the first: what kept each from being asked."""
        self.events: list[Event] = []
        """Failed calls of this flight, to be written with its outcome."""

    @property
    def call(self) -> int:
        """The number of the call that is being made."""
        return self.delivery.calls + len(self.events) + 1

    def failed_over(self, provider: str, detail: Detail, now: int) -> None:
        """Note a failed call after which another provider is asked at once."""
        self.tried = (*self.tried, provider)
        n = self.delivery.step + len(self.events)
        self.events.append(Event(self.delivery.id, "worker", n, "in_flight", now, "in_flight", _encode(detail)))
