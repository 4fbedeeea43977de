"""The rows of what happened to a delivery, and the state that follows from them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.adapters.store.sqlite.codec import decode_detail
from bellhouse.adapters.store.sqlite.database import Reads, Row, Transaction
from bellhouse.domain.delivery import NewsKind, Source, settled
from bellhouse.domain.ids import DeliveryId
from bellhouse.domain.words import DeliveryState

STEP: Final = 0
"""The kind of the worker's and operators' events."""
NEWS: Final = 1
"""The kind of a provider's news."""

INSERT_EVENTS: Final = "INSERT INTO delivery_events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
"""(id, kind, n, state, previous, at, source, detail)"""

SELECT_EVENTS: Final = "SELECT id, kind, n, state, detail FROM delivery_events WHERE id = ?"
SELECT_EVENTS_OF: Final = """
SELECT id, kind, n, state, detail FROM carray(?) AS asked CROSS JOIN delivery_events ON id = asked.value
"""


class StateOf(msgspec.Struct, frozen=True, gc=False):
    """Where a delivery stands by its rows. In flight does not show here: intents know it."""

    state: DeliveryState
    steps: int
    """The number of the next step."""
    step_state: DeliveryState
    """The state by the steps alone, without news."""
    last_attempt: int
    """The highest attempt that has been settled; 0 before the first."""
    news: tuple[tuple[int, NewsKind], ...] = ()


_NEW: Final = StateOf(state="waiting", steps=0, step_state="waiting", last_attempt=0)


def fold(rows: Iterable[Row]) -> StateOf:
    """The standing that follows from one delivery's rows (id, kind, n, state, detail), in any order of news."""
    steps, step_state, last_attempt = 0, "waiting", 0
    news: list[tuple[int, NewsKind]] = []
    for _, kind, n, state, detail in rows:
        said = decode_detail(detail)
        if kind == NEWS:
            if said.news is not None:
                news.append((said.attempt, said.news))
            continue
        if n + 1 > steps:
            steps, step_state = n + 1, state
        last_attempt = max(last_attempt, said.attempt)
    final = settled(step_state, last_attempt, news) if news else step_state  # type: ignore[arg-type]  # the column's words
    return StateOf(final, steps, step_state, last_attempt, tuple(news))  # type: ignore[arg-type]  # the column's words


def states_of(transaction: Reads, deliveries: Sequence[DeliveryId]) -> Mapping[DeliveryId, StateOf]:
    """Where each of these deliveries stands."""
    return fold_all(deliveries, transaction.many(SELECT_EVENTS, [(identifier,) for identifier in deliveries]))


def fold_all(deliveries: Sequence[DeliveryId], rows: Iterable[Row]) -> Mapping[DeliveryId, StateOf]:
    found: dict[DeliveryId, list[Row]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return {identifier: fold(found[identifier]) if identifier in found else _NEW for identifier in deliveries}


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


_PACKED: Final = 20
"""Bytes of one delivery in an intent's row: its id, and its step in four: who waits for days is held often."""


def pack(deliveries: Iterable[tuple[DeliveryId, int]]) -> bytes:
    """An intent's deliveries with their steps, as its row keeps them."""
    return b"".join(identifier + step.to_bytes(4) for identifier, step in deliveries)


def unpack(packed: bytes) -> list[tuple[DeliveryId, int]]:
    """The deliveries and steps of an intent's row."""
    return [
        (DeliveryId(packed[i : i + 16]), int.from_bytes(packed[i + 16 : i + _PACKED]))
        for i in range(0, len(packed), _PACKED)
    ]


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
