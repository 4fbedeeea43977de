"""The ledger: its running counters, and the same figures counted from the rows themselves, day by day.

The counters are moved by whoever writes; the recount never takes a figure from them. It counts notifications,
decisions, plans, events and intents, and each state follows from those. Where the two differ, something was lost or
doubled. Rows and counters of a day change in the same transactions, so what was counted of a day is kept until its
counters move again: a day that is closed is counted once.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from bellhouse.adapters.store.counting import (
    Counts,
    count_deliveries,
    count_notifications,
    ledger_of,
    state_checks,
    take_off,
    total,
)
from bellhouse.adapters.store.postgres.database import Connection, Row
from bellhouse.adapters.store.postgres.events import states_of
from bellhouse.adapters.store.postgres.partitions import lowest_id
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.standing import StateOf, unpack
from bellhouse.domain.ids import DeliveryId, TenantNo
from bellhouse.ports.store.insights import Ledger, LedgerCheck

_SQL: Final = queries("recount")
_PATIENCE_S: Final = 900.0
_BEYOND: Final = b"\xff" * 17
"""Higher than every id."""

Mark = tuple[int, ...]
Range = tuple[bytes, bytes]
"""Ids from the first up to, and without, the second."""


class Counted(msgspec.Struct, frozen=True):
    """What the rows of a range of ids come to; deliveries in flight are where they were before."""

    notifications: int
    decided: Counts
    planned: int
    deliveries: Counts


class Recount:
    """Counts, and remembers what it has counted of each day."""

    def __init__(self) -> None:
        self._days: dict[int, tuple[Mark, Counted]] = {}

    async def ledger(self, snapshot: Connection, tenant: TenantNo | None, now: int, recount: bool) -> Ledger:
        """Both levels with their equations; with `recount` also counted from the rows (all tenants together)."""
        rows = await snapshot.fetch(_SQL["counters"], tenant)
        counters = {(level, state): count for level, state, count in rows}
        if tenant is not None:
            return ledger_of(now, counters, [], None, None)
        accepted, planned = total(counters, "notification"), total(counters, "delivery")
        promised = await snapshot.fetchval(_SQL["promised"])
        checks = [LedgerCheck("accepted by the counters = answers promised at the door", accepted, promised)]
        if not recount:
            return ledger_of(now, counters, checks, None, None)
        await snapshot.execute(_SQL["patience"])
        parts = await self._count_all(snapshot)
        stored, plans = sum(part.notifications for part in parts), sum(part.planned for part in parts)
        notifications = count_notifications(stored, _sum([part.decided for part in parts]))
        deliveries = _sum([part.deliveries for part in parts])
        take_off(deliveries, await _sending(snapshot))
        checks += [
            LedgerCheck("accepted = stored notifications", accepted, stored),
            LedgerCheck("planned = deliveries of stored decisions", planned, plans),
            *state_checks(counters, notifications, deliveries),
        ]
        return ledger_of(now, counters, checks, notifications, deliveries)

    async def _count_all(self, snapshot: Connection) -> list[Counted]:
        """Every row, in one of the parts: of each day that has counters, and of what lies between and beyond them."""
        rows = await snapshot.fetch(_SQL["days"])
        marks: dict[int, Mark] = {row[0]: tuple(row)[1:] for row in rows}
        counted = {day: await self._count_day(snapshot, day, mark) for day, mark in marks.items()}
        self._days = {day: (marks[day], part) for day, part in counted.items()}
        return [*counted.values(), *[await _count(snapshot, gap) for gap in _gaps(list(marks))]]

    async def _count_day(self, snapshot: Connection, day: int, mark: Mark) -> Counted:
        known = self._days.get(day)
        if known is not None and known[0] == mark:
            return known[1]
        return await _count(snapshot, (lowest_id(day), lowest_id(day + 1)))


def _gaps(days: Sequence[int]) -> Iterator[Range]:
    """What no day of these (ascending) has: there should be no rows."""
    low = b""
    for day in days:
        if low < lowest_id(day):
            yield low, lowest_id(day)
        low = lowest_id(day + 1)
    yield low, _BEYOND


async def _count(snapshot: Connection, ids: Range) -> Counted:
    stored = await snapshot.fetchval(_SQL["notifications"], *ids, timeout=_PATIENCE_S)
    decided = await snapshot.fetch(_SQL["decisions"], *ids, timeout=_PATIENCE_S)
    events: Sequence[Row] = await snapshot.fetch(_SQL["events"], *ids, timeout=_PATIENCE_S)
    taken_up = 0
    if any(state == "unknown" for _, state, _ in events):
        taken_up = await snapshot.fetchval(_SQL["taken_up"], *ids, timeout=_PATIENCE_S)
    planned = sum(row[2] for row in decided)
    deliveries = count_deliveries(planned, [(row[0], row[1], row[2]) for row in events], taken_up)
    return Counted(stored, {row[0]: row[1] for row in decided}, planned, deliveries)


def _sum(parts: Sequence[Counts]) -> Counts:
    added: Counter[str] = Counter()
    for part in parts:
        for state, count in part.items():
            added[state] += count
    return dict(added)


async def _sending(snapshot: Connection) -> Sequence[StateOf]:
    """Where those deliveries stand that open intents name and no event has settled since."""
    steps: dict[DeliveryId, int] = {}
    for (packed,) in await snapshot.fetch(_SQL["intents"]):
        for identifier, step in unpack(packed):
            steps[identifier] = max(step, steps.get(identifier, step))
    states = await states_of(snapshot, list(steps))
    return [states[identifier] for identifier, step in steps.items() if states[identifier].steps <= step]
