"""The rows of what happened to a delivery, as they stand in the file."""

from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.sqlite.database import Reads, Transaction
from bellhouse.adapters.store.standing import STEP, StateOf, fold_all, unpack
from bellhouse.domain.delivery import Source
from bellhouse.domain.ids import DeliveryId
from bellhouse.domain.words import DeliveryState

INSERT_EVENTS: Final = "INSERT INTO delivery_events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
"""(id, kind, n, state, previous, at, source, detail)"""

SELECT_EVENTS: Final = "SELECT id, kind, n, state, detail FROM delivery_events WHERE id = ?"
SELECT_EVENTS_OF: Final = """
SELECT id, kind, n, state, detail FROM carray(?) AS asked CROSS JOIN delivery_events ON id = asked.value
"""


def states_of(transaction: Reads, deliveries: Sequence[DeliveryId]) -> Mapping[DeliveryId, StateOf]:
    """Where each of these deliveries stands."""
    return fold_all(deliveries, transaction.many(SELECT_EVENTS, [(identifier,) for identifier in deliveries]))


def insert_event(
    transaction: Transaction,
    delivery: DeliveryId,
    n: int,
    state: DeliveryState,
    previous: DeliveryState,
    at: int,
    source: Source,
    detail: bytes,
) -> None:
    transaction.run(INSERT_EVENTS, (delivery, STEP, n, state, previous, at, source, detail))


class InFlight:
    """Which deliveries are being sent right now: named in an open intent, and not settled since."""

    __slots__ = ("_steps",)

    def __init__(self, transaction: Reads) -> None:
        self._steps: dict[DeliveryId, int] = {}
        for (packed,) in transaction.run("SELECT deliveries FROM intents"):
            self._steps.update(unpack(packed))

    def has(self, delivery: DeliveryId, standing: StateOf) -> bool:
        step = self._steps.get(delivery)
        return step is not None and standing.steps <= step
