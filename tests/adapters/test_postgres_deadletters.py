"""Dead letters on PostgreSQL are found by what is asked of them, and dealt with once, whoever deals with them."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.postgres_room import WatchedDatabase, until_waiting, watched

from bellhouse.adapters.store.codec import decode_delivery, encode
from bellhouse.adapters.store.postgres.deadletters import PostgresDeadLetters, put_dead_letters
from bellhouse.adapters.store.postgres.events import insert_steps, states_of
from bellhouse.adapters.store.postgres.partitions import ensure
from bellhouse.adapters.store.tally import day_of
from bellhouse.domain.delivery import Delivery, Detail
from bellhouse.domain.ids import DeliveryId, RecipientNo, TenantNo
from bellhouse.ports.store.dead_letters import DeadLetterFilter
from bellhouse.ports.store.deliver import DeadLetter
from bellhouse.testing.records import HOUR, NOON, notification, routed

TENANT = TenantNo(1)
OTHER = TenantNo(2)
RECIPIENT = RecipientNo(7)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[WatchedDatabase]:
    async with watched(database_url) as database:
        await ensure(database, [day_of(notification(TENANT, RECIPIENT, NOON).id)])
        yield database


@pytest.fixture
def letters(database: WatchedDatabase) -> PostgresDeadLetters:
    return PostgresDeadLetters(database)


def letter(tenant: TenantNo = TENANT, at: int = NOON, reason: str = "attempts_exhausted", **words: str) -> DeadLetter:
    item = notification(tenant, RECIPIENT, at)
    (delivery,) = routed(item).deliveries
    tried = msgspec.structs.replace(delivery, step=1, attempt=5, calls=5, tried=("fcm",), parked=True, unknown_since=at)
    return DeadLetter(tried, item, f"dead_lettered:{reason}", at, **words)


async def die(database: WatchedDatabase, *dead: DeadLetter) -> list[DeliveryId]:
    """Give these deliveries up, as a worker does."""
    detail = encode(Detail(reason="test", attempt=5))
    ids = [given.delivery.id for given in dead]
    async with database.transaction() as connection:
        await insert_steps(connection, [(i, 0, "dead_lettered", "in_flight", NOON, "worker", detail) for i in ids])
        await put_dead_letters(connection, dead)
    return ids


async def due(database: WatchedDatabase) -> list[tuple[int, Delivery, str, int, bool]]:
    rows = await database.rows("SELECT due_at, record, topic, key, parked FROM due ORDER BY id")
    return [(due_at, decode_delivery(record), topic, key, parked) for due_at, record, topic, key, parked in rows]


async def moves(database: WatchedDatabase) -> dict[str, int]:
    rows = await database.rows("SELECT state, sum(moved)::bigint FROM ledger_moves GROUP BY state")
    return {state: moved for state, moved in rows if moved}


async def test_a_replayed_letter_is_due_at_once_as_if_it_were_new(
    database: WatchedDatabase, letters: PostgresDeadLetters
) -> None:
    dead = letter()
    ids = await die(database, dead)
    later = NOON + 48 * HOUR
    assert await letters.replay(ids, TENANT, later, HOUR, "ops") == 1
    again = msgspec.structs.replace(
        dead.delivery, step=2, attempt=0, tried=(), parked=False, unknown_since=0, expires_at=later + HOUR
    )
    assert await due(database) == [(later, again, "deliveries.push.normal", RECIPIENT, False)]
    assert database.rung == [frozenset({"due"})]
    assert await moves(database) == {"dead_lettered": -1, "waiting": 1}
    async with database.connection() as connection:
        states = await states_of(connection, ids)
    assert [(standing.state, standing.steps) for standing in states.values()] == [("waiting", 2)]
    (row,) = await letters.dead_letters(DeadLetterFilter(state="replayed"), None, 10)
    assert (row.epoch, row.by) == (1, "ops")


async def test_what_has_not_expired_keeps_its_time(database: WatchedDatabase, letters: PostgresDeadLetters) -> None:
    dead = letter()
    await letters.replay(await die(database, dead), TENANT, NOON, HOUR, "ops")
    assert [delivery.expires_at for _, delivery, *_ in await due(database)] == [dead.delivery.expires_at]


async def test_letters_that_many_replay_at_once_are_sent_again_once(
    database: WatchedDatabase, letters: PostgresDeadLetters
) -> None:
    ids = await die(database, *(letter() for _ in range(30)))
    orders = (ids, ids[::-1], ids[::2], [*ids, *ids])
    replayed = await asyncio.gather(*(letters.replay(order, None, NOON, HOUR, "ops") for order in orders))
    assert sum(replayed) == len(await due(database)) == 30
    assert await moves(database) == {"dead_lettered": -30, "waiting": 30}
    assert await letters.depths() == {}


async def test_of_two_who_replay_and_discard_one_has_it(
    database: WatchedDatabase, letters: PostgresDeadLetters
) -> None:
    ids = await die(database, letter())
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM delivery_events FOR UPDATE")
        acts = [
            asyncio.create_task(letters.replay(ids, None, NOON, HOUR, "ops")),
            asyncio.create_task(letters.discard(ids, None, NOON, "ops", "why")),
        ]
        await until_waiting(database, 2)
    assert sorted(await asyncio.gather(*acts)) == [0, 1]
    assert (await moves(database))["dead_lettered"] == -1


async def test_what_news_has_moved_meanwhile_is_not_sent_again(
    database: WatchedDatabase, letters: PostgresDeadLetters
) -> None:
    ids = await die(database, letter(), letter())
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM delivery_events WHERE id = $1 FOR UPDATE", ids[0])
        replaying = asyncio.create_task(letters.replay(ids, None, NOON, HOUR, "ops"))
        await until_waiting(database)
        news = encode(Detail(attempt=5, news="delivered"))
        await connection.execute(
            "INSERT INTO delivery_events VALUES ($1, 1, 9, 'delivered', 'dead_lettered', $2, 'news', $3)",
            ids[0],
            NOON,
            news,
        )
    assert await replaying == 1
    assert [delivery.id for _, delivery, *_ in await due(database)] == ids[1:]
    assert await letters.depths() == {}


async def test_discarded_letters_end_as_cancelled(database: WatchedDatabase, letters: PostgresDeadLetters) -> None:
    ids = await die(database, letter(), letter(OTHER))
    assert await letters.discard(ids, TENANT, NOON, "ops", "te\x00st") == 1
    assert await letters.discard(ids, TENANT, NOON, "ops", "again") == 0
    (row,) = await letters.dead_letters(DeadLetterFilter(state="discarded"), None, 10)
    assert (row.delivery, row.by, row.why, row.epoch) == (ids[0], "ops", "te\ufffdst", 0)
    assert await moves(database) == {"dead_lettered": -1, "cancelled": 1}
    assert await letters.depths() == {"push": 1}


async def test_letters_are_found_by_everything_that_a_filter_can_ask(
    database: WatchedDatabase, letters: PostgresDeadLetters
) -> None:
    here = await die(database, letter(provider="fcm"), letter(at=NOON + 1, reason="rejected"), letter(OTHER, NOON + 2))
    asked: dict[DeadLetterFilter, list[DeliveryId]] = {
        DeadLetterFilter(): here,
        DeadLetterFilter(state=None): here,
        DeadLetterFilter(state="replayed"): [],
        DeadLetterFilter(tenant=OTHER): here[2:],
        DeadLetterFilter(ids=(here[2], here[0])): [here[0], here[2]],
        DeadLetterFilter(ids=()): [],
        DeadLetterFilter(channel="push", type="greeting"): here,
        DeadLetterFilter(channel="email"): [],
        DeadLetterFilter(provider="fcm"): here[:1],
        DeadLetterFilter(reason="dead_lettered:rejected"): here[1:2],
        DeadLetterFilter(reason="no\x00ne"): [],
        DeadLetterFilter(since=NOON + 1): here[1:],
        DeadLetterFilter(tenant=TENANT, since=NOON + 1, state=None, ids=tuple(here)): here[1:2],
    }
    for filter, wanted in asked.items():
        assert [row.delivery for row in await letters.dead_letters(filter, None, 10)] == wanted, filter
    assert [row.delivery for row in await letters.dead_letters(DeadLetterFilter(), here[0], 1)] == here[1:2]


async def test_a_letter_that_fails_again_is_open_once_more_and_once(
    database: WatchedDatabase, letters: PostgresDeadLetters
) -> None:
    dead = letter()
    ids = await die(database, dead)
    await letters.replay(ids, None, NOON, HOUR, "ops")
    worse = msgspec.structs.replace(dead, reason="dead_lettered:rejected", at=NOON + 1, provider="fcm", code="4\x00")
    async with database.transaction() as connection:
        await put_dead_letters(connection, [dead, worse])
    (row,) = await letters.dead_letters(DeadLetterFilter(), None, 10)
    assert (row.reason, row.at, row.provider, row.code, row.epoch) == (worse.reason, NOON + 1, "fcm", "4\ufffd", 1)


async def test_open_letters_are_found_without_those_that_were_dealt_with(database: WatchedDatabase) -> None:
    letters = PostgresDeadLetters(database)
    database.statements.clear()
    await letters.dead_letters(DeadLetterFilter(reason="x", since=1), None, 10)
    await letters.depths()
    listing, depths = database.statements
    for sql, values in ((listing, [b"", "x", 1, 10]), (depths, [])):
        async with database.transaction() as connection:
            await connection.execute("SET LOCAL enable_seqscan = off")
            plan = await connection.fetch(f"EXPLAIN {sql}", *values)
        assert any("open_dead_letters" in row[0] for row in plan)
