"""The catalogue on PostgreSQL answers from memory that follows the other processes' changes in time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.postgres_room import WatchedDatabase, watched

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.store.postgres.catalogue import PostgresCatalogue
from bellhouse.domain.catalogue import ChannelTemplate, NotificationType, Template
from bellhouse.domain.ids import TenantNo
from bellhouse.engines.postgres import Postgres
from bellhouse.ports.store.catalogue import ApiKey
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.providers import BreakerRow
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import NOON

TENANT = TenantNo(1)
FRESH_S = 0.05


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[WatchedDatabase]:
    async with watched(database_url) as database:
        yield database


@pytest.fixture
async def elsewhere(database: WatchedDatabase) -> AsyncIterator[PostgresCatalogue]:
    """The catalogue as another process has it, which reads at each call."""
    async with watched(database.config.url, is_new=False) as another:
        yield PostgresCatalogue(another, SystemClock(), 0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def catalogue(database: WatchedDatabase, clock: ManualClock) -> PostgresCatalogue:
    return PostgresCatalogue(database, clock, FRESH_S)


def kind(name: str = "greeting", lifetime_s: int = 60) -> NotificationType:
    return NotificationType(name, "product", lifetime_s=lifetime_s)


def template(name: str = "greeting", title: str = "Hello") -> Template:
    return Template(name, 0, {"en": {"push": ChannelTemplate(title=title, body="-")}})


def key(key_id: str) -> ApiKey:
    return ApiKey(key_id, TENANT, "acme", "test", ("send",), b"digest", "", NOON)


async def test_an_answer_costs_at_most_one_tiny_read_in_a_twentieth_of_a_second(
    database: WatchedDatabase, catalogue: PostgresCatalogue, clock: ManualClock
) -> None:
    await catalogue.put_type(TENANT, kind())
    await catalogue.put_template(TENANT, template())
    await catalogue.type(TENANT, "greeting")
    await catalogue.template(TENANT, "greeting")
    database.statements.clear()
    for _ in range(10):
        await catalogue.type(TENANT, "greeting")
        await catalogue.template(TENANT, "greeting")
        await catalogue.breakers()
    assert database.statements == []
    await clock.advance(FRESH_S)
    for _ in range(10):
        await catalogue.type(TENANT, "greeting")
    assert len(database.statements) == 1


async def test_what_another_process_changes_is_seen_when_the_answer_is_as_old_as_it_may_be(
    catalogue: PostgresCatalogue, elsewhere: PostgresCatalogue, clock: ManualClock
) -> None:
    await elsewhere.put_type(TENANT, kind(lifetime_s=1))
    await elsewhere.put_template(TENANT, template())
    assert await catalogue.type(TENANT, "greeting") == kind(lifetime_s=1)
    await elsewhere.put_type(TENANT, kind(lifetime_s=2))
    await elsewhere.put_template(TENANT, template(title="Hi"))
    await elsewhere.change_breaker(BreakerRow("fcm", "push", "open", version=1), 0)
    assert await catalogue.type(TENANT, "greeting") == kind(lifetime_s=1)
    await clock.advance(FRESH_S)
    assert await catalogue.type(TENANT, "greeting") == kind(lifetime_s=2)
    newest = await catalogue.template(TENANT, "greeting")
    assert newest is not None
    assert (newest.version, newest.locales["en"]["push"].title) == (2, "Hi")
    assert [row.state for row in await catalogue.breakers()] == ["open"]


async def test_a_name_that_is_not_known_yet_is_looked_up_at_once(
    catalogue: PostgresCatalogue, elsewhere: PostgresCatalogue
) -> None:
    assert await catalogue.type(TENANT, "greeting") is None
    await elsewhere.put_type(TENANT, kind())
    assert await catalogue.type(TENANT, "greeting") == kind()
    await elsewhere.put_template(TENANT, template())
    assert await catalogue.template(TENANT, "greeting") is not None
    await elsewhere.put_template(TENANT, template())
    second = await catalogue.template(TENANT, "greeting", 2)
    assert second is not None
    await elsewhere.put_key(key("k"))
    assert await catalogue.key("k") == key("k")
    number = await elsewhere.tenant("acme", "test")
    assert await catalogue.tenant("acme", "test") == number
    assert await catalogue.tenants() == {number: ("acme", "test")}


async def test_what_is_not_there_is_not_made_up(catalogue: PostgresCatalogue) -> None:
    await catalogue.put_template(TENANT, template())
    assert await catalogue.template(TENANT, "greeting", 0) is None
    assert await catalogue.template(TENANT, "greeting", 2**40) is None
    assert await catalogue.template(TenantNo(2), "greeting") is None
    assert not await catalogue.revoke_key("nobody", NOON)


async def test_a_change_of_ones_own_is_seen_at_once(catalogue: PostgresCatalogue) -> None:
    for lifetime_s in (1, 2, 3):
        await catalogue.put_type(TENANT, kind(lifetime_s=lifetime_s))
        assert await catalogue.type(TENANT, "greeting") == kind(lifetime_s=lifetime_s)
    await catalogue.put_key(key("k"))
    assert await catalogue.revoke_key("k", NOON)
    assert [known.revoked_at for known in await catalogue.keys()] == [NOON]
    assert await catalogue.type_names() == ["greeting"]


async def test_who_asks_at_the_same_time_shares_a_read(database: WatchedDatabase, catalogue: PostgresCatalogue) -> None:
    await catalogue.types(TENANT)
    database.statements.clear()
    await asyncio.gather(*(catalogue.key(f"unknown {i}") for i in range(50)))
    assert len(database.statements) <= 2


async def test_a_read_that_began_before_a_change_does_not_answer_who_asks_after_it(
    database: WatchedDatabase, catalogue: PostgresCatalogue, elsewhere: PostgresCatalogue
) -> None:
    go_on = database.hold()
    earlier = asyncio.create_task(catalogue.key("other"))
    await database.has_read.wait()
    await elsewhere.put_key(key("k"))
    later = asyncio.create_task(catalogue.key("k"))
    await asyncio.sleep(0)
    go_on.set()
    assert await later == key("k")
    assert await earlier is None


async def test_a_change_of_ones_own_is_seen_though_a_read_was_under_way(
    database: WatchedDatabase, catalogue: PostgresCatalogue
) -> None:
    await catalogue.put_type(TENANT, kind(lifetime_s=1))
    go_on = database.hold()
    reading = asyncio.create_task(catalogue.type(TENANT, "greeting"))
    await database.has_read.wait()
    await catalogue.put_type(TENANT, kind(lifetime_s=2))
    go_on.set()
    await reading
    assert await catalogue.type(TENANT, "greeting") == kind(lifetime_s=2)


async def test_no_reader_misses_a_change_among_many_that_are_made_side_by_side(
    database: WatchedDatabase, elsewhere: PostgresCatalogue
) -> None:
    writers = [PostgresCatalogue(database, SystemClock(), 0) for _ in range(4)]

    async def write(number: int) -> None:
        for lifetime_s in range(1, 8):
            await writers[number].put_type(TENANT, kind(f"t{number}", lifetime_s))
            assert await elsewhere.type(TENANT, f"t{number}") == kind(f"t{number}", lifetime_s)

    await asyncio.gather(*(write(number) for number in range(4)))


async def test_versions_of_a_template_are_numbered_without_gaps_by_who_publishes_side_by_side(
    catalogue: PostgresCatalogue, elsewhere: PostgresCatalogue
) -> None:
    given = [place.put_template(TENANT, template()) for place in (catalogue, elsewhere) for _ in range(5)]
    assert sorted(await asyncio.gather(*given)) == list(range(1, 11))
    assert await catalogue.template_names(TENANT) == {"greeting": 10}


async def test_a_tenant_that_two_make_at_once_has_one_number(
    catalogue: PostgresCatalogue, elsewhere: PostgresCatalogue
) -> None:
    numbers = await asyncio.gather(*(place.tenant("acme", "live") for place in (catalogue, elsewhere)))
    assert len(set(numbers)) == 1
    assert await catalogue.tenant("acme", "test") not in numbers


async def test_a_key_is_revoked_once(catalogue: PostgresCatalogue, elsewhere: PostgresCatalogue) -> None:
    await catalogue.put_key(key("k"))
    revoked = await asyncio.gather(catalogue.revoke_key("k", NOON), elsewhere.revoke_key("k", NOON + 1))
    assert sorted(revoked) == [False, True]


async def test_a_breaker_is_changed_only_from_the_version_that_was_expected(
    database: WatchedDatabase, catalogue: PostgresCatalogue, elsewhere: PostgresCatalogue
) -> None:
    first = BreakerRow("fcm", "push", "open", version=1)
    assert not await catalogue.change_breaker(first, 3)
    changed = await asyncio.gather(*(place.change_breaker(first, 0) for place in (catalogue, elsewhere)))
    assert sorted(changed) == [False, True]
    second = BreakerRow("fcm", "push", "half_open", version=2)
    changed = await asyncio.gather(*(place.change_breaker(second, 1) for place in (catalogue, elsewhere)))
    assert sorted(changed) == [False, True]
    assert not await catalogue.change_breaker(first, 0)
    assert await elsewhere.breakers() == [second]
    assert await database.value("SELECT version FROM versions WHERE kind = 'breaker'") == 2


async def test_an_outage_is_told_to_all_who_wait_at_once_and_after_it_nothing_stale_is_left(
    mortal_postgres: Postgres,
) -> None:
    async with watched(mortal_postgres.create_database("catalogue")) as database:
        catalogue = PostgresCatalogue(database, SystemClock(), 0)
        await catalogue.put_type(TENANT, kind(lifetime_s=1))
        assert await catalogue.type(TENANT, "greeting") == kind(lifetime_s=1)
        mortal_postgres.kill()
        database.statements.clear()
        told = await asyncio.gather(*(catalogue.key(str(i)) for i in range(30)), return_exceptions=True)
        assert {type(answer) for answer in told} == {StoreUnavailable}
        assert len(database.statements) <= 2
        mortal_postgres.start()
        # As a server that took over without the last changes would: the same number, another content.
        statement = "UPDATE types SET record = $1"
        await database.run(statement, b"\x83\xa4name\xa8greeting\xa8category\xa7product\xaalifetime_s\x02")
        assert await catalogue.type(TENANT, "greeting") == kind(lifetime_s=2)
