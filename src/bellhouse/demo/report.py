"""What a demo has shown, as one value: `--json` prints it, and the tables are drawn from it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from bellhouse.demo.faults import Noted
from bellhouse.demo.oracle import Receipt, Spread, Verdict
from bellhouse.demo.play import Expected
from bellhouse.demo.processes import Ended
from bellhouse.demo.records import Recorded, RecordedDelivery
from bellhouse.demo.watch import Ledger
from bellhouse.domain.words import CHANNELS, DELIVERY_STATES, PRIORITIES

Table = Mapping[str, Mapping[str, int]]


class Caller(msgspec.Struct, frozen=True):
    """What the caller asked and was told, beside what the day's lines let one expect."""

    events: int
    accepted: int
    repeats: int
    refused: Mapping[str, int]
    unanswered: int
    expected: Expected
    single_ms: Spread
    batch_ms: Spread

    @property
    def as_expected(self) -> bool:
        """Whether every event had the answer that its line lets one expect."""
        wanted = self.expected
        return (self.accepted, self.repeats, sum(self.refused.values()), self.unanswered) == (
            wanted.accepted,
            wanted.repeats,
            wanted.refused,
            0,
        )


class DeadLetters(msgspec.Struct, frozen=True):
    """The deliveries that were given up, and what became of them when they were sent again."""

    found: int
    by_reason: Mapping[str, int]
    replayed: int
    sent: int
    """How many of them a provider has accepted since."""
    left: Mapping[str, int]
    """The states of the others."""
    examples: Sequence[Mapping[str, Any]]


class Report(msgspec.Struct, frozen=True):
    """Everything."""

    seed: int
    setup_s: float
    play_s: float
    settle_s: float
    recipients: int
    caller: Caller
    faults: Sequence[Noted]
    roles: Sequence[str]
    """What its processes play."""
    ended: Sequence[Ended]
    """The processes that ended on the way."""
    in_hands: int
    """Deliveries that they had in their hands: their outcome was unknown."""
    by_channel: Table
    """Deliveries by channel and state."""
    by_priority: Table
    """Deliveries by priority and state."""
    by_type: Table
    """Notifications by type and state."""
    by_provider: Table
    """The simulator's receipts by provider and verdict."""
    suppressed: Mapping[str, int]
    """Why a channel or a contact point was left out."""
    waiting: Mapping[str, int]
    """What is left, by its reason."""
    unfinished: int
    """Those among it that should have moved on long ago."""
    story: Mapping[str, Any]
    """One notification, as `GET /v1/notifications/{id}` tells it."""
    dead_letters: DeadLetters
    ledger: Ledger
    oracle: Verdict
    breakers: Sequence[str]
    """Every state that a breaker was seen in, in order."""
    data: str | None
    """Where everything was kept; None where it was not."""

    @property
    def sound(self) -> bool:
        """Whether the ledger balances, nothing was lost, and nothing has got stuck."""
        return self.ledger.imbalance == 0 and self.oracle.sound and not self.unfinished

    @property
    def failures(self) -> list[str]:
        """What is wrong, in sentences; empty where nothing is."""
        found = [
            f"ledger: {check.name}: {check.left} is not {check.right}"
            for check in self.ledger.checks
            if not check.holds
        ]
        found += [f"oracle: {count} × {what}" for what, count in self.oracle.lost.items()]
        if self.oracle.unplanned:
            found.append(f"oracle: {self.oracle.unplanned} acceptances of deliveries that were never planned")
        if self.oracle.duplicates_unexplained:
            found.append(f"oracle: {self.oracle.duplicates_unexplained} second copies without a cause")
        if self.unfinished:
            found.append(f"{self.unfinished} that should have moved on are still waiting")
        return found


def deliveries_by(records: Mapping[str, Recorded], key: str) -> dict[str, dict[str, int]]:
    """Deliveries by `channel` or `priority`, and by state; states that nobody has are left out."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records.values():
        for delivery in record.deliveries:
            counts[delivery.channel if key == "channel" else record.priority][delivery.state] += 1
    order = CHANNELS if key == "channel" else PRIORITIES
    return {name: {s: counts[name][s] for s in DELIVERY_STATES if counts[name][s]} for name in order if name in counts}


def notifications_by_type(records: Mapping[str, Recorded]) -> dict[str, dict[str, int]]:
    """Notifications by type and state."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records.values():
        counts[record.type][record.state] += 1
    return {name: dict(states) for name, states in sorted(counts.items())}


def suppressions(records: Mapping[str, Recorded]) -> dict[str, int]:
    """Every reason for which something was left out."""
    counts = Counter(reason for record in records.values() for reason in record.reasons)
    return dict(counts.most_common())


def overdue(records: Mapping[str, Recorded], now: int) -> int:
    """How many notifications and deliveries wait though nothing keeps them back."""
    late = now - _LATE_MS
    return sum(one.state == "waiting" and one.ready_at < late for one in records.values()) + sum(
        _is_late(delivery, late) for one in records.values() for delivery in one.deliveries
    )


def _is_late(delivery: RecordedDelivery, late: int) -> bool:
    match delivery.state:
        case "in_flight" | "unknown":
            return True
        case "waiting":
            return delivery.due_at < late or delivery.reason == "waiting:outage"
        case _:
            return False


def left_waiting(records: Mapping[str, Recorded]) -> dict[str, int]:
    """What has not ended, by level, state and reason."""
    counts: Counter[str] = Counter()
    for record in records.values():
        if record.state == "waiting":
            counts[f"notification waiting · {record.reasons[0]}"] += 1
        for delivery in record.deliveries:
            if delivery.state in _OPEN:
                counts[f"delivery {delivery.state} · {delivery.reason}"] += 1
    return dict(counts.most_common())


_LATE_MS: Final = 1_000
_OPEN: Final = frozenset({"waiting", "in_flight", "unknown"})


def receipts_by_provider(receipts: Iterable[Receipt]) -> dict[str, dict[str, int]]:
    """Calls that the outside world answered, by provider and verdict."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for receipt in receipts:
        counts[receipt.provider][receipt.verdict] += 1
    return {name: dict(sorted(verdicts.items())) for name, verdicts in sorted(counts.items())}


def most_interesting(records: Mapping[str, Recorded]) -> str | None:
    """The notification with the most eventful story: failed over, interrupted, tried again, on several channels."""
    return max(records, key=lambda name: _interest(records[name]), default=None)


def _interest(record: Recorded) -> tuple[int, int]:
    return max((_events(delivery) for delivery in record.deliveries), default=0), len(record.deliveries)


def _events(delivery: RecordedDelivery) -> int:
    over = 3 * (len(delivery.providers) - 1) if len(delivery.providers) > 1 else 0
    return over + min(delivery.calls, 4) + 2 * delivery.interrupted + (delivery.state == "delivered")
