"""What deliver asks of the store: where deliveries stand, intents, and outcomes with all that follows from them."""

from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.codec import encode
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
from bellhouse.adapters.store.postgres.late import keep_what_is_late
from bellhouse.adapters.store.postgres.ledger import columns, count
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.postgres.recipients import retire, suppress
from bellhouse.adapters.store.postgres.route import read_facts
from bellhouse.adapters.store.standing import by_delivery, pack, standing_of, unpack, waiting_as
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.ids import DeliveryId
from bellhouse.ports.doorbell import DUE, outbox_bell
from bellhouse.ports.log import deliveries_topic
from bellhouse.ports.store import (
    Claim,
    InboxItem,
    Intent,
    LeaseLost,
    Outcome,
    Sending,
    Settlement,
    Standings,
    StoreUnavailable,
)

_SQL: Final = queries("deliver")

Work = tuple[DeliveryId, int]
"""A delivery's step."""


class PostgresDeliver:
    """The store's side of the workers of one process."""

    def __init__(self, database: Database, process: str) -> None:
        """`process` is the member under whose name intents are noted (`members.py`)."""
        self._database = database
        self._process = process
        self._doubtful: list[tuple[int, Tally]] = []
        """Intents whose commit was not answered: they may stand, and are taken back before anything else is begun."""

    async def standings(self, claims: Sequence[Claim]) -> Standings:
        if self._doubtful:
            async with self._database.transaction() as connection:
                await self._take_back(connection)
        async with self._database.connection() as connection:
            as_of = int(await connection.fetchval(_SQL["last_act"]))
            known = by_delivery(await read_events(connection, [claim.delivery.id for claim in claims]))
            newest = await _newest_of_collapse_keys(connection, claims)
            facts = await read_facts(connection, ((c.notification.tenant, c.notification.recipient) for c in claims))
            again = [claim for claim in claims if claim.again]
            sending = await self._sending(connection, again) if again else {}
        standings = [
            standing_of(
                claim,
                known.get(claim.delivery.id),
                newest,
                sending.get((claim.delivery.id, claim.delivery.step), "no"),
            )
            for claim in claims
        ]
        return Standings(standings, facts, as_of)

    async def _sending(self, connection: Connection, claims: Sequence[Claim]) -> Mapping[Work, Sending]:
        """Which of these records' steps are named in open intents. A process that has died is given up first, so that
        it can begin nothing more should it only have slept."""
        lanes = sorted({deliveries_topic(claim.delivery.channel, claim.delivery.priority) for claim in claims})
        rows = await connection.fetch(_SQL["sending"], lanes)
        if any(not alive for _, _, alive in rows):
            await connection.execute(_SQL["give_up"], sorted({process for _, process, alive in rows if not alive}))
            rows = await connection.fetch(_SQL["sending"], lanes)
        wanted = {(claim.delivery.id, claim.delivery.step) for claim in claims}
        found: dict[Work, Sending] = {}
        for packed, process, alive in rows:
            state: Sending = "elsewhere" if alive or process == self._process else "interrupted"
            found.update(dict.fromkeys(wanted.intersection(unpack(packed)), state))
        return found

    async def begin(
        self, lane: str, claims: Sequence[Claim], as_of: int, now: int
    ) -> tuple[int, frozenset[DeliveryId]]:
        tally = Tally()
        number = 0
        try:
            async with self._database.transaction() as connection:
                await self._take_back(connection)
                # A cancellation holds this lock alone: it sees our intent, or we see it.
                await connection.execute(_SQL["share_acts"])
                last_act, trusted = await connection.fetchrow(_SQL["may_begin"], self._process)
                if not trusted:
                    raise LeaseLost
                ended = await _ended(
                    connection, claims if last_act != as_of else [c for c in claims if c.delivery.calls]
                )
                going = [claim for claim in claims if claim.delivery.id not in ended]
                if not going:
                    return 0, ended
                for claim in going:
                    tally.delivery(claim.notification.tenant, claim.delivery.id, waiting_as(claim), "in_flight")
                packed = pack((claim.delivery.id, claim.delivery.step) for claim in going)
                number = await connection.fetchval(_SQL["intend"], lane, self._process, now, packed, *columns(tally))
            return number, ended
        except StoreUnavailable:
            if number:
                self._doubtful.append((number, tally))
            raise

    async def _take_back(self, connection: Connection) -> None:
        for number, tally in list(self._doubtful):
            if await connection.fetchval(_SQL["take_back"], number) is not None:
                await count(connection, tally, backwards=True)
            self._doubtful.remove((number, tally))

    async def settle(self, settlement: Settlement) -> None:
        outcomes = settlement.outcomes
        async with self._database.transaction() as connection:
            gone = await _overtaken(connection, outcomes)
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
        bells = {outbox_bell(letter.delivery.priority) for letter in letters}
        if any(outcome.again is not None for outcome in outcomes):
            bells.add(DUE)
        if bells:
            self._database.ring(frozenset(bells))
        if settlement.outcomes:
            await merge_early_news(self._database, [outcome.event.delivery for outcome in settlement.outcomes])

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


async def _ended(connection: Connection, claims: Sequence[Claim]) -> frozenset[DeliveryId]:
    """Those of the claims that need no sending any more: cancelled, or answered by news since they were polled."""
    if not claims:
        return frozenset()
    identifiers = [claim.delivery.id for claim in claims]
    await lock_steps(connection, identifiers)
    states = await states_of(connection, identifiers)
    return frozenset(claim.delivery.id for claim in claims if states[claim.delivery.id].state != waiting_as(claim))


async def _overtaken(connection: Connection, outcomes: Sequence[Outcome]) -> frozenset[DeliveryId]:
    """Deliveries that nobody was sending and that something else has moved since they were polled: a cancellation, or
    news of an earlier attempt. What was concluded about them no longer holds.

    While a delivery is being sent its intent keeps both away, so only the others are asked about.
    """
    unsent = [outcome.event for outcome in outcomes if outcome.event.previous != "in_flight"]
    if not unsent:
        return frozenset()
    identifiers = [event.delivery for event in unsent]
    await connection.execute(_SQL["share_acts"])
    await lock_steps(connection, identifiers)
    states = await states_of(connection, identifiers)
    return frozenset(
        event.delivery
        for event in unsent
        if states[event.delivery].steps > event.n or states[event.delivery].state != event.previous
    )


async def _write_events(connection: Connection, outcomes: Sequence[Outcome]) -> frozenset[DeliveryId]:
    """Insert the outcomes' events; answers the deliveries whose step has an outcome already.

    It is our own where the answer to its commit was lost; or another process has called the step interrupted.
    """
    if not outcomes:
        return frozenset()
    steps = [_step(outcome) for outcome in outcomes]
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
