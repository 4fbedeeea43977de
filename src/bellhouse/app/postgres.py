"""Short pieces of work on PostgreSQL: its schema brought up to date or back, its store opened without a log."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import msgspec

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.postgres import PostgresStore
from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.migrate import PATIENCE_S, fits, migrate, roll_back
from bellhouse.adapters.store.postgres.partitions import ensure
from bellhouse.adapters.store.tally import DAY_MS
from bellhouse.app.engines import postgres_config
from bellhouse.app.pepper import shared_pepper
from bellhouse.app.settings import Settings
from bellhouse.ports.log import LogUnavailable, Record


async def migrate_database(settings: Settings, back_to: int | None = None, now: bool = False) -> tuple[str, list[int]]:
    """Bring the schema up to date, or back to a step; answers where it is, and the steps that were made. `now` does
    also what a living process cannot live with."""
    shown = without_password(settings.store.url or "")
    database = Database(msgspec.structs.replace(postgres_config(settings), pool=2, statement_timeout_s=PATIENCE_S))
    await database.open()
    try:
        if back_to is not None:
            return shown, await roll_back(database, back_to, now=now)
        done = await migrate(database, now=now)
        today = SystemClock().now() // DAY_MS
        await ensure(database, range(today - 1, today + settings.store.partitions_ahead_days + 1))
    finally:
        await database.close()
    return shown, done


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[tuple[PostgresStore, bytes]]:
    """The store, for work that appends nothing to the log, and the pepper. Raises StoreUnavailable, CannotServe."""
    store = PostgresStore(postgres_config(settings), _NoLog(), LocalDoorbell(), SystemClock(), "")
    await store.open()
    try:
        await fits(store.database)
        yield store, await shared_pepper(settings, store.database)
    finally:
        await store.close()


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{hosts}"))


class _NoLog:
    """A Publisher where there is nothing to publish to."""

    async def append(self, records: Sequence[Record]) -> None:
        if records:
            raise LogUnavailable("unreachable", "this work has no log")
