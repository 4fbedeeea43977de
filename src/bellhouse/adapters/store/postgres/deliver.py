"""What deliver asks of the store: where deliveries stand, intents, and outcomes with all that follows from them."""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import msgspec

from bellhouse.adapters.store.codec import encode
from bellhouse.adapters.store.postgres import partitions
from bellhouse.adapters.store.postgres.commits import MAY_COME_YET
from bellhouse.adapters.store.postgres.database import Connection, Database
from bellhouse.adapters.store.postgres.deadletters import put_dead_letters
from bellhouse.adapters.store.postgres.due import wait
from bellhouse.adapters.store.postgres.early import merge_early_news
from bellhouse.adapters.store.postgres.events import (
    Step,
    insert_steps,
    lock_steps,
    read_events,
    remove_steps,
    states_of,
)
from bellhouse.adapters.store.postgres.held import hold
from bellhouse.adapters.store.postgres.late import keep_what_is_late
from bellhouse.adapters.store.postgres.ledger import columns, count
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.postgres.recipients import retire, suppress
from bellhouse.adapters.store.postgres.route import read_facts
from bellhouse.adapters.store.postgres.takeover import (
    Hands,
    Work,
    begun_by_others,
    each_step_once,
    ended,
    lane_of,
    lock_acts,
    refuse_what_is_being_sent,
    since,
    work_of,
)
from bellhouse.adapters.store.standing import by_delivery, pack, standing_of, unpack, waiting_as
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.ids import DeliveryId
from bellhouse.ports.doorbell import DUE, outbox_bell
from bellhouse.ports.store.deliver import Claim, InboxItem, Intent, Outcome, Sending, Settlement, Standing, Standings
from bellhouse.ports.store.errors import LeaseLost, StoreUnavailable

_SQL: Final = queries("deliver")

_COPY: Final = Standing(stale=True, superseded=False)
"""A record whose like is in the same batch."""


class _Doubt(msgspec.Struct, frozen=True):
    """A beginning whose commit was not answered: its intent may stand, or come to stand yet."""

    intent: int
    transaction: str
    tally: Tally


class PostgresDeliver:
    """The store's side of the workers of one process."""

    def __init__(self, database: Database, process: str) -> None:
        """`process` is the member under whose name intents are noted (`members.py`)."""
        self._database = database
        self._process = process
        self._hands = Hands()
        self._doubtful: list[_Doubt] = []
        """Taken back before anything else is begun."""

    async def standings(self, claims: Sequence[Claim]) -> Standings:
        if self._doubtful:
            await self._clear_doubts()
        shared = [claim for claim in claims if self._hands.may_be_shared(claim)]
        async with self._database.connection() as connection:
            as_of = int(await connection.fetchval(_SQL["last_act"]))
            # Intents before events: whoever settles meanwhile is seen in the one or in the other.
            sending = await self._sending(connection, shared) if shared else {}
            known = by_delivery(await read_events(connection, [claim.delivery.id for claim in claims]))
            newest = await _newest_of_collapse_keys(connection, claims)
            facts = await read_facts(connection, ((c.notification.tenant, c.notification.recipient) for c in claims))
        self._hands.learn(shared, sending)
        standings = []
        seen: set[Work] = set()
        for claim in claims:
            work = work_of(claim)
            rows, state = known.get(claim.delivery.id), sending.get(work, "no")
            standings.append(_COPY if work in seen else standing_of(claim, rows, newest, state))
            seen.add(work)
        self._hands.take(claims, standings)
        return Standings(standings, facts, as_of)

    async def _sending(self, connection: Connection, claims: Sequence[Claim]) -> Mapping[Work, Sending]:
        """Which of these records' steps are named in open intents. A process that has died is given up first, so that
        it can begin nothing more should it only have slept."""
        lanes = sorted({lane_of(claim) for claim in claims})
        rows = await connection.fetch(_SQL["sending"], lanes)
        if any(not alive for _, _, alive in rows):
            await connection.execute(_SQL["give_up"], sorted({process for _, process, alive in rows if not alive}))
            rows = await connection.fetch(_SQL["sending"], lanes)
        wanted = {work_of(claim) for claim in claims}
        found: dict[Work, Sending] = {}
        for packed, process, alive in rows:
            state: Sending = "elsewhere" if alive or process == self._process else "interrupted"
            found.update(dict.fromkeys(wanted.intersection(unpack(packed)), state))
        return found

    async def begin(
        self, lane: str, claims: Sequence[Claim], as_of: int, now: int
    ) -> tuple[int, frozenset[DeliveryId]]:
        tally = Tally()
        number, transaction = 0, ""
        taking_over = any(claim.again for claim in claims)
        try:
            async with self._database.transaction() as connection:
                # Whoever cancels or takes over holds this lock alone: it sees our intent, or we see its act.
                await lock_acts(connection, [lane] if taking_over else [])
                done = await since(connection, self._process, as_of)
                if not done.trusted:
                    raise LeaseLost
                cleared = await self._take_back(connection)
                closer = taking_over or done.concerns(lane)
                asked = [c for c in claims if closer or c.delivery.calls or c.delivery.id in done.acts]
                gone = await ended(connection, asked, closer)
                going = [claim for claim in claims if claim.delivery.id not in gone]
                if closer:
                    await refuse_what_is_being_sent(connection, lane, going)
                for claim in going:
                    tally.delivery(claim.notification.tenant, claim.delivery.id, waiting_as(claim), "in_flight")
                if going:
                    packed = pack(work_of(claim) for claim in going)
                    number, transaction = await connection.fetchrow(
                        _SQL["intend"], lane, self._process, now, packed, *columns(tally), taking_over
                    )
        except StoreUnavailable:
            if number:
                self._doubtful.append(_Doubt(number, transaction, tally))
            raise
        self._forget(cleared)
        self._hands.begun(claims, gone)
        return number, gone

    async def _clear_doubts(self) -> None:
        async with self._database.transaction() as connection:
            if await connection.fetchval(_SQL["stay"], self._process) is None:
                raise LeaseLost
            cleared = await self._take_back(connection)
        self._forget(cleared)

    async def _take_back(self, connection: Connection) -> Sequence["_Doubt"]:
        """Take back what may have been begun without a word; answers what may be forgotten when that is durable."""
        doubts = tuple(self._doubtful)
        for doubt in doubts:
            if await connection.fetchval(MAY_COME_YET, doubt.transaction):
                raise StoreUnavailable("busy", "a commit whose answer was lost is still under way; try again")
            if await connection.fetchval(_SQL["take_back"], doubt.intent) is not None:
                await count(connection, doubt.tally, backwards=True)
        return doubts

    def _forget(self, cleared: Sequence["_Doubt"]) -> None:
        self._doubtful = [doubt for doubt in self._doubtful if doubt not in cleared]

    async def settle(self, settlement: Settlement) -> None:
        try:
            await self._settle(settlement)
        except asyncpg.CheckViolationError:
            # The log has kept records of a day for longer than the store has kept the day.
            await self._settle(await self._of_days_that_are_kept(settlement))

    async def _of_days_that_are_kept(self, settlement: Settlement) -> Settlement:
        kept = await partitions.kept(self._database, [outcome.event.delivery for outcome in settlement.outcomes])
        return msgspec.structs.replace(
            settlement,
            outcomes=[outcome for outcome in settlement.outcomes if outcome.event.delivery in kept],
            dead_letters=[letter for letter in settlement.dead_letters if letter.delivery.id in kept],
        )

    async def _settle(self, settlement: Settlement) -> None:
        outcomes = each_step_once(settlement.outcomes)
        async with self._database.transaction() as connection:
            gone = await self._overtaken(connection, outcomes)
            if gone:
                outcomes = [outcome for outcome in outcomes if outcome.event.delivery not in gone]
            late = await _write_events(connection, outcomes)
            if late:
                outcomes = [outcome for outcome in outcomes if outcome.event.delivery not in late]
                gone |= late
            await _write_counters_and_waits(connection, outcomes, settlement.intents)
            letters = [d for d in settlement.dead_letters if d.delivery.id not in gone]
            await put_dead_letters(connection, letters)
            await suppress(connection, settlement.suppressions)
            await retire(connection, settlement.retirements)
        self._hands.settled(settlement.outcomes)
        bells = {outbox_bell("feed")} if letters else set()
        if any(outcome.again is not None for outcome in outcomes):
            bells.add(DUE)
        if bells:
            self._database.ring(frozenset(bells))
        if settlement.outcomes:
            await merge_early_news(self._database, [outcome.event.delivery for outcome in settlement.outcomes])

    async def _overtaken(self, connection: Connection, outcomes: Sequence[Outcome]) -> frozenset[DeliveryId]:
        """Deliveries that this process was not sending and that something else has moved since they were polled: a
        cancellation, news of an earlier attempt, or another who holds the same record. What was concluded about them no
        longer holds.

        While a delivery is being sent its intent keeps the others away, so only the rest are asked about.
        """
        unsent = [outcome.event for outcome in outcomes if outcome.event.previous != "in_flight"]
        if not unsent:
            return frozenset()
        identifiers = [event.delivery for event in unsent]
        lanes = self._hands.lanes_of(unsent)
        await lock_acts(connection, lanes)
        await lock_steps(connection, identifiers)
        begun = await begun_by_others(connection, self._process, unsent, lanes) | self._hands.named(unsent)
        states = await states_of(connection, identifiers)
        return frozenset(
            event.delivery
            for event in unsent
            if (event.delivery, event.n) in begun
            or states[event.delivery].steps > event.n
            or states[event.delivery].state != event.previous
        )

    async def open_intents(self, lane: str) -> Sequence[Intent]:  # noqa: ARG002 - `standings` tells it of each record
        return ()

    async def put_inbox(self, items: Sequence[InboxItem]) -> None:
        ordered = sorted(items, key=lambda item: (item.recipient, item.delivery))
        await self._database.run(
            _SQL["put_inbox"],
            [item.recipient for item in ordered],
            [item.delivery for item in ordered],
            [item.read_at for item in ordered],
            [item.expires_at for item in ordered],
            [encode(item) for item in ordered],
        )


async def _newest_of_collapse_keys(connection: Connection, claims: Sequence[Claim]) -> dict[tuple[int, str], bytes]:
    asked = [
        (claim.notification.recipient, claim.notification.collapse_key)
        for claim in claims
        if claim.notification.collapse_key is not None
    ]
    if not asked:
        return {}
    rows = await connection.fetch(_SQL["newest"], [recipient for recipient, _ in asked], [key for _, key in asked])
    return {(recipient, key): newest for recipient, key, newest in rows}


async def _write_events(connection: Connection, outcomes: Sequence[Outcome]) -> frozenset[DeliveryId]:
    """Insert the outcomes' events; answers the deliveries whose step has an outcome already.

    It is our own where the answer to its commit was lost; or another process has called the step interrupted.
    """
    if not outcomes:
        return frozenset()
    # In one order, so that two that write the same steps wait for one another in turn.
    steps = sorted(_step(outcome) for outcome in outcomes)
    inserted = await insert_steps(connection, steps)
    if len(inserted) == len(steps):
        return frozenset()
    late = frozenset(step[0] for step in steps if (step[0], step[1]) not in inserted)
    await remove_steps(connection, [(identifier, n) for identifier, n in inserted if identifier in late])
    await keep_what_is_late(connection, [outcome for outcome in outcomes if outcome.event.delivery in late])
    return late


def _step(outcome: Outcome) -> Step:
    event = outcome.event
    return event.delivery, event.n, event.state, event.previous, event.at, event.source, event.detail


async def _write_counters_and_waits(
    connection: Connection, outcomes: Sequence[Outcome], intents: Sequence[int]
) -> None:
    tally = Tally()
    for outcome in outcomes:
        event = outcome.event
        tally.delivery(outcome.tenant, event.delivery, event.previous, event.state)
    await connection.execute(_SQL["settle"], *columns(tally), intents)
    going_on = [(outcome.again_at, outcome.again) for outcome in outcomes if outcome.again is not None]
    parked = frozenset(outcome.event.delivery for outcome in outcomes if outcome.park)
    await wait(connection, going_on, parked)
    await hold(connection, [outcome for outcome in outcomes if outcome.held_by])
