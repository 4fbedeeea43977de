"""What ingest asks of the store: accept a batch, cancel one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.codec import decode_decision, decode_notification, encode
from bellhouse.adapters.store.sqlite.database import Database, Transaction, blobs
from bellhouse.adapters.store.sqlite.events import InFlight, insert_event, states_of
from bellhouse.adapters.store.sqlite.keys import KEY_LIFE_MS, SEGMENT, KeyFilter
from bellhouse.adapters.store.sqlite.known import KnownRecipients
from bellhouse.adapters.store.sqlite.ledger import count
from bellhouse.adapters.store.sqlite.migrate import log_table
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import NotificationId, RecipientNo, TenantNo, delivery_id, made_at
from bellhouse.domain.notification import Decision, Reason
from bellhouse.ports.log import notifications_topic
from bellhouse.ports.store.ingest import Acceptance, Accepted, AcceptResult, CancelResult, KeyReused, Repeated

_HELD: Final = """
SELECT key, id, fingerprint FROM carray(?) AS asked CROSS JOIN idempotency_keys ON segment = ? AND key = asked.value
"""
_ACCEPTED: Final = "SELECT value FROM meta WHERE name = 'accepted'"
_PUT_KEY: Final = "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?)"
_FORGET: Final = """
DELETE FROM idempotency_keys WHERE segment = ? AND key <= (
    SELECT max(key) FROM (SELECT key FROM idempotency_keys WHERE segment = ? ORDER BY key LIMIT ?)
)
"""
_PUT_COLLAPSE: Final = """
INSERT INTO collapse_keys VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET id = max(id, excluded.id)
"""


class SqliteIngest:
    """The store's side of the front door."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys = KeyFilter(database)
        self._known = KnownRecipients(database)

    async def known_recipients(self, tenant: TenantNo, user_ids: Sequence[str]) -> Mapping[str, RecipientNo]:
        return self._known.numbers(tenant, user_ids) if user_ids else {}

    async def accept(self, items: Sequence[Acceptance], now: int) -> list[AcceptResult]:
        if self._keys.is_empty:
            # After a start it reads every key of 24 h: nobody else shall wait for that.
            self._keys.catch_up(int(self._database.rows(_ACCEPTED)[0][0]), now)
        with self._database.write() as transaction:
            accepted = int(transaction.run(_ACCEPTED).fetchall()[0][0])
            segment = accepted // SEGMENT
            results = self._answers(transaction, items, accepted, segment, now)
            fresh = [item for item, result in zip(items, results, strict=True) if isinstance(result, Accepted)]
            if fresh:
                _insert(transaction, fresh, segment, now)
        if fresh:
            keys = [item.key for item in fresh if item.key is not None]
            self._keys.inserted(accepted, len(fresh), segment, keys, now)
        return results

    def _answers(
        self, transaction: Transaction, items: Sequence[Acceptance], accepted: int, segment: int, now: int
    ) -> list[AcceptResult]:
        """Insert the keys, and tell the new ones from repeats."""
        keyed = [(item.key, index) for index, item in enumerate(items) if item.key is not None]
        results: list[AcceptResult] = [Accepted(item.notification.id) for item in items]
        if not keyed:
            return results
        self._keys.catch_up(accepted, now)
        keyed.sort()
        keys = [key for key, _ in keyed]
        suspects = self._keys.suspects(keys)
        living = now - KEY_LIFE_MS
        held = {key: (first, print_) for key, first, print_ in transaction.run(_HELD, (blobs(keys), segment))}
        rows = []
        for key, index in keyed:
            item = items[index]
            found = held.get(key)
            if found is None and key in suspects:
                found = self._keys.find_closed(transaction, key, segment, now)
            if found is not None and made_at(found[0]) > living:
                results[index] = _repeat(item, *found)
                continue
            held[key] = (item.notification.id, item.fingerprint)
            rows.append((segment, key, item.notification.id, item.fingerprint))
        transaction.many(_PUT_KEY, rows)
        return results

    async def forget_keys(self, now: int, limit: int) -> int:
        oldest = self._database.rows("SELECT segment FROM idempotency_keys ORDER BY segment LIMIT 1")
        if not oldest:
            return 0
        newest = self._database.rows("SELECT max(id) FROM idempotency_keys WHERE segment = ?", oldest[0])[0][0]
        if made_at(newest) > now - KEY_LIFE_MS:
            return 0
        with self._database.write() as transaction:
            transaction.run(_FORGET, (*oldest[0], *oldest[0], limit))
            return transaction.changes()

    async def cancel(self, tenant: TenantNo, notification: NotificationId, now: int, by: str) -> CancelResult:
        with self._database.write() as transaction:
            found = transaction.run("SELECT record FROM notifications WHERE id = ?", (notification,)).fetchall()
            if not found or decode_notification(found[0][0]).tenant != tenant:
                return "unknown"
            decision = Decision(state="cancelled", at=now, reasons=(Reason("cancelled:by_caller", detail=by),))
            new = transaction.run(
                "INSERT INTO decisions VALUES (?, 'cancelled', 0, ?) ON CONFLICT DO NOTHING RETURNING id",
                (notification, encode(decision)),
            ).fetchall()
            if new:
                tally = Tally()
                tally.notification(tenant, notification, "waiting", "cancelled")
                count(transaction, tally)
                return "cancelled"
            return _cancel_deliveries(transaction, tenant, notification, now, by)


def _repeat(item: Acceptance, first: bytes, fingerprint: bytes) -> AcceptResult:
    return Repeated(NotificationId(first)) if fingerprint == item.fingerprint else KeyReused()


def _insert(transaction: Transaction, fresh: Sequence[Acceptance], segment: int, now: int) -> None:
    tally = Tally()
    rows = []
    log: dict[str, list[tuple[bytes]]] = defaultdict(list)
    due = []
    for item in fresh:
        notification = item.notification
        record = encode(notification)
        rows.append((notification.id, record))
        topic = notifications_topic(notification.priority)
        if notification.ready_at > now:
            due.append((notification.ready_at, notification.id, topic, record))
        else:
            log[topic].append((record,))
        tally.notification(notification.tenant, notification.id, None, "waiting")
    transaction.many("INSERT INTO notifications VALUES (?, ?)", rows)
    transaction.many(
        "INSERT INTO recipient_notifications VALUES (?, ?, ?)",
        sorted((segment, item.notification.recipient, item.notification.id) for item in fresh),
    )
    for topic, records in log.items():
        transaction.many(f"INSERT INTO {log_table(topic)} (record) VALUES (?)", records)
    transaction.topics.update(log)
    if due:
        transaction.many("INSERT INTO due VALUES (?, ?, ?, ?)", due)
        transaction.topics.add("due")
    collapsing = [
        (item.notification.recipient, item.notification.collapse_key, item.notification.id)
        for item in fresh
        if item.notification.collapse_key is not None
    ]
    if collapsing:
        transaction.many(_PUT_COLLAPSE, collapsing)
    transaction.run("UPDATE meta SET value = value + ? WHERE name = 'accepted'", (len(fresh),))
    count(transaction, tally)


def _cancel_deliveries(
    transaction: Transaction, tenant: TenantNo, notification: NotificationId, now: int, by: str
) -> CancelResult:
    """Cancel the deliveries of a decided notification that nobody is sending."""
    row = transaction.run("SELECT record FROM decisions WHERE id = ?", (notification,)).fetchall()[0]
    decision = decode_decision(row[0])
    if decision.state == "cancelled":
        return "already_cancelled"
    planned = [delivery_id(notification, delivery.ordinal) for delivery in decision.deliveries]
    states = states_of(transaction, planned)
    sending = InFlight(transaction)
    tally = Tally()
    cancelled = 0
    for identifier in planned:
        standing = states[identifier]
        if sending.has(identifier, standing) or standing.state not in ("waiting", "unknown"):
            continue
        detail = encode(Detail(reason="cancelled:by_caller", by=by))
        insert_event(transaction, identifier, standing.steps, "cancelled", standing.state, now, "operator", detail)
        transaction.run("INSERT INTO operator_acts (delivery) VALUES (?)", (identifier,))
        tally.delivery(tenant, identifier, standing.state, "cancelled")
        cancelled += 1
    count(transaction, tally)
    if cancelled:
        return "cancelled"
    return "already_cancelled" if any(s.state == "cancelled" for s in states.values()) else "too_late"
