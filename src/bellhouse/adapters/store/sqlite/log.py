"""The log in the same file: a table a topic, appended by the store's own transactions."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.sqlite.database import Database, Transaction
from bellhouse.adapters.store.sqlite.migrate import log_table
from bellhouse.ports.log import GROUP_OF, TOPICS, Lag, Polled, Position, Record

Wait = Callable[[str, float], Awaitable[None]]
"""The doorbell's `wait(topic, timeout_s)`."""

_AT_ONCE: Final = 500
_COMMIT: Final = "UPDATE positions SET offset = max(offset, ?) WHERE topic = ? AND consumer_group = ?"


def commit_positions(transaction: Transaction, done: Sequence[Position]) -> None:
    """Move positions forward, within the transaction that makes the work durable."""
    for position in done:
        transaction.run(_COMMIT, (position.offset, position.topic, position.group))


class SqliteLog:
    """The Log port, and the Publisher. Records are numbered in the order of their commits, since one transaction
    writes at a time; a topic has one partition, and in the whole house one reader."""

    def __init__(self, database: Database, wait: Wait) -> None:
        self._database = database
        self._wait = wait

    def reader(self, topic: str) -> "SqliteReader":
        return SqliteReader(self, self._wait, topic)

    async def poll(self, topic: str, after: int, limit: int) -> Sequence[Polled]:
        """At most `limit` records behind offset `after`, in order."""
        rows = self._database.rows(
            f"SELECT offset, record FROM {log_table(topic)} WHERE offset > ? ORDER BY offset LIMIT ?", (after, limit)
        )
        return [Polled(offset, record) for offset, record in rows]

    async def position(self, group: str, topic: str) -> int:
        """The offset up to which `group` has finished `topic`; 0 before the first."""
        rows = self._database.rows(
            "SELECT offset FROM positions WHERE topic = ? AND consumer_group = ?", (topic, group)
        )
        return int(rows[0][0]) if rows else 0

    async def end(self, topic: str) -> int:
        """The offset of the topic's newest record; 0 where there is none."""
        return int(self._database.rows(f"SELECT max(offset) FROM {log_table(topic)}")[0][0] or 0)

    async def commit(self, done: Sequence[Position]) -> None:
        """Move positions forward that no transaction of the store has moved."""
        with self._database.write() as transaction:
            commit_positions(transaction, done)

    async def append(self, records: Sequence[Record]) -> None:
        if not records:
            return
        with self._database.write() as transaction:
            for record in records:
                transaction.run(f"INSERT INTO {log_table(record.topic)} (record) VALUES (?)", (record.value,))
            transaction.topics.update(record.topic for record in records)

    async def probe(self, topics: Collection[str] = TOPICS) -> None:
        """It is where the store is."""

    async def lags(self) -> Sequence[Lag]:
        found = []
        for topic in TOPICS:
            lag = max(0, await self.end(topic) - await self.position(GROUP_OF[topic], topic))
            found.append(Lag(topic, 0, GROUP_OF[topic], lag))
        return found

    async def oldest(self) -> Mapping[str, Sequence[bytes]]:
        found = {}
        for topic in TOPICS:
            first = await self.poll(topic, await self.position(GROUP_OF[topic], topic), 1)
            if first:
                found[topic] = [record.value for record in first]
        return found

    async def unfinished(self, topics: Collection[str]) -> AsyncIterator[tuple[str, Sequence[bytes]]]:
        for topic in topics:
            after, end = await self.position(GROUP_OF[topic], topic), await self.end(topic)
            while after < end and (polled := await self.poll(topic, after, _AT_ONCE)):
                after = polled[-1].offset
                yield topic, [record.value for record in polled if record.offset <= end]

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


class SqliteReader:
    """The Reader port. The store moves the position in the transaction of the work; `commit` finds that done."""

    def __init__(self, log: SqliteLog, wait: Wait, topic: str) -> None:
        self._log = log
        self._wait = wait
        self._topic = topic
        self._cursor = 0
        self._old = 0
        """Up to here another process may have polled."""
        self._paused = False

    async def start(self) -> None:
        await self.rejoin()

    async def poll(self, limit: int) -> Sequence[Polled]:
        if self._paused:
            return ()
        polled = await self._log.poll(self._topic, self._cursor, limit)
        if not polled:
            return ()
        again = self._cursor < self._old
        self._cursor = polled[-1].offset
        return [Polled(r.offset, r.value, again=r.offset <= self._old) for r in polled] if again else polled

    def taken(self) -> None:
        """Nobody else could come by this topic."""

    async def wait(self, timeout_s: float) -> None:
        await self._wait(self._topic, timeout_s)

    async def commit(self, done: Sequence[Position]) -> None:
        if done and await self._log.position(done[0].group, self._topic) < max(each.offset for each in done):
            await self._log.commit(done)

    async def rejoin(self) -> None:
        self._cursor = await self._log.position(GROUP_OF[self._topic], self._topic)
        self._old = await self._log.end(self._topic)

    async def pause(self, partitions: Sequence[int]) -> None:
        self._paused = self._paused or 0 in partitions

    async def resume(self, partitions: Sequence[int]) -> None:
        self._paused = self._paused and 0 not in partitions

    async def stop(self) -> None:
        """Nothing of its own to close."""
