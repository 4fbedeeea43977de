"""Brings the database's schema to this program's version: numbered SQL files, each applied once, each with a way back.

Old code runs on a newer schema while an upgrade rolls, so a newer schema is refused only where it says so: a step that
old code cannot live with names the oldest step whose code can (`-- needs code of step N`), and is refused itself while
a process of older code lives.
"""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, Final

import asyncpg

from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.members import PostgresMembers
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.processes import Member

PATIENCE_S: Final = 86_400.0
"""How long a statement of a step may take: an index of a large table is made beside the traffic, for hours. Whoever
migrates opens the database with this as its `statement_timeout_s`, and with two connections."""
_LOCK: Final = 4_241_000
_FLOOR: Final = re.compile(r"^-- needs code of step (\d+)$", re.MULTILINE)
_OUTSIDE: Final = "-- outside a transaction"
"""The first line of a step whose statements cannot be in one (`CREATE INDEX CONCURRENTLY`): they are run one by one,
and must be harmless when repeated."""
_INDEX: Final = re.compile(
    r"^CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)", re.MULTILINE | re.IGNORECASE
)


class Step:
    """One numbered step of the schema."""

    def __init__(self, number: int, name: str, up: str, down: str) -> None:
        self.number = number
        self.name = name
        self.up = up
        self.down = down

    @property
    def floor(self) -> int:
        """The oldest step whose code can run on this one; 0 for any."""
        found = _FLOOR.search(self.up)
        return int(found[1]) if found else 0


def steps() -> list[Step]:
    """All steps, ascending."""
    folder = resources.files("bellhouse.adapters.store.postgres").joinpath("schema")
    files = {entry.name: entry for entry in folder.iterdir()}
    found = []
    for name in sorted(files):
        if name.endswith(".sql") and not name.endswith(".down.sql"):
            stem = name.removesuffix(".sql")
            down = files[f"{stem}.down.sql"].read_text("utf-8")
            found.append(Step(int(stem[:4]), stem[5:], files[name].read_text("utf-8"), down))
    return found


async def current(database: Database) -> int:
    """The schema's step; 0 for an empty database."""
    async with database.connection() as connection:
        return await _current(connection)


async def migrate(database: Database, known: list[Step] | None = None, now: bool = False) -> list[int]:
    """Apply what is missing; answers the steps that were applied. Side by side calls wait for one another.

    Raises StoreUnavailable where this program is too old for what is there, and, unless `now`, before a step that a
    living process cannot live with; the steps before it stay.
    """
    wanted = steps() if known is None else known
    applied = []
    async with _alone(database) as connection:
        check(await _current(connection), await _floor(connection), wanted[-1].number)
        for step in wanted:
            if step.number > await _current(connection):
                if step.floor and not now:
                    await _insist_on_code_of(database, step)
                await _apply(connection, step.up, step.number, _floor_of(wanted, step.number))
                applied.append(step.number)
    return applied


async def roll_back(database: Database, to: int, known: list[Step] | None = None, now: bool = False) -> list[int]:
    """Take steps back, the newest first, until `to` is the newest; answers those that were taken back.

    Raises StoreUnavailable for a schema with steps that this program does not know, and, unless `now`, while a process
    lives whose code needs one of those that would go.
    """
    wanted = steps() if known is None else known
    taken = []
    async with _alone(database) as connection:
        there, newest = await _current(connection), wanted[-1].number
        if there > newest:
            raise StoreUnavailable(
                "newer_schema",
                f"the schema is at step {there}, this program knows {newest} and no way back from later ones: use the "
                "program that made it",
            )
        if to < there and not now:
            await _insist_on_none_newer(database, to)
        for step in reversed(wanted):
            if to < step.number <= there:
                await _apply(connection, step.down, step.number - 1, _floor_of(wanted, step.number - 1))
                taken.append(step.number)
    return taken


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[Any]:
    """A connection for whoever is the only one to change the schema; others wait until it has ended.

    They ask again and again: one that waited within a statement would hold a snapshot, for whose end `CREATE INDEX
    CONCURRENTLY` waits, and both would wait for ever.
    """
    async with database.connection() as connection:
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            await connection.execute("SELECT pg_sleep(0.1)")
        try:
            yield connection
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def fits(database: Database) -> None:
    """Raise StoreUnavailable unless this program can work on the schema that is there."""
    async with database.connection() as connection:
        newest = steps()[-1].number
        there = await _current(connection)
        if there < newest:
            raise StoreUnavailable("old_schema", f"the schema is at step {there} of {newest}: run `bellhouse migrate`")
        check(there, await _floor(connection), newest)
        if await _meta(connection, "moving"):
            raise StoreUnavailable("moving", "a move into this database has not ended: go on with `bellhouse move`")


def check(there: int, floor: int, newest: int) -> None:
    """Raise StoreUnavailable where a schema at step `there`, which needs code of step `floor`, is too new for a program
    whose newest step is `newest`."""
    if floor > newest:
        raise StoreUnavailable(
            "newer_schema", f"the schema is at step {there}, this program knows {newest}: upgrade it"
        )


async def _insist_on_code_of(database: Database, step: Step) -> None:
    """Raise StoreUnavailable where a process is alive whose code cannot live with a step."""
    old = [member for member in await PostgresMembers(database, "").members() if member.step < step.floor]
    if old:
        raise StoreUnavailable(
            "old_processes",
            f"step {step.number} needs code of step {step.floor}: upgrade or stop {_named(old)}, then run "
            "`bellhouse migrate` again; `--now` applies it beside them, and they fail",
        )


async def _insist_on_none_newer(database: Database, to: int) -> None:
    """Raise StoreUnavailable where a process is alive whose code needs a step after `to`. One that does not say which
    it knows may need any."""
    members = await PostgresMembers(database, "").members()
    new = [member for member in members if not member.step or member.step > to]
    if new:
        raise StoreUnavailable(
            "new_processes",
            f"their code needs steps after {to}: stop {_named(new)}, then run `bellhouse migrate --back-to {to}` "
            "again; `--now` takes the steps back under them, and they fail",
        )


def _named(members: Sequence[Member]) -> str:
    return ", ".join(sorted(f"{member.role} {member.version} on {member.host}" for member in members))


async def _apply(connection: Any, sql: str, becomes: int, floor: int) -> None:
    if sql.startswith(_OUTSIDE):
        for statement in filter(None, (part.strip() for part in sql.split(";\n"))):
            await _drop_unfinished(connection, statement)
            await connection.execute(statement)
        await _note(connection, becomes, floor)
        return
    async with connection.transaction():
        # One that has to wait for others is given up soon: whoever comes behind it would wait as well.
        await connection.execute("SET LOCAL lock_timeout = '5s'")
        await connection.execute(sql)
        await _note(connection, becomes, floor)


async def _drop_unfinished(connection: Any, statement: str) -> None:
    """Drop what is left of the index that a statement makes, where it was begun and did not end: it is of no use, and
    `IF NOT EXISTS` would take it for the whole one."""
    made = _INDEX.search(statement)
    if made is None:
        return
    unfinished = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid"
    if await connection.fetchval(unfinished, made[1]):
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {made[1]}")


def _floor_of(known: Sequence[Step], newest: int) -> int:
    """The oldest step whose code can run on all steps up to `newest`."""
    return max((step.floor for step in known if step.number <= newest), default=0)


async def _note(connection: Any, becomes: int, floor: int) -> None:
    """Write down where the schema is, unless the way back has taken everything away."""
    if becomes == 0:
        return
    put = "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    await connection.execute(put, "schema", becomes)
    await connection.execute(put, "schema_floor", floor)


async def _current(connection: Any) -> int:
    return await _meta(connection, "schema")


async def _floor(connection: Any) -> int:
    return await _meta(connection, "schema_floor")


async def _meta(connection: Any, name: str) -> int:
    try:
        return int(await connection.fetchval("SELECT value FROM meta WHERE name = $1", name) or 0)
    except asyncpg.UndefinedTableError:
        return 0
