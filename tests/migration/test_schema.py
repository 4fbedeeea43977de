"""The schema's steps are lawful, go there and back on a real server, and are refused by programs that are too old."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from bellhouse.adapters.store.postgres.database import Database, PostgresConfig
from bellhouse.adapters.store.postgres.members import PostgresMembers
from bellhouse.adapters.store.postgres.migrate import Step, check, current, fits, migrate, roll_back, steps
from bellhouse.app.postgres import migrate_database
from bellhouse.app.settings import load
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.processes import Member

NOT_OURS = (
    "prefer-bigint-over-int",  # tenants, days and counts of a batch fit
    "prefer-bigint-over-smallint",
    "require-lock-timeout",  # the program sets both for every step
    "require-statement-timeout",
)


BOTH_ARE_THERE = """
    SELECT count(*) FILTER (WHERE query LIKE '%CREATE INDEX%') = 1
        AND count(*) FILTER (WHERE query LIKE '%pg_sleep%' OR query LIKE '%advisory_lock%') = 1
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(PostgresConfig(database_url, pool=2))
    await opened.open()
    yield opened
    await opened.close()


def test_the_linter_finds_nothing_unsafe_in_any_step() -> None:
    folder = resources.files("bellhouse.adapters.store.postgres").joinpath("schema")
    files = sorted(str(entry) for entry in folder.iterdir() if ".down." not in entry.name)
    squawk = Path(sys.executable).with_name("squawk")
    command = [squawk, "--assume-in-transaction", "--pg-version=15.0", f"--exclude={','.join(NOT_OURS)}", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


async def test_all_steps_go_there_and_back_and_there_again(database: Database) -> None:
    numbers = [step.number for step in steps()]
    assert await migrate(database) == numbers
    assert await migrate(database) == []
    await fits(database)
    assert await roll_back(database, 0) == list(reversed(numbers))
    assert await migrate(database) == numbers


async def test_a_role_refuses_a_schema_that_is_older_than_itself(database: Database) -> None:
    await migrate(database, steps()[:1])
    with pytest.raises(StoreUnavailable, match="run `bellhouse migrate`"):
        await fits(database)


async def test_old_code_runs_on_a_newer_schema_unless_a_step_says_that_it_cannot(database: Database) -> None:
    newest = steps()[-1].number
    harmless = Step(newest + 1, "more", "CREATE TABLE more (id bigint)", "DROP TABLE more")
    await migrate(database, [*steps(), harmless])
    await fits(database)
    floor = f"-- needs code of step {newest + 2}\nDROP TABLE more"
    await migrate(database, [*steps(), harmless, Step(newest + 2, "less", floor, "CREATE TABLE more (id bigint)")])
    with pytest.raises(StoreUnavailable, match="upgrade it"):
        await fits(database)


async def test_a_step_that_old_code_cannot_live_with_waits_for_its_processes_unless_it_is_wanted_now(
    database: Database,
) -> None:
    await migrate(database)
    newest = steps()[-1].number
    harmless = Step(newest + 1, "more", "CREATE TABLE more (id bigint)", "DROP TABLE more")
    hard = Step(newest + 2, "less", f"-- needs code of step {newest + 1}\nDROP TABLE more", "")
    known = [*steps(), harmless, hard]
    old, new = PostgresMembers(database, "old"), PostgresMembers(database, "new")
    await old.join(Member("old", "worker", host="here", version="0.1", step=newest), 60)
    await new.join(Member("new", "worker", host="there", version="0.2", step=newest + 1), 60)
    with pytest.raises(StoreUnavailable, match=r"needs code of step \d+: upgrade or stop worker 0\.1 on here, then"):
        await migrate(database, known)
    assert await current(database) == harmless.number
    await old.leave()
    assert await migrate(database, known) == [hard.number]


async def test_a_step_that_old_code_cannot_live_with_is_applied_beside_it_where_it_is_told_to(
    database: Database,
) -> None:
    await migrate(database)
    newest = steps()[-1].number
    await PostgresMembers(database, "old").join(Member("old", "worker"), 60)
    hard = Step(newest + 1, "hard", f"-- needs code of step {newest + 1}\nCREATE TABLE more (id bigint)", "")
    assert await migrate(database, [*steps(), hard], now=True) == [hard.number]


async def test_steps_that_the_program_does_not_know_are_not_taken_back_and_neither_are_those_before_them(
    database: Database,
) -> None:
    newest = steps()[-1].number
    later = Step(newest + 1, "more", "CREATE TABLE more (id bigint)", "DROP TABLE more")
    await migrate(database, [*steps(), later])
    with pytest.raises(StoreUnavailable, match=f"at step {newest + 1}, this program knows {newest}"):
        await roll_back(database, newest - 1, now=True)
    assert await current(database) == newest + 1
    assert await roll_back(database, newest, [*steps(), later]) == [newest + 1]


async def test_on_the_way_back_only_steps_that_are_left_say_which_code_is_too_old(database: Database) -> None:
    newest = steps()[-1].number
    hard = f"-- needs code of step {newest + 1}\nCREATE TABLE more (id bigint)"
    hardest = f"-- needs code of step {newest + 2}\nCREATE TABLE most (id bigint)"
    known = [
        *steps(),
        Step(newest + 1, "more", hard, "DROP TABLE more"),
        Step(newest + 2, "most", hardest, "DROP TABLE most"),
    ]
    floor = "SELECT value FROM meta WHERE name = 'schema_floor'"
    await migrate(database, known)
    assert await database.value(floor) == newest + 2
    await roll_back(database, newest + 1, known)
    assert await database.value(floor) == newest + 1
    await roll_back(database, newest, known)
    assert await database.value(floor) == 0
    await fits(database)


async def test_a_step_is_not_taken_back_under_a_process_that_needs_it_unless_that_is_wanted_now(
    database: Database,
) -> None:
    newest = steps()[-1].number
    known = [*steps(), Step(newest + 1, "more", "CREATE TABLE more (id bigint)", "DROP TABLE more")]
    await migrate(database, known)
    old, new = PostgresMembers(database, "old"), PostgresMembers(database, "new")
    await old.join(Member("old", "router", host="here", version="0.1", step=newest), 60)
    await new.join(Member("new", "worker", host="there", version="0.2", step=newest + 1), 60)
    with pytest.raises(StoreUnavailable, match=r"stop worker 0\.2 on there, then run `bellhouse migrate --back-to"):
        await roll_back(database, newest, known)
    assert await current(database) == newest + 1
    assert await roll_back(database, newest, known, now=True) == [newest + 1]
    assert await migrate(database, known) == [newest + 1]
    await new.leave()
    assert await roll_back(database, newest, known) == [newest + 1]


def test_every_table_is_dropped_only_where_that_is_said_twice(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "bellhouse.toml").write_text(f'[store]\nurl = "{database_url}"\n')
    command = [sys.executable, "-P", "-m", "bellhouse", "migrate", "--data", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    refused = subprocess.run([*command, "--back-to", "0"], check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    done = subprocess.run([*command, "--back-to", "0", "--yes", "--json"], check=True, capture_output=True, text=True)
    assert str(steps()[0].number) in done.stdout


async def test_a_step_that_fails_leaves_nothing_behind(database: Database) -> None:
    broken = Step(steps()[-1].number + 1, "broken", "CREATE TABLE half (id bigint); SELECT 1 / 0", "")
    with pytest.raises(Exception, match="division by zero"):
        await migrate(database, [*steps(), broken])
    await fits(database)
    assert await database.value("SELECT to_regclass('half')") is None


async def test_a_step_outside_a_transaction_may_be_repeated(database: Database) -> None:
    await migrate(database)
    sql = "-- outside a transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS by_at ON acceptances (at);\n"
    step = Step(steps()[-1].number + 1, "index", sql, "DROP INDEX by_at")
    assert await migrate(database, [*steps(), step]) == [step.number]
    assert await database.value("SELECT to_regclass('by_at')::text") == "by_at"


async def test_an_index_that_was_begun_and_not_ended_is_made_again(database: Database) -> None:
    await migrate(database)
    await database.run("CREATE TABLE twins AS SELECT 7 AS number FROM generate_series(1, 2)")
    sql = "-- outside a transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_each ON twins (number);\n"
    known = [*steps(), Step(steps()[-1].number + 1, "index", sql, "DROP INDEX one_each")]
    whole = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('one_each')"
    with pytest.raises(asyncpg.UniqueViolationError):
        await migrate(database, known)
    assert await database.value(whole) is False
    await database.run("DELETE FROM twins WHERE ctid = (SELECT min(ctid) FROM twins)")
    assert await migrate(database, known) == [known[-1].number]
    assert await database.value(whole) is True


async def test_two_who_make_an_index_side_by_side_do_not_wait_for_one_another_for_ever(
    database: Database, database_url: str
) -> None:
    await migrate(database)
    sql = "-- outside a transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS by_at ON acceptances (at);\n"
    known = [*steps(), Step(steps()[-1].number + 1, "index", sql, "DROP INDEX by_at")]
    other = Database(PostgresConfig(database_url, pool=2))
    await other.open()
    try:
        # Somebody writes to the table, so that the first to come makes its index only when the second has come too.
        async with database.transaction() as writer:
            await writer.execute("LOCK TABLE acceptances IN ROW EXCLUSIVE MODE")
            both = [asyncio.ensure_future(migrate(other, known)) for _ in range(2)]
            while not await writer.fetchval(BOTH_ARE_THERE):
                await writer.execute("SELECT pg_stat_clear_snapshot()")
        assert sorted(await asyncio.gather(*both)) == [[], [known[-1].number]]
    finally:
        await other.close()


async def test_steps_have_longer_than_the_traffic_s_statements(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Step(steps()[-1].number + 1, "slow", "SELECT pg_sleep(0.5)", "")
    known = [*steps(), slow]
    monkeypatch.setattr("bellhouse.adapters.store.postgres.migrate.steps", lambda: known)
    flags = {"data": tmp_path, "store": {"url": database_url, "statement_timeout_s": 0.2}}
    _, applied = await migrate_database(load(flags, environment={}).settings)
    assert applied[-1] == slow.number


def test_only_a_floor_above_the_program_is_refused() -> None:
    check(there=9, floor=2, newest=2)
    with pytest.raises(StoreUnavailable, match="step 9"):
        check(there=9, floor=3, newest=2)
