"""What waits: due rows that come back to the log in their time, and parked ones that an outage's end brings back."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from bellhouse.adapters.store.sqlite.database import Database, Row, Transaction
from bellhouse.adapters.store.sqlite.migrate import log_table
from bellhouse.adapters.store.waits import earliest
from bellhouse.domain.words import CHANNELS, PRIORITIES, Channel, Priority


class SqliteDue:
    """The store's side of the outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._released: dict[tuple[Channel, Priority], bytes] = {}
        """The last that was released of each. What fails as a probe is parked again, and must not be the next one:
        one message that no provider can take would keep all others waiting."""

    async def release_due(self, now: int, limit: int) -> int:
        if not self._database.rows("SELECT 1 FROM due WHERE due_at <= ? LIMIT 1", (now,)):
            return 0
        with self._database.write() as transaction:
            rows = transaction.run(
                "SELECT due_at, id, topic, record FROM due WHERE due_at <= ? ORDER BY due_at, id LIMIT ?", (now, limit)
            ).fetchall()
            if rows:
                transaction.run("DELETE FROM due WHERE (due_at, id) <= (?, ?)", rows[-1][:2])
                append(transaction, rows)
                if transaction.run("SELECT 1 FROM parked LIMIT 1").fetchall():
                    transaction.many(
                        "DELETE FROM parked WHERE channel = ? AND priority = ? AND id = ?",
                        [(*row[2].split(".")[1:], row[1]) for row in rows if row[2].startswith("deliveries.")],
                    )
        return len(rows)

    async def next_due(self, after: int = 0) -> int | None:
        rows = self._database.rows("SELECT due_at FROM due WHERE due_at > ? ORDER BY due_at LIMIT 1", (after,))
        return int(rows[0][0]) if rows else None

    async def overdue(self, now: int) -> Mapping[Priority, int]:
        # Read every few seconds: where very many are overdue, the earliest of them say enough.
        return earliest(
            self._database.rows("SELECT topic, due_at FROM due WHERE due_at <= ? ORDER BY due_at LIMIT 1000", (now,))
        )

    async def parked(self) -> Sequence[tuple[Channel, Priority]]:
        return [
            (channel, priority)
            for channel in CHANNELS
            for priority in PRIORITIES
            if self._database.rows(
                "SELECT 1 FROM parked WHERE channel = ? AND priority = ? LIMIT 1", (channel, priority)
            )
        ]

    async def release_parked(self, channel: Channel, priority: Priority, limit: int) -> int:
        with self._database.write() as transaction:
            keys = self._next_parked(transaction, channel, priority, limit)
            rows = transaction.many(
                "SELECT due_at, id, topic, record FROM due WHERE due_at = ? AND id = ?", keys
            ).fetchall()
            append(transaction, rows)
            transaction.many("DELETE FROM due WHERE due_at = ? AND id = ?", keys)
            transaction.many(
                "DELETE FROM parked WHERE channel = ? AND priority = ? AND id = ?",
                [(channel, priority, identifier) for _, identifier in keys],
            )
        if keys:
            self._released[channel, priority] = keys[-1][1]
        return len(rows)

    def _next_parked(self, transaction: Transaction, channel: Channel, priority: Priority, limit: int) -> list[Row]:
        """The next ones in turn: those behind the last that was released, then from the first again."""
        last = self._released.get((channel, priority), b"")
        found: list[Row] = []
        for where in ("id > ?", "id <= ?"):
            found += transaction.run(
                f"SELECT due_at, id FROM parked WHERE channel = ? AND priority = ? AND {where} ORDER BY id LIMIT ?",
                (channel, priority, last, limit - len(found)),
            ).fetchall()
        return found


def append(transaction: Transaction, rows: Sequence[Row]) -> None:
    """Append due rows (moment, id, topic, record) to the log."""
    by_topic: dict[str, list[tuple[bytes]]] = defaultdict(list)
    for _, _, topic, record in rows:
        by_topic[topic].append((record,))
    for topic, records in by_topic.items():
        transaction.many(f"INSERT INTO {log_table(topic)} (record) VALUES (?)", records)
    transaction.topics.update(by_topic)
