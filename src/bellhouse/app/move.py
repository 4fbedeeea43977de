"""`move`: carries a stopped data folder into a PostgreSQL, so that roles go on there with what the folder has pending.

Every batch of rows is written in one transaction with the progress that it makes, so a move that was killed goes on
where it was. Neither side can be served before both have been counted and agree: the folder has its mark from the
first moment on (`moved.py`), the database says that a move is under way.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.store.moving import LOGS, PARTS, PENDING, Chunk, Counts, LogChunk, Part, Progress
from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.intake import PostgresIntake
from bellhouse.adapters.store.sqlite.export import SqliteExport
from bellhouse.app.engines import postgres_config
from bellhouse.app.folder import lock_folder
from bellhouse.app.move_needs import (
    CannotMove,
    in_the_way,
    place,
    refuse_served,
    refuse_used,
    see_to_pepper,
    served_by,
    source_pepper,
)
from bellhouse.app.moved import NAME, Mark, new_mark, read_mark, write_mark
from bellhouse.app.pepper import mark_of
from bellhouse.app.postgres import migrate_database, without_password
from bellhouse.app.settings import Settings
from bellhouse.deliver.flight import Ticket
from bellhouse.deliver.lane import LaneSettings
from bellhouse.deliver.outcomes import settled_waiting
from bellhouse.domain.delivery import Detail
from bellhouse.ops.move import Done, MoveReport, Side, account
from bellhouse.ports.log import NOTIFICATION_TOPICS
from bellhouse.ports.store.deliver import Claim, Outcome

_PATIENCE_S: Final = 30.0
"""How long processes of a killed supervisor may take to end."""
_COUNTING_S: Final = 3_600.0
COUNTING: Final = "counting"
"""The last step, when both sides are counted."""
_ROWS: Final = 5_000
_RECORDS: Final = 500
"""Records of an outbox row: no more than a relay takes at once."""


class Step(msgspec.Struct, frozen=True):
    """How far a part is: rows of so many."""

    part: str
    done: int
    total: int


class Plan(msgspec.Struct, frozen=True):
    """What a move would carry, and what is in its way."""

    moved_from: str
    moved_to: str
    rows: Counts
    pending: Counts
    interrupted: int
    obstacles: list[str]


Tell = Callable[[Step], None]


def move(settings: Settings, origin: Path, tell: Tell, rows: int = _ROWS, records: int = _RECORDS) -> MoveReport:
    """Move the folder or file `origin` into the database of `store.url`, or go on with that; `tell` is called after
    each batch of so many `rows`, or of so many `records` of the log.

    Raises CannotMove, CannotServe for a folder that somebody serves, StoreUnavailable, OSError.
    """
    folder, file = place(origin)
    refuse_served(folder)
    lock = lock_folder(folder, _PATIENCE_S, lambda _: None)
    try:
        return asyncio.run(_Move(settings, folder, file, tell, rows, records).run())
    finally:
        lock.release()


def plan(settings: Settings, origin: Path) -> Plan:
    """What `move` would do; nothing is written. A folder that is being served may be looked at. Raises the same."""
    return asyncio.run(_plan(settings, *place(origin)))


async def _plan(settings: Settings, folder: Path, file: Path) -> Plan:
    now = SystemClock().now()
    mark = read_mark(folder)
    obstacles = []
    if mark is not None and mark.complete:
        obstacles.append(f"{folder} has been moved to {mark.to} already")
    served = served_by(folder)
    if served is not None:
        obstacles.append(f"{folder} is being served by process {served}: stop it first")
    database = Database(postgres_config(settings))
    await database.open()
    try:
        begun = await PostgresIntake(database).look(mark.move if mark else 0)
        obstacles += [] if begun.may_go_on else [in_the_way(begun, _shown(settings))]
    finally:
        await database.close()
    try:
        source_pepper(settings, folder)
    except CannotMove as error:
        obstacles.append(str(error))
    with _opened(file, mark.at if mark else now, writes=False) as source:
        if not source.is_current:
            obstacles.append(
                f"{file} has an older schema, and is counted when that is up to date: a move sees to it, and so does "
                f"`bellhouse migrate --data {folder}` when nobody serves the folder"
            )
            return Plan(str(folder), _shown(settings), {}, {}, 0, obstacles)
        pending, interrupted = _pending(source)
        rows = {part.name: source.count(part.name) for part in PARTS}
    return Plan(str(folder), _shown(settings), rows, pending, interrupted, obstacles)


def _pending(source: SqliteExport) -> tuple[Counts, int]:
    """What waits in the source, by kind, and how many deliveries it was sending when it ended."""
    found = Counter({**dict.fromkeys(PENDING, 0), **source.waiting()})
    interrupted = 0
    for topic in LOGS:
        chunk = source.read_log(topic, None, _ROWS)
        while chunk is not None:
            found[_kind(topic)] += len(chunk.carried)
            interrupted += len(chunk.interrupted)
            chunk = source.read_log(topic, chunk.last, _ROWS)
    return {kind: found[kind] for kind in PENDING}, interrupted


class _Move:
    """One run of a move, from where the last one was."""

    def __init__(self, settings: Settings, folder: Path, file: Path, tell: Tell, rows: int, records: int) -> None:
        self._settings = settings
        self._folder = folder
        self._file = file
        self._tell = tell
        self._rows = rows
        self._records = records
        self._clock = SystemClock()
        self._to = _shown(settings)
        self._progress: dict[str, Progress] = {}

    async def run(self) -> MoveReport:
        mark = read_mark(self._folder)
        found = source_pepper(self._settings, self._folder)
        config = msgspec.structs.replace(postgres_config(self._settings), pool=2, statement_timeout_s=_COUNTING_S)
        database = Database(config)
        await database.open()
        try:
            intake = PostgresIntake(database)
            if mark is not None and mark.complete:
                return await self._end(intake, mark)
            mark = await self._begin(intake, mark, found)
            with _opened(self._file, mark.at, writes=True) as source:
                await self._carry(source, intake)
                report = await self._count(source, intake, see_to_pepper(self._settings, self._folder, found))
            if report.differences:
                return report
            mark = msgspec.structs.replace(mark, complete=True, report=msgspec.Raw(msgspec.json.encode(report)))
            write_mark(self._folder, mark)
            return await self._end(intake, mark)
        finally:
            await database.close()

    async def _begin(self, intake: PostgresIntake, mark: Mark | None, found: bytes) -> Mark:
        """Mark both sides, the source first: a mark without a move is lawful, a move without a mark is another's."""
        begun = await intake.look(mark.move if mark else 0)
        if mark is not None and mark.to != self._to and not begun.is_this:
            raise CannotMove(
                f"{self._folder} is being moved to {mark.to}: go on there. To begin anew with {self._to}, delete "
                f"{self._folder / NAME}, and drop the other database"
            )
        refuse_used(begun, self._to)
        if mark is None:
            mark = new_mark(self._to, self._clock.now())
            write_mark(self._folder, mark)
        await migrate_database(self._settings)
        refuse_used(await intake.begin(mark.move, mark_of(found)), self._to)
        return mark

    async def _carry(self, source: SqliteExport, intake: PostgresIntake) -> None:
        self._progress = await intake.progress()
        for part in PARTS:
            await self._carry_part(source, intake, part)
        for topic in LOGS:
            await self._carry_topic(source, intake, topic)
        await intake.insist_on(self._progress)
        await intake.complete(source.accepted(), *source.highest())

    async def _carry_part(self, source: SqliteExport, intake: PostgresIntake, part: Part) -> None:
        progress = self._progress.get(part.name, Progress())
        total = source.count(part.name) if not progress.finished else progress.read
        while not progress.finished:
            chunk: Chunk | None = source.read(part.name, progress.last, self._rows)
            if chunk is None:
                progress = await self._finish(intake, part.name, progress)
            else:
                progress = self._progress[part.name] = await intake.take(part, chunk, progress)
            self._tell(Step(part.name, progress.read, max(total, progress.read)))

    async def _carry_topic(self, source: SqliteExport, intake: PostgresIntake, topic: str) -> None:
        progress = self._progress.get(topic, Progress())
        total = source.log_count(topic) if not progress.finished else progress.read
        while not progress.finished:
            after = None if progress.last is None else int(progress.last[0])
            chunk: LogChunk | None = source.read_log(topic, after, self._records)
            if chunk is None:
                progress = await self._finish(intake, topic, progress)
            else:
                now = self._clock.now()
                outcomes = [_unknown(claim, now) for claim in chunk.interrupted]
                progress = self._progress[topic] = await intake.take_log(topic, chunk, outcomes, progress, now)
            self._tell(Step(topic, progress.read, total))

    async def _finish(self, intake: PostgresIntake, name: str, progress: Progress) -> Progress:
        finished = self._progress[name] = msgspec.structs.replace(progress, finished=True)
        await intake.finish(name, finished, progress)
        return finished

    async def _count(self, source: SqliteExport, intake: PostgresIntake, words: str) -> MoveReport:
        """Count both sides from their rows."""
        now = self._clock.now()
        in_log: Counter[str] = Counter()
        for topic in LOGS:
            in_log[_kind(topic)] += self._progress[topic].written
        self._tell(Step(COUNTING, 0, 2))
        here = Side(
            {part.name: source.count(part.name) for part in PARTS}, {**source.waiting(), **in_log}, source.ledger(now)
        )
        self._tell(Step(COUNTING, 1, 2))
        there = Side(await intake.counts(), await intake.pending(), await intake.ledger(now))
        self._tell(Step(COUNTING, 2, 2))
        return account(here, there, self._done(), str(self._folder), self._to, words)

    def _done(self) -> Done:
        every = self._progress.values()
        return Done(
            {part.name: self._progress[part.name].read for part in PARTS},
            {part.name: self._progress[part.name].written for part in PARTS},
            sum(progress.interrupted for progress in every),
            sum(progress.done for progress in every),
            sum(progress.unreadable for progress in every),
        )

    async def _end(self, intake: PostgresIntake, mark: Mark) -> MoveReport:
        """Let roles start on the target, now that the source's mark is complete."""
        begun = await intake.look(mark.move)
        if begun.is_this:
            await intake.open()
        elif mark.to != self._to:
            raise CannotMove(
                f"{self._folder} has been moved to {mark.to}. To move it elsewhere all the same, delete "
                f"{self._folder / NAME}: what waited is then sent from both"
            )
        elif not begun.was_this:
            raise CannotMove(
                f"{self._folder} has been moved to {mark.to}, and the database that is there now has nothing of it: "
                f"restore the one that had. To move the folder again, into an empty one, delete {self._folder / NAME}: "
                "what was sent from there meanwhile is then sent again"
            )
        return msgspec.json.decode(mark.report, type=MoveReport)


def _unknown(claim: Claim, now: int) -> Outcome:
    """What a restarted lane would answer for a delivery of a killed process (`deliver/lane.py`)."""
    detail = Detail(reason="unknown:interrupted", attempt=claim.delivery.calls + 1)
    until = now + LaneSettings().interrupted_wait_ms
    (outcome,) = settled_waiting(claim, Ticket({}, 0), detail, now, until, park=False, unknown=True).outcomes
    return outcome


def _kind(topic: str) -> str:
    return PENDING[0] if topic in NOTIFICATION_TOPICS else PENDING[2]


@contextmanager
def _opened(file: Path, moment: int, writes: bool) -> Iterator[SqliteExport]:
    source = SqliteExport(file, moment, writes)
    try:
        yield source
    finally:
        source.close()


def _shown(settings: Settings) -> str:
    return without_password(settings.store.url or "")


def titles() -> Mapping[str, str]:
    """What a person is told of each part and topic."""
    parts = {part.name: part.name.replace("_", " ") for part in PARTS}
    return {**parts, **{topic: f"log: {topic}" for topic in LOGS}, COUNTING: "counted: sides"}
