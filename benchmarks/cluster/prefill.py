"""Fills a database with notifications of past days, as they would be had they gone their whole way: by COPY.

What is copied are real rows, which Bellhouse wrote in the same run, under new ids; the ledger counts them.
"""

import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import asyncpg

from bellhouse.adapters.store.postgres.database import Database, PostgresConfig
from bellhouse.adapters.store.postgres.partitions import ensure
from bellhouse.adapters.store.tally import DAY_MS, day_of
from bellhouse.domain.ids import NotificationId, new_notification_ids
from benchmarks.cluster.engines import connect
from benchmarks.stand import CLOCK

DAYS: Final = 7
_PATTERN: Final = 2_000
"""How many real notifications are copied again and again."""
_CHUNK: Final = 4_000
_HEAD: Final = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_END: Final = struct.pack(">h", -1)
_SIZE: Final = struct.Struct(">i")
_TABLES: Final = {
    "notifications": "id, recipient, record",
    "decisions": "id, state, count, record",
    "delivery_events": "id, kind, n, state, previous, at, source, detail",
}
_KEYS: Final = "key, id, fingerprint"


async def prefill(url: str, count: int) -> None:
    """Add `count` notifications, spread evenly over the days before this one; keys of the last one alone are kept."""
    now = CLOCK.now()
    today = now // DAY_MS
    days = range(today - DAYS, today)
    store = Database(PostgresConfig(url, pool=2))
    await store.open()
    try:
        await ensure(store, days)
    finally:
        await store.close()
    database = await connect(url)
    try:
        pattern = [await _pattern(database, table, columns) for table, columns in _TABLES.items()]
        for day in days:
            async with database.transaction():
                await _fill_day(database, day, count // DAYS, pattern, keys=day == days[-1])
        await database.execute("VACUUM (ANALYZE)")
        await database.execute("CHECKPOINT")
    finally:
        await database.close()


async def _fill_day(
    database: asyncpg.Connection, day: int, count: int, pattern: Sequence[Sequence["_Row"]], *, keys: bool
) -> None:
    ids = _ids(day, count)
    for (table, columns), rows in zip(_TABLES.items(), pattern, strict=True):
        await _copy(database, table, columns, _cloned(ids, rows))
    if keys:
        await _copy(database, "idempotency_keys", _KEYS, _keys(ids))
    await _count(database, ids)


def _ids(day: int, count: int) -> list[NotificationId]:
    """Ids that were made at moments spread over a day, ascending."""
    ids: list[NotificationId] = []
    for start in range(0, count, _CHUNK):
        moment = day * DAY_MS + DAY_MS * start // count + 60_000
        ids += new_notification_ids(moment, min(_CHUNK, count - start))
    return [each for each in ids if day_of(each) == day]


class _Row:
    """A real row as COPY's binary form has it, but for its notification's id."""

    def __init__(self, fields: Sequence[bytes]) -> None:
        self.head = struct.pack(">h", len(fields)) + _SIZE.pack(16)
        self.ordinal = fields[0][15:]
        """A notification's id ends in a zero byte; its deliveries' ids have their ordinal there."""
        self.tail = b"".join(_SIZE.pack(len(field)) + field for field in fields[1:])


async def _pattern(database: asyncpg.Connection, table: str, columns: str) -> list[_Row]:
    """Real rows in binary, one for each of some notifications."""
    chunks: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        chunks.append(chunk)

    query = f"SELECT {columns} FROM {table} WHERE get_byte(id, 15) IN (0, 1) ORDER BY id DESC LIMIT {_PATTERN}"
    await database.copy_from_query(query, output=keep, format="binary")
    return [_Row(fields) for fields in _fields(b"".join(chunks))]


def _fields(copied: bytes) -> Iterator[list[bytes]]:
    at = len(_HEAD)
    while (wide := int.from_bytes(copied[at : at + 2], signed=True)) >= 0:
        at += 2
        fields = []
        for _ in range(wide):
            (size,) = _SIZE.unpack_from(copied, at)
            fields.append(copied[at + 4 : at + 4 + size])
            at += 4 + size
        yield fields


async def _cloned(ids: Sequence[bytes], rows: Sequence[_Row]) -> AsyncIterator[bytes]:
    yield _HEAD
    for start in range(0, len(ids), _PATTERN):
        yield b"".join(
            b"".join((row.head, identifier[:15], row.ordinal, row.tail))
            for identifier, row in zip(ids[start : start + _PATTERN], rows, strict=False)
        )
    yield _END


async def _keys(ids: Sequence[bytes]) -> AsyncIterator[bytes]:
    """A key for each: a digest has no order, so an id's random end goes first."""
    yield _HEAD
    size = _SIZE.pack(16)
    head = struct.pack(">h", 3)
    for start in range(0, len(ids), _CHUNK):
        yield b"".join(
            b"".join((head, size, identifier[9:15] + identifier[:10], size, identifier, size, identifier))
            for identifier in ids[start : start + _CHUNK]
        )
    yield _END


async def _copy(database: asyncpg.Connection, table: str, columns: str, source: AsyncIterator[bytes]) -> Any:
    names = [column.strip() for column in columns.split(",")]
    return await database.copy_to_table(table, columns=names, source=source, format="binary")


async def _count(database: asyncpg.Connection, ids: Sequence[bytes]) -> None:
    """What ingest, router and worker would have counted of them."""
    day, count = day_of(ids[0]), len(ids)
    await database.executemany(
        "INSERT INTO ledger (tenant, day, level, state, count) SELECT tenant, $1, $2, $3, $4 FROM tenants LIMIT 1",
        [(day, "notification", "planned", count), (day, "delivery", "sent", count)],
    )
    await database.execute("UPDATE meta SET value = value + $1 WHERE name = 'accepted'", count)
