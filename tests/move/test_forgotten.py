"""A server that goes down may forget the last batches of a move, and what is moved has no hole for that."""

import os
import signal
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from bellhouse.adapters.store.moving import PARTS, Chunk, LogChunk, Progress
from bellhouse.adapters.store.postgres.database import Database, PostgresConfig
from bellhouse.adapters.store.postgres.intake import PostgresIntake
from bellhouse.adapters.store.postgres.migrate import migrate
from bellhouse.engines.postgres import Postgres
from bellhouse.ports.log import deliveries_topic
from bellhouse.ports.store.errors import StoreUnavailable

TENANTS = PARTS[0]
TOPIC = deliveries_topic("push", "normal")
FIRST = Chunk([(1, "first", "production")], 1, (1,))
SECOND = Chunk([(2, "second", "production")], 1, (2,))


@pytest.fixture
def forgetful() -> Iterator[Postgres]:
    """A server on which nothing becomes durable by the way, once its writer of the log stands still."""
    with Postgres(settings={"autovacuum": "off"}) as engine:
        yield engine


@pytest.fixture
async def database(forgetful: Postgres) -> AsyncIterator[Database]:
    opened = Database(PostgresConfig(forgetful.url, pool=2))
    await opened.open()
    await migrate(opened)
    (writer,) = forgetful.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
    os.kill(int(writer), signal.SIGSTOP)
    yield opened
    await opened.close()


async def test_a_mover_that_believes_in_batches_that_are_gone_is_told_and_goes_on_where_the_server_is(
    database: Database, forgetful: Postgres
) -> None:
    intake = PostgresIntake(database)
    await intake.begin(7, 1)
    believed = await intake.take(TENANTS, FIRST, Progress())
    in_log = await intake.take_log(TOPIC, LogChunk(1, 1, [(1, b"record")]), (), Progress(), 0)
    await _goes_down(database, forgetful)
    assert await intake.progress() == {}
    for ended in (believed, msgspec.structs.replace(believed, finished=True)):
        with pytest.raises(StoreUnavailable, match="run `bellhouse move` again"):
            await intake.finish(TENANTS.name, ended, believed)
    with pytest.raises(StoreUnavailable, match="went_back"):
        await intake.take(TENANTS, SECOND, believed)
    with pytest.raises(StoreUnavailable, match="went_back"):
        await intake.take_log(TOPIC, LogChunk(1, 2, [(1, b"record")]), (), in_log, 0)
    with pytest.raises(StoreUnavailable, match="went_back"):
        await intake.insist_on({TENANTS.name: believed})
    assert await database.value("SELECT (SELECT count(*) FROM tenants) + (SELECT count(*) FROM outbox)") == 0
    again = await intake.take(TENANTS, SECOND, await intake.take(TENANTS, FIRST, Progress()))
    await intake.finish(TENANTS.name, msgspec.structs.replace(again, finished=True), again)
    assert await database.value("SELECT count(*) FROM tenants") == 2


async def _goes_down(database: Database, server: Postgres) -> None:
    """Kill the server and start it again; connections to the one before it are gone when this returns."""
    server.kill()
    server.start()
    while True:
        try:
            await database.value("SELECT 1")
        except StoreUnavailable:
            continue
        return
