"""What route asks of the store: facts of recipients, and decisions made durable with their deliveries."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from bellhouse.adapters.store.codec import decode_profile, encode
from bellhouse.adapters.store.sqlite.database import Database, Transaction, blobs, integers, texts
from bellhouse.adapters.store.sqlite.ledger import count
from bellhouse.adapters.store.sqlite.log import commit_positions
from bellhouse.adapters.store.sqlite.migrate import log_table
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.ids import RecipientNo, TenantNo
from bellhouse.domain.notification import Notification
from bellhouse.ports.log import Position, deliveries_topic
from bellhouse.ports.store.route import Facts, Routed

_DECIDED: Final = "SELECT id FROM carray(?) AS asked CROSS JOIN decisions ON id = asked.value"
_PUT_DECISION: Final = "INSERT INTO decisions VALUES (?, ?, ?, ?)"
_PROFILES: Final = """
SELECT recipient, profile FROM carray(?) AS asked CROSS JOIN recipients ON recipient = asked.value
"""
_SUPPRESSED: Final = """
SELECT address FROM carray(?) AS asked CROSS JOIN suppressions ON tenant = ? AND address = asked.value
"""


def read_facts(database: Database, recipients: Iterable[tuple[TenantNo, RecipientNo]]) -> Facts:
    """Profiles of these recipients, and the suppressed among their addresses."""
    wanted = {recipient: tenant for tenant, recipient in recipients}
    if not wanted:
        return Facts({}, {})
    with database.snapshot():
        rows = database.rows(_PROFILES, (integers(wanted),))
        profiles = {recipient: decode_profile(blob) for recipient, blob in rows}
        if not database.rows("SELECT 1 FROM suppressions LIMIT 1"):
            return Facts(profiles, {})
        addresses: dict[TenantNo, set[str]] = defaultdict(set)
        for recipient, profile in profiles.items():
            addresses[wanted[recipient]].update(contact.address for contact in profile.contacts if contact.address)
        suppressed = {
            tenant: frozenset(row[0] for row in database.rows(_SUPPRESSED, (texts(asked), tenant)))
            for tenant, asked in addresses.items()
            if asked
        }
    return Facts(profiles, suppressed)


class SqliteRoute:
    """The store's side of the router."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def facts(self, notifications: Sequence[Notification]) -> Facts:
        return read_facts(self._database, ((n.tenant, n.recipient) for n in notifications))

    async def decide(self, routed: Sequence[Routed], now: int, done: Sequence[Position]) -> int:
        with self._database.write() as transaction:
            # Decision and log rows share this transaction: what is decided already has been published too.
            asked = blobs([item.notification.id for item in routed])
            known = {row[0] for row in transaction.run(_DECIDED, (asked,))} if routed else set()
            new = {item.notification.id: item for item in routed if item.notification.id not in known}
            fresh = routed if len(new) == len(routed) else list(new.values())
            rows = [
                (item.notification.id, item.decision.state, len(item.deliveries), encode(item.decision))
                for item in fresh
            ]
            transaction.many(_PUT_DECISION, rows)
            _publish(transaction, fresh, now)
            commit_positions(transaction, done)
        return len(fresh)


def _publish(transaction: Transaction, fresh: Sequence[Routed], now: int) -> None:
    tally = Tally()
    log: dict[str, list[tuple[bytes]]] = defaultdict(list)
    due = []
    for item in fresh:
        notification = item.notification
        tally.notification(notification.tenant, notification.id, "waiting", item.decision.state)
        if item.deliveries:
            tally.delivery(notification.tenant, notification.id, None, "waiting", len(item.deliveries))
        for delivery in item.deliveries:
            topic = deliveries_topic(delivery.channel, delivery.priority)
            # A clock that was set back must not keep back what has been accepted already.
            if delivery.ready_at > max(now, notification.received_at):
                due.append((delivery.ready_at, delivery.id, topic, encode(delivery)))
            else:
                log[topic].append((encode(delivery),))
    for topic, records in log.items():
        transaction.many(f"INSERT INTO {log_table(topic)} (record) VALUES (?)", records)
    transaction.topics.update(log)
    if due:
        transaction.many("INSERT INTO due VALUES (?, ?, ?, ?)", due)
        transaction.topics.add("due")
    count(transaction, tally)
