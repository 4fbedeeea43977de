"""The days' partitions of what belongs to a notification: made ahead, and dropped when their time is over."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from bellhouse.adapters.store.postgres.database import Connection, Database
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.tally import DAY_MS, day_of
from bellhouse.ports.store.errors import StoreUnavailable

PARTITIONED: Final = ("notifications", "decisions", "delivery_events")

_SQL: Final = queries("partitions")
_STEP: Final = 65_536
"""The ledger's days begin at multiples of this many ms, and so do the partitions: see `tally.day_of`."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def lowest_id(day: int) -> bytes:
    """The smallest id that is counted on a day (UTC, since the epoch)."""
    return (-(-day * DAY_MS // _STEP)).to_bytes(4) + bytes(12)


def name_of(table: str, day: int) -> str:
    """The partition of a table for a day, such as `decisions_20261126`."""
    return f"{table}_{_EPOCH + timedelta(days=day):%Y%m%d}"


async def days(connection: Connection) -> list[int]:
    """The days that have partitions, the oldest first."""
    rows = await connection.fetch(_SQL["existing"])
    return [(datetime.strptime(row[0][-8:], "%Y%m%d").replace(tzinfo=UTC) - _EPOCH).days for row in rows]


async def alone(connection: Connection) -> None:
    """Let nobody else make, drop or add up a day until the transaction ends."""
    await connection.execute(_SQL["lock"])


async def ensure(database: Database, wanted: Iterable[int]) -> list[int]:
    """Make the partitions of these days where they are missing; answers the days that were made.

    A table is made on its own and attached then, which keeps no writer waiting: `CREATE ... PARTITION OF` would lock
    the whole table against everybody.
    """
    made = []
    async with database.transaction() as connection:
        await alone(connection)
        missing = sorted(set(wanted) - set(await days(connection)))
        for day in missing:
            for table in PARTITIONED:
                await _make(connection, table, day)
            made.append(day)
    return made


async def _make(connection: Connection, table: str, day: int) -> None:
    name = name_of(table, day)
    first, end = lowest_id(day).hex(), lowest_id(day + 1).hex()
    await connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    await connection.execute(
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('\\x{first}') TO ('\\x{end}')"
    )


async def waiting(database: Database, before: int) -> frozenset[int]:
    """The days before this one of which something waits, is being sent, or is unknown."""
    return frozenset(row[0] for row in await database.rows(_SQL["waiting"], before))


async def pending(database: Database, day: int) -> bool:
    """Whether anything of a day waits for its end, be it for an operator. When nothing does nothing ever will again:
    what has ended stays so, and nothing new is counted on a day that is over."""
    return bool(await database.value(_SQL["pending"], day, lowest_id(day), lowest_id(day + 1)))


async def drop(database: Database, day: int) -> bool:
    """Drop a day's partitions with its counters; False where the day has anything that still waits for its end, or
    somebody reads it just now, or it is gone already.

    Everything in one transaction: the ledger of the days that are left balances before and after. Due rows of the day
    must be gone by then.
    """
    try:
        return await _drop(database, day)
    except StoreUnavailable as down:
        if down.reason != "busy":
            raise
        return False


async def _drop(database: Database, day: int) -> bool:
    async with database.transaction() as connection:
        await alone(connection)
        if day not in await days(connection):
            return False
        if await connection.fetchval(_SQL["pending"], day, lowest_id(day), lowest_id(day + 1)):
            return False
        # All who write queue up behind this wait, and then until the end: what follows the locks must be short.
        await connection.execute("SET LOCAL lock_timeout = '100ms'")
        for table in PARTITIONED:
            await connection.execute(f"ALTER TABLE {table} DETACH PARTITION {name_of(table, day)}")
            await connection.execute(f"DROP TABLE {name_of(table, day)}")
        await connection.execute(_SQL["forget_accepted"], day)
        await connection.execute(_SQL["close_day"], day)
    return True


@contextlib.asynccontextmanager
async def missing_partitions(database: Database, identifiers: Iterable[bytes]) -> AsyncIterator[None]:
    """Makes the partitions that a block of work has missed, and raises MissingPartition: do the work once more."""
    try:
        yield
    except asyncpg.CheckViolationError as error:
        await ensure(database, {day_of(identifier) for identifier in identifiers})
        raise MissingPartition from error


async def kept(database: Database, identifiers: Iterable[bytes]) -> frozenset[bytes]:
    """Those of these ids whose day has not been dropped: of the others nothing is stored any more."""
    async with database.connection() as connection:
        there = set(await days(connection))
    return frozenset(identifier for identifier in identifiers if day_of(identifier) in there)


class MissingPartition(Exception):
    """There was no partition for what was to be inserted; there is one now."""
