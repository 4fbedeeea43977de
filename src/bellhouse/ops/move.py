"""The account of a move from one store to another: both sides counted, and set beside one another line by line."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.ports.store.insights import Ledger
from bellhouse.web.times import rfc3339

_ADDS_AN_EVENT: Final = ("delivery_events", "due")
"""Tables in which an interrupted delivery has a row more than the source had: its outcome, and its wait."""
_INTERRUPTED_WAIT: Final = "waiting deliveries"


class Side(msgspec.Struct, frozen=True):
    """One side's own counts."""

    rows: Mapping[str, int]
    """By table."""
    pending: Mapping[str, int]
    """By kind."""
    ledger: Ledger


class Done(msgspec.Struct, frozen=True):
    """What the move itself has counted on the way."""

    read: Mapping[str, int]
    written: Mapping[str, int]
    """Rows by table."""
    interrupted: int
    """Deliveries that the source was sending when it ended: their outcome is unknown, and their policy decides."""
    finished_before: int
    """Records in the log of which the work was done already: nothing was carried."""
    unreadable: int
    """Records in the log that nobody can read: left behind."""


class TableLine(msgspec.Struct, frozen=True):
    table: str
    source: int
    read: int
    written: int
    target: int
    holds: bool


class PendingLine(msgspec.Struct, frozen=True):
    kind: str
    source: int
    target: int
    holds: bool


class LedgerPair(msgspec.Struct, frozen=True):
    """One line of both ledgers. What was in flight in the source is unknown in the target."""

    level: str
    state: str
    source: int
    source_recounted: int | None
    target: int
    target_recounted: int | None
    holds: bool


class MoveReport(msgspec.Struct, frozen=True):
    """What was moved, counted on both sides."""

    moved_from: str
    moved_to: str
    at: str
    accepted: int
    tables: Sequence[TableLine]
    pending: Sequence[PendingLine]
    ledger: Sequence[LedgerPair]
    source_imbalance: int
    target_imbalance: int
    interrupted: int
    finished_before: int
    unreadable: int
    pepper: str
    """What to do with the source's pepper, in a sentence."""

    @property
    def differences(self) -> list[str]:
        """What the target has otherwise than the source."""
        found = [f"table {line.table}" for line in self.tables if not line.holds]
        found += [f"pending: {line.kind}" for line in self.pending if not line.holds]
        return found + [f"ledger: {line.level} {line.state}" for line in self.ledger if not line.holds]

    @property
    def balances(self) -> bool:
        """Whether both sides agree, and each with itself."""
        return not (self.differences or self.source_imbalance or self.target_imbalance)


def account(source: Side, target: Side, done: Done, moved_from: str, moved_to: str, pepper: str) -> MoveReport:
    """Set both sides beside one another."""
    return MoveReport(
        moved_from,
        moved_to,
        rfc3339(target.ledger.at),
        target.ledger.accepted,
        [_table(name, source, target, done) for name in source.rows],
        [_pending(kind, source, target, done) for kind in target.pending],
        _ledgers(source.ledger, target.ledger, done.interrupted),
        source.ledger.imbalance,
        target.ledger.imbalance,
        done.interrupted,
        done.finished_before,
        done.unreadable,
        pepper,
    )


def _table(name: str, source: Side, target: Side, done: Done) -> TableLine:
    there, written = source.rows[name], done.written.get(name, 0)
    expected = there + (done.interrupted if name in _ADDS_AN_EVENT else 0)
    holds = there == written and target.rows[name] == expected
    return TableLine(name, there, done.read.get(name, 0), written, target.rows[name], holds)


def _pending(kind: str, source: Side, target: Side, done: Done) -> PendingLine:
    there = source.pending[kind] + (done.interrupted if kind == _INTERRUPTED_WAIT else 0)
    return PendingLine(kind, there, target.pending[kind], there == target.pending[kind])


def _ledgers(source: Ledger, target: Ledger, interrupted: int) -> list[LedgerPair]:
    moved = {("delivery", "in_flight"): -interrupted, ("delivery", "unknown"): interrupted}
    there = {(line.level, line.state): line for line in target.lines}
    pairs = []
    for line in source.lines:
        key = (line.level, line.state)
        other, shift = there[key], moved.get(key, 0)
        recounted = None if line.recounted is None else line.recounted + shift
        holds = (other.counted, other.recounted) == (line.counted + shift, recounted)
        pairs.append(
            LedgerPair(*key, line.counted, line.recounted, other.counted, other.recounted, holds)
        )  # fmt: skip
    return pairs
