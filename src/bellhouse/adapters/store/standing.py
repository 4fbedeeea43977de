"""The rows of what happened to a delivery, folded into the state that follows from them, whatever store they are in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from bellhouse.adapters.store.codec import decode_detail
from bellhouse.domain.delivery import TERMINAL, NewsKind, settled
from bellhouse.domain.ids import DeliveryId
from bellhouse.domain.words import DeliveryState
from bellhouse.ports.store.deliver import Claim, Sending, Standing

STEP: Final = 0
"""The kind of the worker's and operators' events."""
NEWS: Final = 1
"""The kind of a provider's news."""

Row = Any
"""A row of (id, kind, n, state, detail)."""

LAST: Final[frozenset[DeliveryState]] = TERMINAL - {"dead_lettered"} | {"sent"}
"""States after which no attempt follows."""


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


def fold_all(deliveries: Sequence[DeliveryId], rows: Iterable[Row]) -> Mapping[DeliveryId, StateOf]:
    found = by_delivery(rows)
    return {identifier: fold(found[identifier]) if identifier in found else _NEW for identifier in deliveries}


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


def standing_of(
    claim: Claim, rows: Sequence[Row] | None, newest: Mapping[tuple[int, str], bytes], sending: Sending = "no"
) -> Standing:
    """What the store's rows say of a polled record; `newest` has the newest notification of each collapse key."""
    notification = claim.notification
    superseded = (
        notification.collapse_key is not None
        and newest.get((notification.recipient, notification.collapse_key), b"") > notification.id
    )
    if rows is None:
        if superseded or sending != "no":
            return Standing(stale=False, superseded=superseded, sending=sending)
        return _FRESH
    state = fold(rows)
    done = state.steps > claim.delivery.step
    # News has answered what was unknown: the record that waited for it has nothing left to do.
    answered = state.step_state == "unknown" != state.state
    stale = done or answered or state.state in TERMINAL
    return Standing(stale, superseded, done, "no" if done else sending)


_FRESH: Final = Standing(stale=False, superseded=False)


def by_delivery(rows: Iterable[Row]) -> dict[DeliveryId, list[Row]]:
    """Rows that begin with a delivery's id, by it."""
    found: dict[DeliveryId, list[Row]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return found


def is_ahead(standing: StateOf) -> bool:
    """Whether there is news of an attempt that is still to be settled: one that a killed process had failed over to."""
    return standing.step_state not in LAST and any(attempt > standing.last_attempt for attempt, _ in standing.news)


def stands(claim: Claim, standing: StateOf) -> bool:
    """Whether a polled record still stands for its delivery: nothing has moved that since."""
    return standing.state == waiting_as(claim) and standing.steps <= claim.delivery.step


def waiting_as(claim: Claim) -> DeliveryState:
    """The state in which a polled record's delivery waits, unless something has moved it since."""
    return "unknown" if claim.delivery.unknown_since else "waiting"
