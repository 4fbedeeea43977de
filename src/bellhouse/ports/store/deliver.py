"""What delivering asks of the store: standings, intents, and outcomes with all that follows from them."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from bellhouse.domain.delivery import Delivery, Event
from bellhouse.domain.ids import DeliveryId, RecipientNo, TenantNo
from bellhouse.domain.notification import Notification
from bellhouse.ports.log import Position
from bellhouse.ports.store.route import Facts


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One polled delivery with its notification opened, for which the worker asks the store."""

    delivery: Delivery
    notification: Notification
    again: bool = False
    """Whether somebody may have polled this record before, and may be sending it."""


Sending = Literal["no", "elsewhere", "interrupted"]
"""Nobody is sending it; a living process is (this one, perhaps, from before its partition came back); or a process was,
and has died with its outcome unknown."""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """What the store knows of a polled delivery."""

    stale: bool
    """Whether this record has already been worked on, or the delivery has ended: drop it."""
    superseded: bool
    """Whether a newer notification with the same collapse key has been accepted."""
    settled: bool = False
    """Whether what this record asks for has its outcome: of a delivery that ended by news alone it has none yet."""
    sending: Sending = "no"
    """Whether what this record asks for is under way; looked up for records that come `again`."""


class Standings(msgspec.Struct, frozen=True):
    standings: Sequence[Standing]
    facts: Facts
    as_of: int
    """The count of operator acts when this was read; `begin` notices those that came since."""


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A delivery that was given up, with what is needed to replay it."""

    delivery: Delivery
    notification: Notification
    reason: str
    at: int
    provider: str | None = None
    code: str | None = None


class InboxItem(msgspec.Struct, frozen=True, gc=False):
    """An in-app message in a recipient's inbox."""

    recipient: RecipientNo
    delivery: DeliveryId
    type: str
    title: str
    body: str
    at: int
    link: str | None = None
    read_at: int = 0
    expires_at: int = 0


class Retirement(msgspec.Struct, frozen=True, gc=False):
    """A contact point that a provider called dead."""

    recipient: RecipientNo
    contact: str
    reason: str


class Suppression(msgspec.Struct, frozen=True, gc=False):
    """An address that must not be written to."""

    tenant: TenantNo
    address: str
    reason: str
    at: int
    detail: str = ""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one delivery in the worker's hands: its event, and the record that waits, if it goes on."""

    event: Event
    tenant: TenantNo
    again: Delivery | None = None
    """The delivery's next record; None when the worker has done with it."""
    again_at: int = 0
    """When it goes on (ms since the epoch)."""
    park: bool = False
    """Whether it waits for an outage of its channel to end rather than for `again_at`, its expiry."""
    held_by: str = ""
    """The scope of the brake that it waits under rather than for `again_at`, its expiry; empty where there is none."""


class Settlement(msgspec.Struct, frozen=True):
    """A batch of outcomes and everything that follows from them, written in one transaction."""

    outcomes: Sequence[Outcome] = ()
    dead_letters: Sequence[DeadLetter] = ()
    retirements: Sequence[Retirement] = ()
    suppressions: Sequence[Suppression] = ()
    intents: Sequence[int] = ()
    """Intents whose deliveries are all settled by now."""
    done: Sequence[Position] = ()


class Intent(msgspec.Struct, frozen=True):
    """The durable note of a batch that is about to be sent."""

    number: int
    lane: str
    at: int
    deliveries: tuple[DeliveryId, ...]
    """Those of which the outcome is not known."""
    steps: tuple[int, ...] = ()
    """The step of each that was about to be taken: an earlier or later record of it is another piece of work."""


class DeliverStore(Protocol):
    async def standings(self, claims: Sequence[Claim]) -> Standings:
        """What is known of these deliveries and their recipients, read now."""
        ...

    async def begin(
        self, lane: str, claims: Sequence[Claim], as_of: int, now: int
    ) -> tuple[int, frozenset[DeliveryId]]:
        """Note durably that these deliveries are about to be sent; answers the intent's number and which of them
        were cancelled since `as_of`, or answered by news of an earlier attempt, which are not part of it. Where
        none is left to send there is no intent, and the number is 0. Raises LeaseLost where this process has been
        given up by the others."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Write outcomes with what follows from them. One about a delivery that was not being sent, and that a
        cancellation or news has moved since it was polled, no longer holds and is left out. One about a delivery that
        was being sent, and that another process has meanwhile called interrupted, comes too late to be its outcome:
        what it knows (the provider took it) is kept as news."""
        ...

    async def open_intents(self, lane: str) -> Sequence[Intent]:
        """What an earlier process of this lane was sending when it ended: of these the outcome is unknown. Nothing
        where a lane may have several processes: there `standings` tells it of each record that comes again."""
        ...

    async def put_inbox(self, items: Sequence[InboxItem]) -> None:
        """Add items; one that is already there stays as it is."""
        ...
