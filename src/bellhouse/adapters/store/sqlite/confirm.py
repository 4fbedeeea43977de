"""What confirm asks of the store: news made durable, and deliveries moved by it."""

from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.codec import decode_decision, decode_notification
from bellhouse.adapters.store.news import Planned, concerned, confirmed, planned_among, with_early_news, with_news
from bellhouse.adapters.store.sqlite.database import Database, Transaction
from bellhouse.adapters.store.sqlite.deliver import retire, suppress
from bellhouse.adapters.store.sqlite.events import SELECT_EVENTS, InFlight
from bellhouse.adapters.store.sqlite.ledger import count
from bellhouse.adapters.store.sqlite.route import read_facts
from bellhouse.adapters.store.standing import fold_all
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.ids import DeliveryId, TenantNo, notification_of
from bellhouse.domain.words import DeliveryState
from bellhouse.ports.store.confirm import Concerned, NewsResult, NewsRow
from bellhouse.ports.store.deliver import Retirement, Suppression

_PUT_NEWS: Final = "INSERT INTO delivery_events VALUES (?, 1, ?, ?, ?, ?, 'news', ?) ON CONFLICT DO NOTHING RETURNING n"
_UNSETTLED: Final[frozenset[DeliveryState]] = frozenset({"waiting", "unknown"})


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
            moved, overtaken, repeated = [], [], 0
            tally = Tally()
            for row in known:
                standing = states[row.delivery]
                early = sending is not None and sending.has(row.delivery, standing)
                after = with_news(standing, row)
                if not _insert(transaction, row, standing.state, standing.state if early else after.state):
                    repeated += 1
                    continue
                states[row.delivery] = after if not early else with_early_news(standing, after)
                if early or (row.attempt > standing.last_attempt and after.state == standing.state):
                    transaction.run("INSERT OR IGNORE INTO early_news VALUES (?)", (row.delivery,))
                    overtaken.append(confirmed(row, standing, standing, planned[row.delivery]))
                elif after.state != standing.state:
                    about = planned[row.delivery]
                    tally.delivery(about[0].tenant, row.delivery, standing.state, after.state)
                    moved.append(confirmed(row, standing, after, about))
            count(transaction, tally)
        return NewsResult(moved, repeated, len(rows) - len(known), overtaken)

    async def recipients_of(self, deliveries: Sequence[DeliveryId]) -> Mapping[DeliveryId, Concerned]:
        planned = _planned(self._database, set(deliveries))
        facts = read_facts(self._database, ((note.tenant, note.recipient) for note, _ in planned.values()))
        return {identifier: concerned(facts, found) for identifier, found in planned.items()}

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
    notifications = {
        row[0]: decode_notification(row[1])
        for row in database.rows_of_each("SELECT id, record FROM notifications WHERE id = ?", asked)
    }
    decisions = database.rows_of_each("SELECT id, record FROM decisions WHERE id = ?", asked)
    found = {row[0]: (notifications[row[0]], decode_decision(row[1])) for row in decisions if row[0] in notifications}
    return planned_among(deliveries, found)


def _insert(transaction: Transaction, row: NewsRow, before: DeliveryState, after: DeliveryState) -> bool:
    inserted = transaction.run(_PUT_NEWS, (row.delivery, row.n, after, before, row.at, row.detail)).fetchall()
    return bool(inserted)
