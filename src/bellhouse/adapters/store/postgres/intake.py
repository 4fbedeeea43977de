"""Takes in what is moved from another store: rows by COPY, each batch in one transaction with the progress that it is.

While a move is under way a row of `meta` says so, and no role starts on the database (`migrate.fits`). Afterwards it
says which move that was.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.adapters.store.codec import encode
from bellhouse.adapters.store.moving import PARTS, PENDING, Chunk, Counts, LogChunk, Part, Progress, Row
from bellhouse.adapters.store.postgres.database import Connection, Database
from bellhouse.adapters.store.postgres.due import pack, wait
from bellhouse.adapters.store.postgres.events import insert_steps
from bellhouse.adapters.store.postgres.insights import PostgresInsights
from bellhouse.adapters.store.postgres.ledger import count
from bellhouse.adapters.store.postgres.migrate import current
from bellhouse.adapters.store.postgres.partitions import PARTITIONED, ensure
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.postgres.texts import storable
from bellhouse.adapters.store.tally import Tally, day_of
from bellhouse.domain.ids import made_at
from bellhouse.ports.log import NOTIFICATION_TOPICS, PRIORITY_OF
from bellhouse.ports.store.deliver import Outcome
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.insights import Ledger

_SQL: Final = queries("intake")
_NUMBER_ACTS: Final = queries("levers")["number_acts"]
_PATIENCE_S: Final = 3_600.0
_MINUTE: Final = 4
"""The leading bytes of an id that decide its day (`tally.day_of`)."""

_OWN: Final = (
    *(part.name for part in PARTS if part.name != "ledger"),
    "acceptances", "outbox", "intents", "operator_acts", "ledger", "ledger_moves", "ledger_closed",
)  # fmt: skip
"""Tables in which an unused database has no rows."""

_FORGOTTEN: Final = (
    "went_back",
    "PostgreSQL went down, or another took its place, and the last batches are gone: run `bellhouse move` again, it "
    "goes on behind what is there",
)

_decode: Final = msgspec.msgpack.Decoder(Progress).decode


class Begun(msgspec.Struct, frozen=True):
    """What is in the way of a move, or what it has done already."""

    other: int = 0
    """The number of another move that is under way into this database."""
    own: Sequence[str] = ()
    """Tables in which the database has rows of its own."""
    alive: int = 0
    """Processes that run on it."""
    is_this: bool = False
    """Whether this very move has begun here before."""
    was_this: bool = False
    """Whether this very move has ended here."""

    @property
    def may_go_on(self) -> bool:
        return not (self.other or self.own or self.alive)


class PostgresIntake:
    """A database that is being filled. It belongs to one move."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._days: set[int] = set()

    async def look(self, move: int) -> Begun:
        """Whether this move may begin here, or go on. A database without a schema is an unused one."""
        if await current(self._database) == 0:
            return Begun()
        async with self._database.connection() as connection:
            return await _look(connection, move)

    async def begin(self, move: int, pepper_mark: int) -> Begun:
        """Make this database the move's own, unless something is in the way."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["lock"])
            found = await _look(connection, move)
            if found.may_go_on and not found.is_this:
                await connection.execute(_SQL["make_parts"])
                await connection.execute(_SQL["begin"], move, pepper_mark)
        return found

    async def progress(self) -> dict[str, Progress]:
        """How far each part is, by its name or topic; those that have not begun are missing."""
        return {row[0]: _decode(row[1]) for row in await self._database.rows(_SQL["parts"])}

    async def finish(self, name: str, progress: Progress, before: Progress) -> None:
        """Note that a part is complete."""
        async with self._database.transaction() as connection:
            await _insist_on(connection, name, before)
            await connection.execute(_SQL["put_part"], name, encode(progress))

    async def insist_on(self, progress: Mapping[str, Progress]) -> None:
        """Raise StoreUnavailable unless the parts are as far as the mover believes."""
        if await self.progress() != progress:
            raise StoreUnavailable(*_FORGOTTEN)

    # --- rows ---

    async def take(self, part: Part, chunk: Chunk, before: Progress) -> Progress:
        """Write rows of a part; answers the progress that was written with them. Raises StoreUnavailable unless the
        part is as far as the mover believes."""
        rows = _storable(part, chunk.rows) if part.worldly else chunk.rows
        if part.name in PARTITIONED:
            await self._make_days(rows)
        after = before.after(chunk, chunk.last, len(rows))
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["hurry"])
            await _insist_on(connection, part.name, before)
            if rows:
                await connection.copy_records_to_table(part.name, records=rows, columns=part.columns)
                if part.name == "idempotency_keys":
                    youngest = max(made_at(row[1]) for row in rows)
                    await connection.execute(_SQL["name_keys"], youngest, b"".join(row[0] for row in rows))
            await connection.execute(_SQL["put_part"], part.name, encode(after))
        return after

    async def _make_days(self, rows: Sequence[Row]) -> None:
        days = {day_of(minute) for minute in {row[0][:_MINUTE] for row in rows}}
        if not days <= self._days:
            await ensure(self._database, days)
            self._days |= days

    async def take_log(
        self, topic: str, chunk: LogChunk, outcomes: Sequence[Outcome], before: Progress, now: int
    ) -> Progress:
        """Let records of a topic wait for the relay, and those of interrupted deliveries for what their policy says:
        `outcomes` are of the chunk's interrupted ones. Raises like `take`."""
        after = before.after(chunk, (chunk.last,), len(chunk.carried))
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["hurry"])
            await _insist_on(connection, topic, before)
            if chunk.carried:
                packed = pack(chunk.carried)
                await connection.execute(_SQL["put_outbox"], PRIORITY_OF[topic], topic, now, len(chunk.carried), packed)
            if outcomes:
                await _settle(connection, outcomes)
            await connection.execute(_SQL["put_part"], topic, encode(after))
        return after

    async def complete(self, accepted: int, tenant: int, recipient: int) -> None:
        """Set what follows from the whole: answers promised at the door, and the highest numbers that were given."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["number"], tenant, recipient)
            await connection.execute(_NUMBER_ACTS)
            await connection.execute(_SQL["accepted"], accepted)
        await self._database.run("ANALYZE")

    async def open(self) -> None:
        """End the move: roles may start."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["open"])
            await connection.execute(_SQL["drop_parts"])

    # --- what is there ---

    async def counts(self) -> Counts:
        """The rows of every part."""
        found = {}
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["patience"])
            for part in PARTS:
                found[part.name] = await connection.fetchval(f"SELECT count(*) FROM {part.name}", timeout=_PATIENCE_S)
        return found

    async def pending(self) -> Counts:
        """What waits, by kind."""
        found: Counter[str] = Counter(dict.fromkeys(PENDING, 0))
        for topic, records in await self._database.rows(_SQL["in_outbox"]):
            found[PENDING[0] if topic in NOTIFICATION_TOPICS else PENDING[2]] += records
        for topic, parked, rows in await self._database.rows(_SQL["in_due"]):
            kind = PENDING[1] if topic in NOTIFICATION_TOPICS else PENDING[4 if parked else 3]
            found[kind] += rows
        return found

    async def ledger(self, now: int) -> Ledger:
        """The ledger, counted from the rows as well."""
        return await PostgresInsights(self._database).ledger(None, now, True)


async def _look(connection: Connection, move: int) -> Begun:
    under_way = await connection.fetchval(_SQL["moving"])
    alive = await connection.fetchval(_SQL["alive"])
    if under_way is not None:
        return Begun(other=0 if under_way == move else under_way, alive=alive, is_this=under_way == move)
    own = [table for table in _OWN if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})")]
    return Begun(own=own, alive=alive, was_this=await connection.fetchval(_SQL["moved"]) == move)


async def _insist_on(connection: Connection, name: str, progress: Progress) -> None:
    """Raise StoreUnavailable unless a part is as far as the mover believes: a server that went down may have forgotten
    the last batches, and whoever wrote on would leave a hole where they were."""
    found = await connection.fetchval(_SQL["part"], name)
    if (Progress() if found is None else _decode(found)) != progress:
        raise StoreUnavailable(*_FORGOTTEN)


async def _settle(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes of deliveries that are waited for again, each with its record."""
    tally = Tally()
    steps, again = [], []
    for outcome in outcomes:
        event = outcome.event
        steps.append((event.delivery, event.n, event.state, event.previous, event.at, event.source, event.detail))
        tally.delivery(outcome.tenant, event.delivery, event.previous, event.state)
        if outcome.again is not None:
            again.append((outcome.again_at, outcome.again))
    await insert_steps(connection, steps)
    await count(connection, tally)
    await wait(connection, again)


def _storable(part: Part, rows: Sequence[Row]) -> list[Row]:
    places = {part.columns.index(column) for column in part.worldly}
    return [tuple(storable(value) if at in places else value for at, value in enumerate(row)) for row in rows]
