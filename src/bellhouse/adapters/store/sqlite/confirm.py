"""What confirm asks of the store: news made durable, and deliveries moved by it."""

from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.codec import decode_decision, decode_notification
from bellhouse.adapters.store.sqlite.database import Database, Transaction
from bellhouse.adapters.store.sqlite.deliver import retire, suppress
from bellhouse.adapters.store.sqlite.events import SELECT_EVENTS, InFlight
from bellhouse.adapters.store.sqlite.ledger import count
from bellhouse.adapters.store.sqlite.route import read_facts
from bellhouse.adapters.store.standing import StateOf, fold_all
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.delivery import settled
from bellhouse.domain.ids import DeliveryId, NotificationId, TenantNo, notification_of
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery
from bellhouse.domain.words import DeliveryState
from bellhouse.ports.store import Concerned, Confirmed, Facts, NewsResult, NewsRow, Retirement, Suppression

_PUT_NEWS: Final = "INSERT INTO delivery_events VALUES (?, 1, ?, ?, ?, ?, 'news', ?) ON CONFLICT DO NOTHING RETURNING n"
_UNSETTLED: Final[frozenset[DeliveryState]] = frozenset({"waiting", "unknown"})

Planned = tuple[Notification, PlannedDelivery]


class SqliteConfirm:
    """The store's side of callbacks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def news(self, rows: Sequence[NewsRow]) -> NewsResult:
        # A decision never changes, so it is looked up before the writers' lock is taken.
        planned = _planned(self._database, {row.delivery for row in rows})
        known = [row for row in rows if row.delivery in planned]
        identifiers = list({row.delivery for row in known})
        with self._database.write() as transaction:
            states = dict(fold_all(identifiers, transaction.many(SELECT_EVENTS, [(i,) for i in identifiers])))
            sending = InFlight(transaction) if any(s.step_state in _UNSETTLED for s in states.values()) else None
            moved, repeated = [], 0
            tally = Tally()
            for row in known:
                standing = states[row.delivery]
                early = sending is not None and sending.has(row.delivery, standing)
                after = _with(standing, row)
                if not _insert(transaction, row, standing.state, standing.state if early else after.state):
                    repeated += 1
                    continue
                states[row.delivery] = after if not early else _noted(standing, after)
                if early or (row.attempt > standing.last_attempt and after.state == standing.state):
                    transaction.run("INSERT OR IGNORE INTO early_news VALUES (?)", (row.delivery,))
                elif after.state != standing.state:
                    notification, plan = planned[row.delivery]
                    tally.delivery(notification.tenant, row.delivery, standing.state, after.state)
                    moved.append(_confirmed(row, standing, after, notification, plan))
            count(transaction, tally)
        return NewsResult(moved, repeated, len(rows) - len(known))

    async def recipients_of(self, deliveries: Sequence[DeliveryId]) -> Mapping[DeliveryId, Concerned]:
        planned = _planned(self._database, set(deliveries))
        facts = read_facts(self._database, ((note.tenant, note.recipient) for note, _ in planned.values()))
        return {
            identifier: Concerned(note.tenant, note.recipient, plan.contact, _address(facts, note, plan))
            for identifier, (note, plan) in planned.items()
        }

    async def every_tenant(self) -> Sequence[TenantNo]:
        return [TenantNo(tenant) for (tenant,) in self._database.rows("SELECT tenant FROM tenants")]

    async def follow_up(
        self, suppressions: Sequence[Suppression], lifted: Sequence[Suppression], retirements: Sequence[Retirement]
    ) -> None:
        with self._database.write() as transaction:
            suppress(transaction, suppressions)
            retire(transaction, retirements)
            transaction.many(
                "DELETE FROM suppressions WHERE tenant = ? AND address = ? AND reason = ?",
                [(s.tenant, s.address, s.reason) for s in lifted],
            )


def _planned(database: Database, deliveries: set[DeliveryId]) -> dict[DeliveryId, Planned]:
    """The notification and plan of each of these deliveries that was ever planned."""
    asked = [(notification_of(identifier),) for identifier in deliveries]
    notifications: dict[NotificationId, Notification] = {
        row[0]: decode_notification(row[1])
        for row in database.rows_of_each("SELECT id, record FROM notifications WHERE id = ?", asked)
    }
    decisions: dict[NotificationId, Decision] = {
        row[0]: decode_decision(row[1])
        for row in database.rows_of_each("SELECT id, record FROM decisions WHERE id = ?", asked)
    }
    found = {}
    for identifier in deliveries:
        notification = notifications.get(notification_of(identifier))
        decision = decisions.get(notification_of(identifier))
        if notification is None or decision is None:
            continue
        for plan in decision.deliveries:
            if plan.ordinal == identifier[15]:
                found[identifier] = (notification, plan)
    return found


def _address(facts: Facts, notification: Notification, plan: PlannedDelivery) -> str:
    profile = facts.profiles.get(notification.recipient)
    contacts = profile.contacts if profile is not None else ()
    return next((contact.address for contact in contacts if contact.id == plan.contact), "")


def _with(standing: StateOf, row: NewsRow) -> StateOf:
    news = (*standing.news, (row.attempt, row.kind))
    state = settled(standing.step_state, standing.last_attempt, news)
    return StateOf(state, standing.steps, standing.step_state, standing.last_attempt, news)


def _noted(standing: StateOf, after: StateOf) -> StateOf:
    """The standing with the news known but not yet counted."""
    return StateOf(standing.state, standing.steps, standing.step_state, standing.last_attempt, after.news)


def _insert(transaction: Transaction, row: NewsRow, before: DeliveryState, after: DeliveryState) -> bool:
    inserted = transaction.run(_PUT_NEWS, (row.delivery, row.n, after, before, row.at, row.detail)).fetchall()
    return bool(inserted)


def _confirmed(
    row: NewsRow, before: StateOf, after: StateOf, notification: Notification, plan: PlannedDelivery
) -> Confirmed:
    return Confirmed(
        row.delivery,
        before.state,
        after.state,
        notification,
        plan.channel,
        max(notification.ready_at, plan.not_before),
    )
