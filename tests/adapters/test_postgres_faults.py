"""Whatever keeps PostgreSQL from answering is told in a word, and leaves nothing half-written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import pytest
from tests.lossy_relay import LossyRelay
from tests.postgres_houses import COMMIT, PUSH, House, Street, again, ended
from tests.postgres_room import until

from bellhouse.adapters.store.postgres import PostgresConfig
from bellhouse.adapters.store.postgres import database as database_room
from bellhouse.adapters.store.postgres.database import Database
from bellhouse.engines.postgres import Postgres, Standby
from bellhouse.ports.store.deliver import Claim, Settlement, Standings
from bellhouse.ports.store.errors import LeaseLost, OutcomeUnknown, StoreUnavailable
from bellhouse.ports.store.ingest import Accepted, Repeated
from bellhouse.testing.records import HOUR, NOON, acceptance, notification, outcome, routed


@pytest.fixture
async def street(database_url: str) -> AsyncIterator[Street]:
    street = Street(database_url)
    yield street
    await street.close()


@pytest.fixture
async def relay(database_url: str) -> AsyncIterator[LossyRelay]:
    relay = await LossyRelay(database_url).start()
    yield relay
    await relay.stop()


@pytest.fixture
async def far(street: Street, relay: LossyRelay) -> House:
    """A process whose commits may be lost on the way."""
    await street.house()
    street.url = relay.url
    return await street.house()


def _elsewhere(url: str, **parts: str) -> str:
    """The URL with another user or path."""
    split = urlsplit(url)
    place = f"{parts.get('user', split.username)}@{split.hostname}:{split.port}"
    return urlunsplit(split._replace(netloc=place, path=parts.get("path", split.path)))


async def _word(database: Database, sql: str = "SELECT 1") -> str:
    with pytest.raises(StoreUnavailable) as refused:
        await ended(database.rows(sql))
    assert refused.value.remedy
    return refused.value.reason


# --- answers to commits that are lost ---


async def test_an_acceptance_whose_answer_was_lost_is_looked_up_so_that_nobody_sends_it_again(
    street: Street, far: House, relay: LossyRelay
) -> None:
    await street.accepted()
    known, fresh, later = (notification(street.tenant, street.recipients[0]) for _ in range(3))
    later = msgspec.structs.replace(later, ready_at=NOON + HOUR)
    await far.ingest.accept([acceptance(known, "key")], NOON)
    for items in ([acceptance(fresh, "key"), acceptance(fresh)], [acceptance(later)]):
        relay.lose_the_answer()
        results = await ended(far.ingest.accept(items, NOON))
        assert results == [*([Repeated(known.id)] if len(items) > 1 else []), Accepted(items[-1].notification.id)]
    assert (await far.insights.ledger(None, NOON, True)).accepted == 4
    await far.counts()


async def test_an_acceptance_that_never_came_to_the_server_is_refused_as_not_written(
    street: Street, far: House, relay: LossyRelay
) -> None:
    await street.accepted()
    item = notification(street.tenant, street.recipients[0])
    relay.delay_the_commit()
    with pytest.raises(StoreUnavailable) as refused:
        await ended(far.ingest.accept([acceptance(item)], NOON))
    assert not isinstance(refused.value, OutcomeUnknown)
    assert await far.ingest.accept([acceptance(item)], NOON) == [Accepted(item.id)]
    assert (await far.insights.ledger(None, NOON, True)).accepted == 2


async def test_an_acceptance_of_which_nothing_is_heard_in_time_is_said_to_be_unknown(
    street: Street, far: House, relay: LossyRelay
) -> None:
    await street.accepted()
    item, repeat = (notification(street.tenant, street.recipients[0]) for _ in range(2))
    far.database.config = msgspec.structs.replace(far.database.config, commit_timeout_s=0.3)
    relay.delay_the_commit()
    with pytest.raises(OutcomeUnknown):
        await ended(far.ingest.accept([acceptance(item, "key")], NOON))
    await relay.let_the_commit_through()
    assert await far.ingest.accept([acceptance(repeat, "key")], NOON) == [Repeated(item.id)]
    assert (await far.insights.ledger(None, NOON, True)).accepted == 2


async def test_a_decision_whose_answer_was_lost_is_published_by_its_repetition(
    street: Street, far: House, relay: LossyRelay
) -> None:
    (item,) = await street.accepted()
    relay.lose_the_answer()
    with pytest.raises(StoreUnavailable):
        await ended(far.route.decide([routed(item)], NOON, ()))
    assert street.log.of(PUSH) == []
    assert await far.route.decide([routed(item)], NOON, ()) == 0
    assert len(street.log.of(PUSH)) == 1
    assert await far.counts() == {"waiting": 1}


async def test_a_settlement_whose_answer_was_lost_stands(street: Street, far: House, relay: LossyRelay) -> None:
    claims = await street.planned(3)
    known = await far.deliver.standings(claims)
    intent, _ = await far.deliver.begin(PUSH, claims, known.as_of, NOON)
    settlement = Settlement([outcome(claim, "sent") for claim in claims], intents=[intent])
    relay.lose_the_answer()
    with pytest.raises(StoreUnavailable):
        await ended(far.deliver.settle(settlement))
    assert await far.counts() == {"sent": 3}
    await far.deliver.settle(settlement)
    assert await far.counts() == {"sent": 3}


async def test_a_beginning_whose_answer_was_lost_is_taken_back_before_the_next(
    street: Street, far: House, relay: LossyRelay
) -> None:
    claims = await street.planned(3)
    known = await far.deliver.standings(claims)
    relay.lose_the_answer()
    await _cannot_begin(far, claims, known)
    assert await far.counts() == {"in_flight": 3}
    intent, gone = await far.deliver.begin(PUSH, claims, known.as_of, NOON)
    assert not gone
    await _sent(far, claims, intent)
    assert await far.counts() == {"sent": 3}


async def test_a_beginning_whose_answer_was_lost_is_taken_back_before_its_records_are_looked_at_again(
    street: Street, far: House, relay: LossyRelay
) -> None:
    claims = await street.planned(2)
    known = await far.deliver.standings(claims)
    relay.lose_the_answer()
    await _cannot_begin(far, claims, known)
    assert [s.sending for s in (await far.deliver.standings(again(claims))).standings] == ["no", "no"]
    assert await far.counts() == {"waiting": 2}


async def test_a_take_back_whose_own_answer_was_lost_is_not_forgotten(
    street: Street, far: House, relay: LossyRelay
) -> None:
    claims = await street.planned(2)
    known = await far.deliver.standings(claims)
    for _ in range(3):
        relay.lose_the_answer()
        await _cannot_begin(far, claims, known)
    relay.lose_the_answer()
    with pytest.raises(StoreUnavailable):
        await ended(far.deliver.standings(claims))
    assert [s.stale for s in (await far.deliver.standings(claims)).standings] == [False, False]
    assert await far.counts() == {"waiting": 2}


async def test_a_take_back_that_fails_is_tried_again(street: Street, far: House, relay: LossyRelay) -> None:
    claims = await street.planned(2)
    known = await far.deliver.standings(claims)
    relay.lose_the_answer()
    await _cannot_begin(far, claims, known)
    gate = far.hold("deliver.intend")
    beginning = asyncio.create_task(far.deliver.begin(PUSH, claims, known.as_of, NOON))
    await gate.reached()
    await _end_sessions(street)
    gate.open()
    with pytest.raises(StoreUnavailable):
        await ended(beginning)
    intent, _ = await far.deliver.begin(PUSH, claims, known.as_of, NOON)
    await _sent(far, claims, intent)
    assert await far.counts() == {"sent": 2}


async def test_a_commit_that_comes_late_is_waited_for_before_it_is_taken_back(
    street: Street, far: House, relay: LossyRelay
) -> None:
    claims = await street.planned(2)
    known = await far.deliver.standings(claims)
    relay.delay_the_commit()
    await _cannot_begin(far, claims, known)
    with pytest.raises(StoreUnavailable, match="busy"):
        await far.deliver.begin(PUSH, claims, known.as_of, NOON)
    await relay.let_the_commit_through()
    intent, _ = await ended(far.deliver.begin(PUSH, claims, known.as_of, NOON))
    await _sent(far, claims, intent)
    assert await far.counts() == {"sent": 2}


async def test_lanes_that_take_back_at_the_same_moment_do_not_meet(
    street: Street, far: House, relay: LossyRelay
) -> None:
    claims = await street.planned(2)
    known = await far.deliver.standings(claims)
    relay.lose_the_answer()
    await _cannot_begin(far, claims, known)
    await ended(asyncio.gather(*(far.deliver.standings(claims) for _ in range(4))))
    assert await far.counts() == {"waiting": 2}


async def test_what_a_process_that_was_given_up_has_begun_without_a_word_is_not_taken_back_any_more(
    street: Street, far: House, relay: LossyRelay
) -> None:
    (claim,) = await street.planned()
    known = await far.deliver.standings([claim])
    relay.lose_the_answer()
    with pytest.raises(StoreUnavailable):
        await ended(far.deliver.begin(PUSH, [claim], known.as_of, NOON))
    await far.members.leave()
    other = street.houses[0]
    assert [s.sending for s in (await other.deliver.standings(again([claim]))).standings] == ["interrupted"]
    await other.deliver.settle(Settlement([outcome(claim, "unknown", again_at=NOON + 1)]))
    with pytest.raises(LeaseLost):
        await far.deliver.standings([claim])
    with pytest.raises(LeaseLost):
        await far.deliver.begin(PUSH, [claim], known.as_of, NOON)
    assert await other.counts() == {"unknown": 1}


# --- what PostgreSQL says no with ---


async def test_a_call_for_which_no_connection_comes_free_is_refused_in_time(database_url: str) -> None:
    database = Database(PostgresConfig(database_url, pool=1, commit_timeout_s=0.2))
    await database.open()
    async with database.connection():
        with pytest.raises(StoreUnavailable, match=r"busy: .*store\.pool"):
            await ended(database.value("SELECT 1"))
    assert await database.value("SELECT 1") == 1
    await database.close()


async def test_a_server_that_is_killed_in_the_middle_leaves_nothing_half_written(mortal_postgres: Postgres) -> None:
    street = Street(mortal_postgres.create_database("mortal"))
    house = await street.house()
    claims = await street.planned(2)
    known = await house.deliver.standings(claims)
    intent, _ = await house.deliver.begin(PUSH, claims, known.as_of, NOON)
    sent = Settlement([outcome(claim, "sent") for claim in claims], intents=[intent])
    more = [notification(street.tenant, street.recipients[0]) for _ in range(3)]
    acts = {
        "deliver.settle": lambda: house.deliver.settle(sent),
        "ingest.accept": lambda: house.ingest.accept([acceptance(item, str(item.id)) for item in more], NOON),
    }
    for statement, act in acts.items():
        gate = house.hold(statement)
        acting = asyncio.create_task(act())
        await gate.reached()
        await asyncio.to_thread(mortal_postgres.kill)
        gate.open()
        with pytest.raises(StoreUnavailable) as refused:
            await ended(acting)
        assert refused.value.reason == "unreachable"
        assert await _word(house.database) == "unreachable"
        await asyncio.to_thread(mortal_postgres.start)
        await until(lambda: _answers(house))
        assert await house.counts() == {"in_flight": 2}
    await house.deliver.settle(sent)
    assert await house.ingest.accept([acceptance(item, str(item.id)) for item in more], NOON) == [
        Accepted(item.id) for item in more
    ]
    assert await house.counts() == {"sent": 2}
    await street.close()


async def test_a_standby_reads_and_is_called_read_only(mortal_postgres: Postgres) -> None:
    """And once it has taken its primary's place, the same URL is enough to go on."""
    url = mortal_postgres.create_database("followed")
    street = Street(url)
    house = await street.house()
    claims = await street.planned(2)
    with Standby(mortal_postgres) as standby:
        mortal_postgres.commit_on(standby)
        await street.accepted()
        alone = Database(PostgresConfig(standby.database_url("followed")))
        await alone.open()
        assert await _word(alone) == "read_only"
        await alone.close()
        both = urlsplit(url)
        hosts = f"{both.username}@{both.hostname}:{standby.port},{both.hostname}:{both.port}"
        street.url = urlunsplit(both._replace(netloc=hosts))
        other = await street.house()
        await other.probe()
        mortal_postgres.kill()
        with pytest.raises(StoreUnavailable):
            await ended(other.deliver.standings(claims))
        standby.promote()
        await until(lambda: _answers(other))
        known = await other.deliver.standings(claims)
        intent, _ = await other.deliver.begin(PUSH, claims, known.as_of, NOON)
        await other.deliver.settle(Settlement([outcome(claim, "sent") for claim in claims], intents=[intent]))
        assert await other.counts() == {"sent": 2}
        await house.close()
        await other.close()


async def test_a_commit_that_no_standby_confirms_is_given_up_after_its_time(mortal_postgres: Postgres) -> None:
    """And the connection is good for the next one."""
    url = mortal_postgres.create_database("unconfirmed")
    with Standby(mortal_postgres) as standby:
        mortal_postgres.commit_on(standby)
        database = Database(PostgresConfig(url, commit_timeout_s=1.0))
        await database.open()
        standby.pause()
        with pytest.raises(StoreUnavailable, match="timeout"):
            await ended(_written(database, "CREATE TABLE written (number int)"))
        standby.resume()
        await ended(_written(database, "INSERT INTO written VALUES (1)"))
        assert await database.value("SELECT number FROM written") == 1
        await database.close()


async def _written(database: Database, sql: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(sql)


async def test_a_database_that_may_only_be_read_is_called_read_only(street: Street) -> None:
    house = await street.house()
    items = await street.accepted()
    await _set_for_all(street, "default_transaction_read_only = on")
    await until(lambda: _answers(house))
    with pytest.raises(StoreUnavailable) as refused:
        await house.route.decide([routed(item) for item in items], NOON, ())
    assert refused.value.reason == "read_only"
    await _set_for_all(street, "default_transaction_read_only = off")
    await until(lambda: _answers(house))
    assert await house.route.decide([routed(item) for item in items], NOON, ()) == 1


async def test_a_full_disk_is_told_and_writes_nothing(street: Street) -> None:
    """The server says so in the middle of a transaction, here by order."""
    house = await street.house()
    claims = await street.planned(2)
    await house.database.run(
        """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"""
    )
    await house.database.run("CREATE TRIGGER full_disk BEFORE INSERT ON ledger_moves EXECUTE FUNCTION full_disk()")
    known = await house.deliver.standings(claims)
    more = notification(street.tenant, street.recipients[0])
    for act in (
        lambda: house.ingest.accept([acceptance(more, "key")], NOON),
        lambda: house.deliver.begin(PUSH, claims, known.as_of, NOON),
        lambda: house.deliver.settle(Settlement([outcome(claim, "expired", previous="waiting") for claim in claims])),
        lambda: house.ingest.cancel(street.tenant, claims[0].notification.id, NOON, "caller"),
    ):
        with pytest.raises(StoreUnavailable) as refused:
            await act()
        assert refused.value.reason == "disk_full"
    await house.database.run("DROP TRIGGER full_disk ON ledger_moves")
    assert await house.counts() == {"waiting": 2}
    assert await house.ingest.accept([acceptance(more, "key")], NOON) == [Accepted(more.id)]


async def test_a_statement_that_takes_too_long_is_called_so(street: Street) -> None:
    await street.house()
    claims = await street.planned()
    hurried = House(street.url, street.log)
    hurried.database.config = PostgresConfig(street.url, statement_timeout_s=0.2)
    street.houses.append(hurried)
    await hurried.open()
    async with street.houses[0].database.transaction() as connection:
        await connection.execute("LOCK TABLE delivery_events")
        with pytest.raises(StoreUnavailable) as refused:
            await ended(hurried.deliver.settle(Settlement([outcome(claims[0], "expired", previous="waiting")])))
    assert refused.value.reason == "timeout"
    assert await street.houses[0].counts() == {"waiting": 1}


async def test_a_process_that_sleeps_within_a_transaction_loses_it(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_room, "IDLE_IN_TRANSACTION_S", 0.1)
    house = await street.house()
    claims = await street.planned()
    known = await house.deliver.standings(claims)
    gate = house.hold(COMMIT)
    beginning = asyncio.create_task(house.deliver.begin(PUSH, claims, known.as_of, NOON))
    await gate.reached()

    async def has_lost_it() -> bool:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        return await house.database.value(sql) == 0

    await until(has_lost_it)
    gate.open()
    with pytest.raises(StoreUnavailable) as refused:
        await ended(beginning)
    assert refused.value.reason == "unreachable"
    assert await house.counts() == {"waiting": 1}


async def test_the_log_may_take_longer_than_a_process_may_sleep(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_room, "IDLE_IN_TRANSACTION_S", 0.1)
    house = await street.house()
    other = await street.house()
    await street.accepted(2)
    await street.accepted(2, ready_at=NOON + HOUR)
    for act in (lambda: house.outbox.relay("normal", 10), lambda: house.due.release_due(NOON + HOUR, 10)):
        gate = house.hold(COMMIT)
        carrying = asyncio.create_task(act())
        await gate.reached()
        # Longer than that, by the server's own clock.
        await other.database.value("SELECT pg_sleep(0.3)")
        gate.open()
        assert await ended(carrying) == 2


async def test_more_connections_than_there_may_be_are_called_busy(street: Street) -> None:
    house = await street.house()
    await house.database.run("CREATE ROLE crowded LOGIN CONNECTION LIMIT 1")
    first, second = (Database(PostgresConfig(_elsewhere(street.url, user="crowded"))) for _ in range(2))
    await first.open()
    await second.open()
    async with first.connection():
        assert await _word(second) == "busy"
    await first.close()
    await second.close()
    await house.database.run("DROP ROLE crowded")


@pytest.mark.parametrize(
    ("place", "word"),
    [
        (lambda url: _elsewhere(url, user="nobody_knows"), "refused"),
        (lambda url: _elsewhere(url, path="/nowhere"), "no_database"),
        (lambda url: urlunsplit(urlsplit(url)._replace(netloc="postgres@127.0.0.1:1")), "unreachable"),
    ],
    ids=["user", "database", "server"],
)
async def test_what_is_wrong_with_a_url_is_told(street: Street, place: Callable[[str], str], word: str) -> None:
    database = Database(PostgresConfig(place(street.url), commit_timeout_s=3.0))
    await database.open()
    assert await _word(database) == word
    await database.close()


async def test_a_database_without_its_tables_is_told_from_one_that_is_away(street: Street) -> None:
    house = House(street.url, street.log)
    street.houses.append(house)
    await house.open()
    with pytest.raises(StoreUnavailable) as refused:
        await house.due.next_due()
    assert refused.value.reason == "no_schema"


async def _cannot_begin(house: House, claims: Sequence[Claim], known: Standings) -> None:
    """Sending them fails before the process knows whether its intent stands."""
    with pytest.raises(StoreUnavailable):
        await ended(house.deliver.begin(PUSH, claims, known.as_of, NOON))


async def _sent(house: House, claims: Sequence[Claim], intent: int) -> None:
    await house.deliver.settle(Settlement([outcome(claim, "sent") for claim in claims], intents=[intent]))


async def _answers(house: House) -> bool:
    try:
        await house.probe()
    except StoreUnavailable:
        return False
    return True


async def _set_for_all(street: Street, setting: str) -> None:
    """Change the database's settings, also for those who are connected: they connect anew."""
    connection = await asyncpg.connect(street.url)
    await connection.execute("SET default_transaction_read_only = off")
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET {setting}")
    await connection.close()
    await _end_sessions(street)


async def _end_sessions(street: Street) -> None:
    """End everybody's session, and return when none is left."""
    parts = urlsplit(street.url)
    connection = await asyncpg.connect(urlunsplit(parts._replace(path="/postgres")))
    name = parts.path.lstrip("/")
    left = 1
    async with asyncio.timeout(10):
        while left:
            left = len(
                await connection.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
                )
            )
    await connection.close()
