"""The judge: what was promised, what Bellhouse says of it, and what the outside world really got.

Three accounts that know nothing of one another: the caller's list of `202`s, the rows in Bellhouse's file, and the
simulator's receipts. Nothing may be promised and then unknown, nothing sent that was not planned, nothing called sent
that nobody received; and whatever nobody received must have its reason.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from bellhouse.demo.records import Recorded, RecordedDelivery
from bellhouse.domain.ids import from_text, notification_of, to_text
from bellhouse.domain.words import PRIORITIES, DeliveryState

_RECEIVED: Final[frozenset[DeliveryState]] = frozenset({"sent", "delivered"})
_KEPT_BY_US: Final = frozenset({"in_app"})
"""Channels on which nobody outside is asked: the store itself is where the message arrives."""
_SHOWN: Final = 5


class Receipt(msgspec.Struct, frozen=True):
    """One call that the simulator answered, or took and left unanswered."""

    at: str
    provider: str
    verdict: str
    delivery_id: str | None
    attempt: int | None = None

    @property
    def accepted(self) -> bool:
        return self.verdict.startswith("accepted")


class Spread(msgspec.Struct, frozen=True):
    """A distribution of milliseconds."""

    count: int
    p50: float
    p99: float
    worst: float


class Verdict(msgspec.Struct, frozen=True):
    """What the three accounts say together. `lost` names at most a few examples of each loss."""

    promised: int
    planned: int
    received: int
    """Distinct deliveries that a provider accepted."""
    receipts: int
    """Acceptances altogether."""
    in_app: int
    """Deliveries that arrived in the inbox, which is ours."""
    reasons: Mapping[str, int]
    """The deliveries that no provider accepted, by state and reason."""
    duplicates: int
    """Acceptances beyond the first of each delivery."""
    duplicates_unknown: int
    """Those of deliveries with an attempt whose outcome was unknown: sending again was the policy."""
    duplicates_killed: int
    """Those of deliveries that the killed process had in its hands."""
    duplicates_unexplained: int
    unplanned: int
    """Acceptances of deliveries that were never planned."""
    lost: Mapping[str, int]
    examples: Mapping[str, list[str]]
    latency_ms: Mapping[str, Spread]
    """From when it could leave to the first acceptance, by priority."""

    @property
    def sound(self) -> bool:
        return not self.lost and not self.unplanned and not self.duplicates_unexplained


def judge(promised: Collection[str], records: Mapping[str, Recorded], receipts: Iterable[Receipt]) -> Verdict:
    """Compare the three accounts. `receipts` are all of the simulator's, in any order."""
    got: dict[str, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        if receipt.accepted and receipt.delivery_id:
            got[receipt.delivery_id].append(receipt)
    planned = {delivery.id: delivery for one in records.values() for delivery in one.deliveries}
    lost = _Losses()
    _check_promises(promised, records, lost)
    reasons = _check_deliveries(planned.values(), got, lost)
    twice = _duplicates(planned, got)
    return Verdict(
        promised=len(promised),
        planned=len(planned),
        received=len(got),
        receipts=sum(len(each) for each in got.values()),
        in_app=sum(1 for one in planned.values() if one.channel in _KEPT_BY_US and one.state == "delivered"),
        reasons=dict(reasons.most_common()),
        duplicates=sum(twice.values()),
        duplicates_unknown=twice["unknown"],
        duplicates_killed=twice["killed"],
        duplicates_unexplained=twice["unexplained"],
        unplanned=sum(len(each) for delivery, each in got.items() if delivery not in planned),
        lost=dict(lost.counts),
        examples=dict(lost.examples),
        latency_ms=_latencies(records, got),
    )


class _Losses:
    """Counts what must not be, and keeps a few examples of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = defaultdict(list)

    def note(self, what: str, identifier: str) -> None:
        self.counts[what] += 1
        if len(self.examples[what]) < _SHOWN:
            self.examples[what].append(identifier)


def _check_promises(promised: Collection[str], records: Mapping[str, Recorded], lost: _Losses) -> None:
    for identifier in promised:
        record = records.get(identifier)
        if record is None:
            lost.note("promised and not stored", identifier)
        elif record.state == "planned" and not record.deliveries:
            lost.note("planned without a delivery", identifier)
        elif not record.deliveries and not record.reasons and record.state not in ("cancelled", "expired", "merged"):
            lost.note("not planned and no reason", identifier)


def _check_deliveries(
    planned: Iterable[RecordedDelivery], got: Mapping[str, list[Receipt]], lost: _Losses
) -> Counter[str]:
    """What became of the deliveries that no provider accepted."""
    reasons: Counter[str] = Counter()
    for delivery in planned:
        if delivery.id in got or delivery.channel in _KEPT_BY_US:
            continue
        if delivery.state in _RECEIVED:
            lost.note("called sent, and nobody received it", delivery.id)
        elif not delivery.reason:
            lost.note("not sent and no reason", delivery.id)
        else:
            reasons[f"{delivery.state} · {delivery.reason}"] += 1
    return reasons


def _duplicates(planned: Mapping[str, RecordedDelivery], got: Mapping[str, list[Receipt]]) -> Counter[str]:
    """Acceptances beyond the first, each with its cause; more of them than unknown outcomes have no cause."""
    twice: Counter[str] = Counter()
    for identifier, receipts in got.items():
        extra = len(receipts) - 1
        delivery = planned.get(identifier)
        if not extra or delivery is None:
            continue
        explained = min(extra, delivery.unknowns)
        twice["killed" if delivery.interrupted else "unknown"] += explained
        twice["unexplained"] += extra - explained
    return twice


def _latencies(records: Mapping[str, Recorded], got: Mapping[str, list[Receipt]]) -> dict[str, Spread]:
    waits: dict[str, list[float]] = {priority: [] for priority in PRIORITIES}
    for identifier, receipts in got.items():
        record = records.get(to_text(notification_of(from_text(identifier))))
        if record is None:
            continue
        ready_at = next((one.ready_at for one in record.deliveries if one.id == identifier), None)
        if ready_at is not None:
            first = min(datetime.fromisoformat(receipt.at).timestamp() for receipt in receipts)
            waits[record.priority].append(max(0.0, first * 1_000 - ready_at))
    return {priority: spread(values) for priority, values in waits.items() if values}


def spread(values: Iterable[float]) -> Spread:
    """The distribution of some milliseconds; zeros for none."""
    ordered = sorted(values)
    if not ordered:
        return Spread(0, 0.0, 0.0, 0.0)
    middle, high = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99))
    return Spread(len(ordered), round(middle, 1), round(high, 1), round(ordered[-1], 1))
