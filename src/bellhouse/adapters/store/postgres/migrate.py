"""Brings the database's schema to this program's version: numbered SQL files, each applied once, each with a way back.

Old code runs on a newer schema while an upgrade rolls, so a newer schema is refused only where it says so: a step that
old code cannot live with names the oldest step whose code can (`-- needs code of step N`), and is refused itself while
a process of older code lives.
"""

import re
from importlib import resources
from typing import Any, Final

import asyncpg

from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.members import PostgresMembers
from bellhouse.ports.store import StoreUnavailable

_LOCK: Final = 4_241_000
_FLOOR: Final = re.compile(r"^-- needs code of step (\d+)$", re.MULTILINE)
_OUTSIDE: Final = "-- outside a transaction"
"""The first line of a step whose statements cannot be in one (`CREATE INDEX CONCURRENTLY`): they are run one by one,
and must be harmless when repeated."""


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
    async with database.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            check(await _current(connection), await _floor(connection), wanted[-1].number)
            for step in wanted:
                if step.number > await _current(connection):
                    if step.floor and not now:
                        await _insist_on_code_of(database, step)
                    await _apply(connection, step, step.up, step.number)
                    applied.append(step.number)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    return applied


async def roll_back(database: Database, to: int, known: list[Step] | None = None) -> list[int]:
    """Take steps back, the newest first, until `to` is the newest; answers those that were taken back."""
    taken = []
    async with database.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            for step in reversed(steps() if known is None else known):
                if to < step.number <= await _current(connection):
                    await _apply(connection, step, step.down, step.number - 1)
                    taken.append(step.number)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    return taken


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
    members = await PostgresMembers(database, "").members()
    old = sorted(f"{m.role} {m.version} on {m.host}" for m in members if m.step < step.floor)
    if old:
        raise StoreUnavailable(
            "old_processes",
            f"step {step.number} needs code of step {step.floor}: upgrade or stop {', '.join(old)}, then run "
            "`bellhouse migrate` again; `--now` applies it beside them, and they fail",
        )


async def _apply(connection: Any, step: Step, sql: str, becomes: int) -> None:
    if sql.startswith(_OUTSIDE):
        for statement in filter(None, (part.strip() for part in sql.split(";\n"))):
            await connection.execute(statement)
        await _note(connection, step, becomes)
        return
    async with connection.transaction():
        # One that has to wait for others is given up soon: whoever comes behind it would wait as well.
        await connection.execute("SET LOCAL lock_timeout = '5s'")
        await connection.execute(sql)
        await _note(connection, step, becomes)


async def _note(connection: Any, step: Step, becomes: int) -> None:
    """Write down where the schema is, unless the way back has taken everything away."""
    if becomes == 0:
        return
    put = "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    await connection.execute(put, "schema", becomes)
    if step.floor:
        await connection.execute(put, "schema_floor", step.floor)


async def _current(connection: Any) -> int:
    return await _meta(connection, "schema")


async def _floor(connection: Any) -> int:
    return await _meta(connection, "schema_floor")


async def _meta(connection: Any, name: str) -> int:
    try:
        return int(await connection.fetchval("SELECT value FROM meta WHERE name = $1", name) or 0)
    except asyncpg.UndefinedTableError:
        return 0
