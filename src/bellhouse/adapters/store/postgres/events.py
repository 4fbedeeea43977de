"""The rows of what happened to deliveries: read, locked, inserted."""

from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.postgres.database import Connection, Row
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.standing import STEP, StateOf, fold_all, unpack
from bellhouse.domain.delivery import Source
from bellhouse.domain.ids import DeliveryId
from bellhouse.domain.words import DeliveryState

_SQL: Final = queries("events")

Step = tuple[DeliveryId, int, DeliveryState, DeliveryState, int, Source, bytes]
"""A worker's or operator's event to insert: id, n, state, previous, at, source, detail."""


async def read_events(connection: Connection, deliveries: Sequence[DeliveryId]) -> Sequence[Row]:
    """The rows (id, kind, n, state, detail) of these deliveries."""
    rows: Sequence[Row] = await connection.fetch(_SQL["read"], deliveries) if deliveries else ()
    return rows


async def states_of(connection: Connection, deliveries: Sequence[DeliveryId]) -> Mapping[DeliveryId, StateOf]:
    """Where each of these deliveries stands, by what is committed now."""
    return fold_all(deliveries, await read_events(connection, deliveries))


async def lock_steps(connection: Connection, deliveries: Sequence[DeliveryId]) -> frozenset[DeliveryId]:
    """Be the only one who moves these deliveries until the transaction ends, as far as they have steps yet; answers
    those that have. Read them in a later statement: this one may have waited for another's move."""
    rows = await connection.fetch(_SQL["lock"], sorted(deliveries)) if deliveries else ()
    return frozenset(row[0] for row in rows)


async def insert_steps(connection: Connection, steps: Sequence[Step]) -> frozenset[tuple[DeliveryId, int]]:
    """Insert workers' and operators' events; answers those that were not there yet, by delivery and number."""
    rows = await connection.fetch(_SQL["insert"], *_columns(steps), STEP) if steps else ()
    return frozenset((row[0], row[1]) for row in rows)


async def remove_steps(connection: Connection, steps: Sequence[tuple[DeliveryId, int]]) -> None:
    """Take back what this transaction has inserted."""
    if steps:
        await connection.execute(_SQL["remove"], [identifier for identifier, _ in steps], [n for _, n in steps])


def _columns(steps: Sequence[Step]) -> tuple[list[object], ...]:
    return tuple([step[i] for step in steps] for i in range(7))


class InFlight:
    """Which deliveries are being sent right now: named in an open intent, and not settled since."""

    __slots__ = ("_steps",)

    def __init__(self, rows: Sequence[Row]) -> None:
        """`rows` begin with an intent's packed deliveries."""
        self._steps: dict[DeliveryId, int] = {}
        for row in rows:
            for identifier, step in unpack(row[0]):
                # Of a killed process's intent and a later one the later counts, in whatever order they come.
                self._steps[identifier] = max(step, self._steps.get(identifier, step))

    @classmethod
    async def of(cls, connection: Connection, lanes: Sequence[str] | None = None) -> "InFlight":
        """What the open intents of these lanes name; of all lanes where none are given."""
        return cls(await connection.fetch(_SQL["intents"], lanes))

    def has(self, delivery: DeliveryId, standing: StateOf) -> bool:
        step = self._steps.get(delivery)
        return step is not None and standing.steps <= step
