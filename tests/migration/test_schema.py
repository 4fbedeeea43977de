"""The schema's steps are lawful, go there and back on a real server, and are refused by programs that are too old."""

import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

import pytest

from bellhouse.adapters.store.postgres.database import Database, PostgresConfig
from bellhouse.adapters.store.postgres.members import PostgresMembers
from bellhouse.adapters.store.postgres.migrate import Step, check, current, fits, migrate, roll_back, steps
from bellhouse.ports.store import Member, StoreUnavailable

NOT_OURS = (
    "prefer-bigint-over-int",  # tenants, days and counts of a batch fit
    "prefer-bigint-over-smallint",
    "require-lock-timeout",  # the program sets both for every step
    "require-statement-timeout",
)


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


def test_only_a_floor_above_the_program_is_refused() -> None:
    check(there=9, floor=2, newest=2)
    with pytest.raises(StoreUnavailable, match="step 9"):
        check(there=9, floor=3, newest=2)
