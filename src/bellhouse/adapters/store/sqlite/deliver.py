"""What deliver asks of the store: where deliveries stand, intents, and outcomes with all that follows from them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from bellhouse.adapters.store.codec import decode_profile, encode
from bellhouse.adapters.store.letters import row_of
from bellhouse.adapters.store.sqlite.database import Database, Transaction, blobs
from bellhouse.adapters.store.sqlite.events import INSERT_EVENTS, SELECT_EVENTS, SELECT_EVENTS_OF, states_of
from bellhouse.adapters.store.sqlite.ledger import count
from bellhouse.adapters.store.sqlite.log import commit_positions
from bellhouse.adapters.store.sqlite.migrate import log_table
from bellhouse.adapters.store.sqlite.route import read_facts
from bellhouse.adapters.store.standing import (
    NEWS,
    STEP,
    by_delivery,
    fold_all,
    is_ahead,
    pack,
    standing_of,
    unpack,
    waiting_as,
)
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.ids import DeliveryId
from bellhouse.ports.log import deliveries_topic
from bellhouse.ports.store.deliver import (
    Claim,
    DeadLetter,
    InboxItem,
    Intent,
    Outcome,
    Retirement,
    Settlement,
    Standings,
    Suppression,
)

_LAST_ACT: Final = "SELECT coalesce(max(act), 0) FROM operator_acts"
_PUT_DEAD_LETTER: Final = """
INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', 0, '', '', ?)
ON CONFLICT DO UPDATE SET state = 'open', reason = excluded.reason, code = excluded.code, at = excluded.at,
    provider = excluded.provider, record = excluded.record
"""


class SqliteDeliver:
    """The store's side of the workers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standings(self, claims: Sequence[Claim]) -> Standings:
        database = self._database
        with database.snapshot():
            as_of = int(database.rows(_LAST_ACT)[0][0])
            rows = database.rows(SELECT_EVENTS_OF, (blobs([claim.delivery.id for claim in claims]),)) if claims else []
            known = by_delivery(rows) if rows else {}
            newest = self._newest_of_collapse_keys(claims)
            facts = read_facts(database, ((c.notification.tenant, c.notification.recipient) for c in claims))
        standings = [standing_of(claim, known.get(claim.delivery.id), newest) for claim in claims]
        return Standings(standings, facts, as_of)

    def _newest_of_collapse_keys(self, claims: Sequence[Claim]) -> dict[tuple[int, str], bytes]:
        asked = [
            (claim.notification.recipient, claim.notification.collapse_key)
            for claim in claims
            if claim.notification.collapse_key is not None
        ]
        if not asked:
            return {}
        rows = self._database.rows_of_each(
            "SELECT recipient, collapse_key, id FROM collapse_keys WHERE recipient = ? AND collapse_key = ?", asked
        )
        return {(recipient, key): newest for recipient, key, newest in rows}

    async def begin(
        self, lane: str, claims: Sequence[Claim], as_of: int, now: int
    ) -> tuple[int, frozenset[DeliveryId]]:
        with self._database.write() as transaction:
            acted = int(transaction.run(_LAST_ACT).fetchall()[0][0]) != as_of
            cancelled = _ended(transaction, claims if acted else [c for c in claims if c.delivery.calls])
            if len(cancelled) == len(claims):
                return 0, cancelled
            tally = Tally()
            sending = []
            for claim in claims:
                delivery = claim.delivery
                if delivery.id not in cancelled:
                    tally.delivery(claim.notification.tenant, delivery.id, waiting_as(claim), "in_flight")
                    sending.append((delivery.id, delivery.step))
            transaction.run("INSERT INTO intents (lane, at, deliveries) VALUES (?, ?, ?)", (lane, now, pack(sending)))
            count(transaction, tally)
            number = transaction.last_row()
        return number, cancelled

    async def settle(self, settlement: Settlement) -> None:
        with self._database.write() as transaction:
            tally = Tally()
            outcomes = settlement.outcomes
            overtaken = _overtaken(transaction, outcomes)
            if overtaken:
                outcomes = [outcome for outcome in outcomes if outcome.event.delivery not in overtaken]
            _write_outcomes(transaction, outcomes, tally)
            _apply_early_news(transaction, outcomes, tally)
            count(transaction, tally)
            put_dead_letters(transaction, [d for d in settlement.dead_letters if d.delivery.id not in overtaken])
            retire(transaction, settlement.retirements)
            suppress(transaction, settlement.suppressions)
            if settlement.intents:
                transaction.many("DELETE FROM intents WHERE intent = ?", [(i,) for i in settlement.intents])
            commit_positions(transaction, settlement.done)

    async def open_intents(self, lane: str) -> Sequence[Intent]:
        rows = self._database.rows("SELECT intent, at, deliveries FROM intents WHERE lane = ? ORDER BY intent", (lane,))
        return [self._intent(number, lane, at, packed) for number, at, packed in rows]

    def _intent(self, number: int, lane: str, at: int, packed: bytes) -> Intent:
        named = unpack(packed)
        rows = self._database.rows(SELECT_EVENTS_OF, (blobs([identifier for identifier, _ in named]),))
        states = fold_all([identifier for identifier, _ in named], rows)
        unsettled = [(identifier, step) for identifier, step in named if states[identifier].steps <= step]
        return Intent(number, lane, at, tuple(i for i, _ in unsettled), tuple(step for _, step in unsettled))

    async def put_inbox(self, items: Sequence[InboxItem]) -> None:
        with self._database.write() as transaction:
            transaction.many(
                "INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, ?, ?)",
                [(i.recipient, i.delivery, i.read_at, i.expires_at, encode(i)) for i in items],
            )


def _ended(transaction: Transaction, claims: Sequence[Claim]) -> frozenset[DeliveryId]:
    """Those of the claims that need no sending any more: cancelled, or answered by news since they were polled."""
    if not claims:
        return frozenset()
    states = states_of(transaction, [claim.delivery.id for claim in claims])
    return frozenset(claim.delivery.id for claim in claims if states[claim.delivery.id].state != waiting_as(claim))


def _overtaken(transaction: Transaction, outcomes: Sequence[Outcome]) -> frozenset[DeliveryId]:
    """Deliveries that nobody was sending and that something else has moved since they were polled: a cancellation,
    or news of an earlier attempt. What was concluded about them no longer holds.

    While a delivery is being sent its intent keeps both away (`InFlight`), so only the others are asked about.
    """
    unsent = [outcome.event for outcome in outcomes if outcome.event.previous != "in_flight"]
    if not unsent:
        return frozenset()
    states = states_of(transaction, [event.delivery for event in unsent])
    return frozenset(
        event.delivery
        for event in unsent
        if states[event.delivery].steps > event.n or states[event.delivery].state != event.previous
    )


def _write_outcomes(transaction: Transaction, outcomes: Sequence[Outcome], tally: Tally) -> None:
    events = []
    log: dict[str, list[tuple[bytes]]] = defaultdict(list)
    due = []
    parked = []
    held = []
    for outcome in outcomes:
        event = outcome.event
        events.append(
            (event.delivery, STEP, event.n, event.state, event.previous, event.at, event.source, event.detail)
        )
        tally.delivery(outcome.tenant, event.delivery, event.previous, event.state)
        again = outcome.again
        if again is None:
            continue
        topic = deliveries_topic(again.channel, again.priority)
        if outcome.again_at <= event.at and not outcome.park and not outcome.held_by:
            log[topic].append((encode(again),))
            continue
        due.append((outcome.again_at, again.id, topic, encode(again)))
        if outcome.park:
            parked.append((again.channel, again.priority, again.id, outcome.again_at))
        if outcome.held_by:
            held.append((outcome.held_by, topic, again.id, outcome.again_at))
    transaction.many(INSERT_EVENTS, events)
    for topic, records in log.items():
        transaction.many(f"INSERT INTO {log_table(topic)} (record) VALUES (?)", records)
    transaction.topics.update(log)
    if due:
        transaction.many("INSERT OR REPLACE INTO due VALUES (?, ?, ?, ?)", due)
        transaction.topics.add("due")
    if parked:
        transaction.many("INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?)", parked)
    if held:
        transaction.many("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)", held)


def _apply_early_news(transaction: Transaction, outcomes: Sequence[Outcome], tally: Tally) -> None:
    """Let news that overtook its own attempt count, now that the attempt's event is there."""
    waiting = {row[0] for row in transaction.run("SELECT id FROM early_news")}
    # A flight that failed over has several outcomes: its delivery moves once.
    early = {outcome.event.delivery: outcome for outcome in outcomes if outcome.event.delivery in waiting}
    if not early:
        return
    identifiers = list(early)
    states = fold_all(identifiers, transaction.many(SELECT_EVENTS, [(i,) for i in identifiers]))
    for outcome in early.values():
        standing = states[outcome.event.delivery]
        if standing.state == standing.step_state:
            continue
        tally.delivery(outcome.tenant, outcome.event.delivery, standing.step_state, standing.state)
        # The last of its news carries the move, so that counting the rows gives what the counters say.
        transaction.run(
            "UPDATE delivery_events SET previous = ?, state = ? WHERE id = ? AND kind = ? AND n ="
            " (SELECT max(n) FROM delivery_events WHERE id = ? AND kind = ? AND previous = state)",
            (standing.step_state, standing.state, outcome.event.delivery, NEWS, outcome.event.delivery, NEWS),
        )
    transaction.many("DELETE FROM early_news WHERE id = ?", [(i,) for i in identifiers if not is_ahead(states[i])])


def put_dead_letters(transaction: Transaction, letters: Sequence[DeadLetter]) -> None:
    """Add dead letters; one that was replayed and failed again is open once more."""
    if letters:
        transaction.many(_PUT_DEAD_LETTER, [row_of(letter) for letter in letters])


def retire(transaction: Transaction, retirements: Sequence[Retirement]) -> None:
    """Take dead contact points out of their recipients' profiles."""
    for retirement in retirements:
        rows = transaction.run("SELECT profile FROM recipients WHERE recipient = ?", (retirement.recipient,)).fetchall()
        if not rows:
            continue
        profile = decode_profile(rows[0][0])
        kept = tuple(contact for contact in profile.contacts if contact.id != retirement.contact)
        if len(kept) < len(profile.contacts):
            changed = type(profile)(profile.user_id, profile.zone, profile.locale, kept, profile.preferences)
            transaction.run(
                "UPDATE recipients SET profile = ? WHERE recipient = ?", (encode(changed), retirement.recipient)
            )


def suppress(transaction: Transaction, suppressions: Sequence[Suppression]) -> None:
    """Add addresses to the suppression list; the first reason stays."""
    if suppressions:
        transaction.many(
            "INSERT INTO suppressions VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [(s.tenant, s.address, s.reason, s.at, s.detail) for s in suppressions],
        )
