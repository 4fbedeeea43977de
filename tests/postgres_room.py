"""A migrated PostgreSQL database for one test, whose statements can be read afterwards and held back meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bellhouse.adapters.store.postgres.database import Connection, Database, PostgresConfig, Row
from bellhouse.adapters.store.postgres.migrate import migrate

WITHIN_S = 10.0


class WatchedDatabase(Database):
    """A database that remembers the statements it has run, and whose next `rows` can be held back after it has read."""

    def __init__(self, url: str) -> None:
        super().__init__(PostgresConfig(url, pool=8))
        self.statements: list[str] = []
        self.rung: list[frozenset[str]] = []
        self.ring = self.rung.append
        self.has_read = asyncio.Event()
        self.go_on: asyncio.Event | None = None

    def hold(self) -> asyncio.Event:
        """Hold the answer of the next `rows` back until the event that is returned is set."""
        self.go_on = asyncio.Event()
        return self.go_on

    async def rows(self, sql: str, *values: Any) -> Sequence[Row]:
        found = await super().rows(sql, *values)
        held, self.go_on = self.go_on, None
        if held is not None:
            self.has_read.set()
            await held.wait()
        return found

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        async with super().connection() as connection:
            with connection.query_logger(self._note):
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with super().transaction() as connection:
            with connection.query_logger(self._note):
                yield connection

    def _note(self, record: Any) -> None:
        self.statements.append(record.query)


@asynccontextmanager
async def watched(url: str, is_new: bool = True) -> AsyncIterator[WatchedDatabase]:
    """The database at a URL, open; a new one gets its schema."""
    database = WatchedDatabase(url)
    await database.open()
    try:
        if is_new:
            await migrate(database)
        database.statements.clear()
        yield database
    finally:
        await database.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when the condition holds; raises TimeoutError where it does not in time."""
    async with asyncio.timeout(WITHIN_S):
        while not await condition():
            await asyncio.sleep(0.01)


async def until_waiting(database: Database, count: int = 1) -> None:
    """Return when that many sessions of this database wait for another's lock."""

    async def are_waiting() -> bool:
        waiting = await database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        return bool(waiting >= count)

    await until(are_waiting)
