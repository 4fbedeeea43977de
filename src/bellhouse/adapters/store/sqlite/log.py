"""The log in the same file: a table a topic, appended by the store's own transactions."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bellhouse.adapters.store.sqlite.database import Database, Transaction
from bellhouse.adapters.store.sqlite.migrate import log_table
from bellhouse.ports.log import GROUP_OF, TOPICS, Lag, Polled, Position

Wait = Callable[[str, float], Awaitable[None]]
"""The doorbell's `wait(topic, timeout_s)`."""

_COMMIT: Final = "UPDATE positions SET offset = max(offset, ?) WHERE topic = ? AND consumer_group = ?"


def commit_position(transaction: Transaction, done: Position) -> None:
    """Move a group's position forward, within the transaction that makes its work durable."""
    transaction.run(_COMMIT, (done.offset, done.topic, done.group))


class SqliteLog:
    """The Log port. Records are numbered in the order of their commits, since one transaction writes at a time."""

    def __init__(self, database: Database, wait: Wait) -> None:
        self._database = database
        self._wait = wait

    async def poll(self, topic: str, after: int, limit: int) -> Sequence[Polled]:
        rows = self._database.rows(
            f"SELECT offset, record FROM {log_table(topic)} WHERE offset > ? ORDER BY offset LIMIT ?", (after, limit)
        )
        return [Polled(offset, record) for offset, record in rows]

    async def position(self, group: str, topic: str) -> int:
        rows = self._database.rows(
            "SELECT offset FROM positions WHERE topic = ? AND consumer_group = ?", (topic, group)
        )
        return int(rows[0][0]) if rows else 0

    async def wait(self, topic: str, timeout_s: float) -> None:
        await self._wait(topic, timeout_s)

    async def lags(self) -> Sequence[Lag]:
        found = []
        for topic in TOPICS:
            rows = self._database.rows(f"SELECT max(offset) FROM {log_table(topic)}")
            position = await self.position(GROUP_OF[topic], topic)
            found.append(Lag(topic, 0, GROUP_OF[topic], max(0, (rows[0][0] or 0) - position)))
        return found

    async def trim(self, limit: int) -> int:
        trimmed = 0
        for topic in TOPICS:
            # Each by itself is one look-up; both in one SELECT would read the whole table.
            ends = f"SELECT (SELECT min(offset) FROM {log_table(topic)}), (SELECT max(offset) FROM {log_table(topic)})"
            first, last = self._database.rows(ends)[0]
            # The newest row stays for ever: SQLite numbers the next one after the highest that is there.
            bound = min(await self.position(GROUP_OF[topic], topic), (last or 0) - 1)
            if first is None or first > bound:
                continue
            with self._database.write() as transaction:
                transaction.run(f"DELETE FROM {log_table(topic)} WHERE offset <= ?", (min(bound, first + limit - 1),))
                trimmed += transaction.changes()
        return trimmed
