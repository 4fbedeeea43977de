"""Records that two processes may have in their hands: how who takes them over and who had them learn of one another.

The log may give a partition away while its last reader is still about to send what it has polled of it, or to hold it
back; and a record may be in the log twice. Whoever polls what another may have polled before (`Claim.again`) is alone
when it notes what it does with it, sees all that others have noted by then, and leaves a mark among the acts. The
others share a lock, find the mark, and look closer. So of all that hold a record one alone notes what becomes of it,
and as long as no partition moves nobody pays for that.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.adapters.store.postgres import partitions
from bellhouse.adapters.store.postgres.database import Connection
from bellhouse.adapters.store.postgres.events import lock_steps, states_of
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.standing import stands, unpack
from bellhouse.adapters.store.tally import day_of
from bellhouse.domain.delivery import Event
from bellhouse.domain.ids import DeliveryId
from bellhouse.ports.log import deliveries_topic
from bellhouse.ports.store.deliver import Claim, Outcome, Sending, Standing
from bellhouse.ports.store.errors import LeaseLost

_SQL: Final = queries("takeover")

Work = tuple[DeliveryId, int]
"""A delivery's step."""


def work_of(claim: Claim) -> Work:
    return claim.delivery.id, claim.delivery.step


def lane_of(claim: Claim) -> str:
    return deliveries_topic(claim.delivery.channel, claim.delivery.priority)


class Hands:
    """What a process remembers of the work that it may share with others."""

    def __init__(self) -> None:
        self._named: set[Work] = set()
        """What an open intent names, as far as this process knows: a copy of such a record is somebody's already."""
        self._taken: dict[Work, str] = {}
        """What it has taken over and done nothing with yet, with its lane."""

    def may_be_shared(self, claim: Claim) -> bool:
        return claim.again or work_of(claim) in self._named

    def learn(self, asked: Iterable[Claim], sending: Mapping[Work, Sending]) -> None:
        """What the intents say of these claims."""
        self._named.difference_update(work_of(claim) for claim in asked)
        self._named.update(sending)

    def take(self, claims: Sequence[Claim], standings: Sequence[Standing]) -> None:
        """Remember which claims are this process's to begin or to hold back, though another may hold them."""
        for claim, standing in zip(claims, standings, strict=True):
            if claim.again and not standing.stale and standing.sending == "no":
                self._taken[work_of(claim)] = lane_of(claim)

    def lanes_of(self, events: Iterable[Event]) -> list[str]:
        """The lanes of those that were taken over."""
        return sorted({self._taken[event.delivery, event.n] for event in events if _work(event) in self._taken})

    def named(self, events: Iterable[Event]) -> frozenset[Work]:
        """Those that were begun as copies meanwhile."""
        return frozenset(map(_work, events)) & self._named

    def begun(self, claims: Sequence[Claim], ended: frozenset[DeliveryId]) -> None:
        """Claims were begun, but for those that had ended."""
        for claim in claims:
            self._taken.pop(work_of(claim), None)
            if claim.delivery.id not in ended:
                self._named.add(work_of(claim))

    def settled(self, outcomes: Iterable[Outcome]) -> None:
        """Outcomes are written."""
        for outcome in outcomes:
            self._named.discard(_work(outcome.event))
            self._taken.pop(_work(outcome.event), None)


class Since(msgspec.Struct, frozen=True):
    """What has been done since claims were looked at."""

    acts: frozenset[bytes]
    """Deliveries that were cancelled, and lanes of which records were taken over."""
    complete: bool
    """Whether that is all of it."""
    trusted: bool

    def concerns(self, lane: str) -> bool:
        return not self.complete or lane.encode() in self.acts


async def lock_acts(connection: Connection, taken: Sequence[str]) -> None:
    """Let nobody cancel, nor take anything over, until the transaction ends; alone, and with a mark for the others,
    where records of the lanes `taken` are taken over by it."""
    await connection.execute(_SQL["alone" if taken else "share"])
    if taken:
        await connection.execute(_SQL["mark"], [lane.encode() for lane in taken])


async def since(connection: Connection, process: str, as_of: int) -> Since:
    """What has been done since `as_of`; the acts are locked."""
    acts, oldest, trusted = await connection.fetchrow(_SQL["since"], as_of, process)
    return Since(frozenset(acts), as_of + 1 >= oldest, trusted)


async def ended(connection: Connection, claims: Sequence[Claim], closer: bool) -> frozenset[DeliveryId]:
    """Those of the claims that need no sending any more: cancelled, answered by news, or worked on by another; with a
    `closer` look, also those of days that have been dropped."""
    if not claims:
        return frozenset()
    identifiers = [claim.delivery.id for claim in claims]
    await lock_steps(connection, identifiers)
    states = await states_of(connection, identifiers)
    gone = {c.delivery.id for c in claims if not stands(c, states[c.delivery.id])}
    if closer:
        kept = frozenset(await partitions.days(connection))
        gone |= {identifier for identifier in identifiers if day_of(identifier) not in kept}
    return frozenset(gone)


async def refuse_what_is_being_sent(connection: Connection, lane: str, claims: Sequence[Claim]) -> None:
    """Raise LeaseLost where an open intent names any of these claims: polled anew they are known to be in hand."""
    wanted = {work_of(claim) for claim in claims}
    if any(not wanted.isdisjoint(unpack(row[0])) for row in await connection.fetch(_SQL["named"], [lane])):
        raise LeaseLost


async def begun_by_others(
    connection: Connection, process: str, events: Sequence[Event], lanes: Sequence[str]
) -> frozenset[Work]:
    """Those of these steps that others have begun; in `lanes` this process took over, so that anybody may have."""
    rows = await connection.fetch(_SQL["named_by_others"], process)
    if lanes:
        rows += await connection.fetch(_SQL["named"], lanes)
    wanted = frozenset(map(_work, events))
    return frozenset().union(*(wanted.intersection(unpack(row[0])) for row in rows))


def each_step_once(outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """Outcomes without those of a copy whose like is among them already."""
    last: dict[DeliveryId, int] = {}
    copies: set[DeliveryId] = set()
    kept = []
    for outcome in outcomes:
        delivery, n = outcome.event.delivery, outcome.event.n
        if n <= last.get(delivery, -1):
            copies.add(delivery)
        if delivery not in copies:
            last[delivery] = n
            kept.append(outcome)
    return kept


def _work(event: Event) -> Work:
    return event.delivery, event.n
