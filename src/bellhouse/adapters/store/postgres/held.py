"""What waits under brakes: due rows that the end of a brake brings forward."""

from collections.abc import Sequence
from typing import Final, cast

from bellhouse.adapters.store.postgres.database import Connection, Database
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.levers import Held
from bellhouse.ports.log import Publisher, Record, deliveries_topic
from bellhouse.ports.store.deliver import Outcome

_SQL: Final = queries("levers")
_PATIENCE: Final = queries("due")["patience"]


async def hold(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Note of deliveries that wait as due rows under which brake they do."""
    waiting = sorted(
        (
            outcome.held_by,
            deliveries_topic(outcome.again.channel, outcome.again.priority),
            outcome.again.id,
            outcome.again_at,
        )
        for outcome in outcomes
        if outcome.again is not None
    )
    if waiting:
        await connection.execute(_SQL["hold"], *(list(column) for column in zip(*waiting, strict=True)))


class PostgresHeld:
    """The HeldStore port. Rows are taken in the transaction in which they are appended to the log."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher

    async def held(self) -> Sequence[Held]:
        found: list[Held] = []
        place = ("", "")
        while row := await self._database.row(_SQL["next_held"], *place):
            place = (row[0], row[1])
            channel, priority = place[1].split(".")[1:]
            found.append(Held(place[0], cast("Channel", channel), cast("Priority", priority)))
        return found

    async def release_held(self, held: Held, limit: int) -> int:
        topic = deliveries_topic(held.channel, held.priority)
        async with self._database.transaction() as connection:
            # The log may take as long as it needs to say no; PostgreSQL shall not give the transaction up before.
            await connection.execute(_PATIENCE)
            keys = await connection.fetch(_SQL["take_held"], held.scope, topic, limit)
            if keys:
                due_at, identifiers = [row[0] for row in keys], [row[1] for row in keys]
                rows = await connection.fetch(_SQL["take_due"], due_at, identifiers)
                ordered = sorted(rows, key=lambda row: row[3])
                await self._publisher.append([Record(where, record, key) for where, key, record, _ in ordered])
        return len(keys)
