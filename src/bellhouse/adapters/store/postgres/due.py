"""What waits: due rows that go to the log in their time, parked ones that an outage brings back, and the outbox."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.adapters.store.codec import decode_notification, encode
from bellhouse.adapters.store.postgres.database import Connection, Database, Row
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.waits import earliest
from bellhouse.domain.delivery import Delivery
from bellhouse.domain.ids import DeliveryId
from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.log import DELIVERY_TOPICS, PRIORITY_OF, OutboxLane, Publisher, Record, deliveries_topic
from bellhouse.ports.store.waiting import Pending

_SQL: Final = queries("due")
_HIGHEST: Final = b"\xff" * 17
"""Above every id."""
_WHOLE_MS: Final = 10_000
"""How often a releaser of some priorities looks through all rows: those of the others may be very many while their log
is away. A row that comes so long after its moment waits for the next look."""
pack: Final = msgspec.msgpack.Encoder().encode
"""What the outbox keeps of one transaction and topic: a list of (key, value)."""
_unpack: Final = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode


async def wait(
    connection: Connection, rows: Sequence[tuple[int, Delivery]], parked: frozenset[DeliveryId] = frozenset()
) -> None:
    """Let deliveries wait, each for its moment (ms since the epoch); a moment that has come is the next chance. Those
    named in `parked` may be brought forward when an outage ends."""
    if not rows:
        return
    await connection.execute(
        _SQL["wait"],
        [due_at for due_at, _ in rows],
        [delivery.id for _, delivery in rows],
        [deliveries_topic(delivery.channel, delivery.priority) for _, delivery in rows],
        [decode_notification(delivery.notification).recipient for _, delivery in rows],
        [delivery.id in parked for _, delivery in rows],
        [encode(delivery) for _, delivery in rows],
    )


class PostgresDue:
    """The DueStore, OutboxStore and BacklogStore ports.

    Rows are taken with SKIP LOCKED and deleted in the transaction in which they are appended to the log: whoever dies
    in between leaves them, and whoever comes by meanwhile takes others.
    """

    def __init__(self, database: Database, publisher: Publisher, only: Sequence[Priority] = ()) -> None:
        """`only`: the priorities whose due rows are its business; all where none is named."""
        self._database = database
        self._publisher = publisher
        self._only = [topic for topic, priority in PRIORITY_OF.items() if priority in only]
        self._whole_at = 0
        """When all rows were last looked through, and none was left that is due and of `only`."""
        self._released: dict[str, bytes] = {}
        """The last that was released of each topic. What fails as a probe is parked again, and must not be the next
        one: one message that no provider can take would keep all others waiting."""

    def of(self, priorities: Sequence[Priority]) -> "PostgresDue":
        """The same, for the due rows of these priorities alone: what is taken together waits for every log that it
        goes to."""
        return PostgresDue(self._database, self._publisher, priorities)

    # --- due ---

    async def release_due(self, now: int, limit: int) -> int:
        async with self._database.transaction() as connection:
            if not self._only:
                return await self._append(await self._take(connection, "release", now, limit))
            first = self._whole_at - _WHOLE_MS if 0 <= now - self._whole_at < _WHOLE_MS else 0
            taken = await self._take(connection, "release_of", now, limit, self._only, first)
            released = await self._append(taken)
        if not first and released < limit:
            self._whole_at = now
        return released

    async def next_due(self, after: int = 0) -> int | None:
        found = await self._database.value(_SQL["next"], after)
        return None if found is None else int(found)

    async def overdue(self, now: int) -> Mapping[Priority, int]:
        return earliest(await self._database.rows(_SQL["overdue"], now))

    async def parked(self) -> Sequence[tuple[Channel, Priority]]:
        rows = await self._database.rows(_SQL["parked"], self._only or list(DELIVERY_TOPICS))
        topics = {row[0] for row in rows}
        found = [topic.split(".")[1:] for topic in sorted(DELIVERY_TOPICS, key=_urgency) if topic in topics]
        return [(channel, priority) for channel, priority in found]  # type: ignore[misc]  # the topics' own words

    async def release_parked(self, channel: Channel, priority: Priority, limit: int) -> int:
        topic = deliveries_topic(channel, priority)
        after = self._released.get(topic, b"")
        rows: list[Row] = []
        async with self._database.transaction() as connection:
            for first, last in ((after, _HIGHEST), (b"", after)):
                taken = await self._take(connection, "release_parked", topic, first, last, limit - len(rows))
                rows += sorted(taken, key=lambda row: row[3])
            released = await self._append(rows)
        if rows:
            self._released[topic] = rows[-1][3]
        return released

    async def _take(self, connection: Connection, name: str, *values: object) -> Sequence[Row]:
        # The log may take as long as it needs to say no; PostgreSQL shall not give the transaction up before.
        await connection.execute(_SQL["patience"])
        rows: Sequence[Row] = await connection.fetch(_SQL[name], *values)
        return rows

    async def _append(self, rows: Sequence[Row]) -> int:
        """Append what was taken, within the transaction that takes it."""
        await self._publisher.append([Record(topic, record, key) for topic, key, record, _ in rows])
        return len(rows)

    # --- outbox ---

    async def relay(self, lane: OutboxLane, limit: int) -> int:
        async with self._database.transaction() as connection:
            rows = await self._take(connection, "relay", lane, max(1, limit // 50), limit)
            records = [Record(topic, value, key) for topic, packed in rows for key, value in _unpack(packed)]
            await self._publisher.append(records)
        return len(records)

    async def pending(self) -> Mapping[Priority, Pending]:
        rows = await self._database.rows(_SQL["pending"])
        return {priority: Pending(records, since) for priority, records, since in rows}

    # --- the backlog in the log ---

    async def put_backlog(self, records: int, now: int) -> None:
        await self._database.run(_SQL["put_backlog"], records, now)

    async def backlog(self) -> tuple[int, int]:
        counted = dict(await self._database.rows(_SQL["backlog"]))
        return counted.get("backlog", 0), counted.get("backlog_at", 0)


def _urgency(topic: str) -> int:
    return ("critical", "high", "normal", "low").index(topic.rpartition(".")[2])
