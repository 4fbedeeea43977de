"""What Bellhouse's own store says of every notification and delivery, read beside it when the day is over."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

import apsw
import msgspec

from bellhouse.adapters.store.codec import decode_decision, decode_detail, decode_notification
from bellhouse.adapters.store.sqlite.events import InFlight
from bellhouse.adapters.store.standing import STEP, StateOf, fold
from bellhouse.domain.ids import DeliveryId, NotificationId, delivery_id, to_text
from bellhouse.domain.words import Channel, DeliveryState, NotificationState, Priority


class RecordedDelivery(msgspec.Struct, frozen=True):
    """A planned delivery: where it stands, why, and what was tried."""

    id: str
    channel: Channel
    state: DeliveryState
    reason: str
    """The last reason that was recorded; that of the plan where nothing has happened since."""
    provider: str | None
    """Who was called last."""
    providers: tuple[str, ...]
    """Everyone that was called, in order and without repeats."""
    calls: int
    unknowns: int
    """Attempts whose outcome was unknown."""
    interrupted: bool
    """Whether it was in the hands of a process that ended."""
    ready_at: int
    """When it could leave (ms since the epoch)."""
    due_at: int = 0
    """When it goes on, where something has put it off since."""


class Recorded(msgspec.Struct, frozen=True):
    """A notification and its deliveries."""

    id: str
    type: str
    priority: Priority
    state: NotificationState
    reasons: tuple[str, ...]
    deliveries: tuple[RecordedDelivery, ...]
    ready_at: int = 0
    """When it could be routed (ms since the epoch)."""


class Sending(Protocol):
    """Which deliveries are being sent, by the open intents."""

    def has(self, delivery: DeliveryId, standing: StateOf) -> bool: ...


class Rows(msgspec.Struct, frozen=True):
    """The rows of one moment, whatever store they are in."""

    notifications: Iterable[tuple[bytes, bytes]]
    """Ids and records."""
    decisions: Mapping[bytes, bytes]
    events: Iterable[tuple[bytes, int, int, str, bytes]]
    """(id, kind, n, state, detail), in the order of the first three."""
    sending: Sending


_NEW = StateOf(state="waiting", steps=0, step_state="waiting", last_attempt=0)


class _Reader:
    """Gives a read connection the shape that the store's own readers ask for."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self._connection.set_busy_timeout(5_000)

    def run(self, sql: str, bindings: Any = None) -> Any:
        return self._connection.execute(sql, bindings)

    def many(self, sql: str, rows: Any) -> Any:
        return self._connection.executemany(sql, rows)

    def close(self) -> None:
        self._connection.close()


def read(database: Path) -> dict[str, Recorded]:
    """Everything in the file, by the notifications' ids."""
    reader = _Reader(database)
    try:
        reader.run("BEGIN")
        return recorded(
            Rows(
                reader.run("SELECT id, record FROM notifications"),
                dict(reader.run("SELECT id, record FROM decisions")),
                reader.run("SELECT id, kind, n, state, detail FROM delivery_events ORDER BY id, kind, n"),
                InFlight(reader),
            )
        )
    finally:
        reader.close()


def recorded(rows: Rows) -> dict[str, Recorded]:
    """Everything that the rows say, by the notifications' ids."""
    events = {DeliveryId(identifier): list(found) for identifier, found in groupby(rows.events, itemgetter(0))}
    return {
        to_text(identifier): _recorded(
            NotificationId(identifier), record, rows.decisions.get(identifier), events, rows.sending
        )
        for identifier, record in rows.notifications
    }


def _recorded(
    identifier: NotificationId,
    record: bytes,
    decided: bytes | None,
    events: dict[DeliveryId, list[tuple[bytes, int, int, str, bytes]]],
    sending: Sending,
) -> Recorded:
    notification = decode_notification(record)
    name = to_text(identifier)
    if decided is None:
        reason = "waiting:scheduled" if notification.ready_at > notification.received_at else "waiting to be routed"
        return Recorded(name, notification.type, notification.priority, "waiting", (reason,), (), notification.ready_at)
    decision = decode_decision(decided)
    deliveries = []
    for planned in decision.deliveries:
        delivery = delivery_id(identifier, planned.ordinal)
        rows = events.get(delivery, [])
        standing = fold(rows) if rows else _NEW
        state = "in_flight" if sending.has(delivery, standing) else standing.state
        ready_at = max(notification.ready_at, planned.not_before)
        deliveries.append(_delivery(delivery, planned.channel, state, planned.reason, rows, ready_at))
    reasons = tuple(reason.code for reason in decision.reasons)
    return Recorded(
        name,
        notification.type,
        notification.priority,
        decision.state,
        reasons,
        tuple(deliveries),
        notification.ready_at,
    )


def _delivery(
    delivery: DeliveryId,
    channel: Channel,
    state: DeliveryState,
    reason: str,
    rows: list[tuple[bytes, int, int, str, bytes]],
    ready_at: int,
) -> RecordedDelivery:
    providers: list[str] = []
    calls = unknowns = 0
    interrupted = False
    due_at = ready_at
    for _, kind, _, became, packed in rows:
        detail = decode_detail(packed)
        if kind != STEP:
            # A provider says more than ours; only what it did to the delivery counts here.
            reason = _SAID.get(became, reason) if became == state else reason
            continue
        reason = detail.reason or _SAID.get(became, reason)
        due_at = detail.retry_at or due_at
        unknowns += became == "unknown"
        interrupted = interrupted or detail.reason == "unknown:interrupted"
        if detail.provider and detail.verdict:
            calls += 1
            providers.append(detail.provider)
    return RecordedDelivery(
        id=to_text(delivery),
        channel=channel,
        state=state,
        reason=reason,
        provider=providers[-1] if providers else None,
        providers=tuple(dict.fromkeys(providers)),
        calls=calls,
        unknowns=unknowns,
        interrupted=interrupted,
        ready_at=ready_at,
        due_at=due_at,
    )


_SAID = {"sent": "sent:accepted", "delivered": "delivered:confirmed", "failed": "failed:reported"}
"""The reason of an event that gives none."""


def interrupted_at(database: Path) -> list[int]:
    """When each delivery that a killed process had in its hands was taken up again (ms since the epoch)."""
    reader = _Reader(database)
    try:
        rows = reader.run("SELECT at, detail FROM delivery_events WHERE kind = ? AND state = 'unknown'", (STEP,))
        return [at for at, detail in rows if decode_detail(detail).reason == "unknown:interrupted"]
    finally:
        reader.close()
