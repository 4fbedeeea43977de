"""The ledger's arithmetic: states counted from rows, set beside the running counters, whatever store they are in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from bellhouse.adapters.store.standing import StateOf
from bellhouse.domain.words import DELIVERY_STATES, NOTIFICATION_STATES
from bellhouse.ports.store.insights import Ledger, LedgerCheck, LedgerLine

Counts = dict[str, int]
Counters = Mapping[tuple[str, str], int]
"""What the running counters say, by level and state."""

_LEVELS: Final[tuple[tuple[Literal["notification", "delivery"], str, tuple[str, ...]], ...]] = (
    ("notification", "notifications", NOTIFICATION_STATES),
    ("delivery", "deliveries", DELIVERY_STATES),
)


def count_notifications(stored: int, decided: Mapping[str, int]) -> Counts:
    """Notifications by state: what has no decision waits."""
    counts: Counts = {**dict.fromkeys(NOTIFICATION_STATES, 0), **decided}
    counts["waiting"] = stored - sum(count for state, count in counts.items() if state != "waiting")
    return counts


def count_deliveries(planned: int, events: Iterable[tuple[str, str, int]], taken_up: int) -> Counts:
    """Deliveries by state, those in flight where they were before: every one begins as waiting and is moved by its
    rows, of which `events` has how many went from one state to another. `taken_up` attempts began from `unknown`."""
    counts: Counts = dict.fromkeys(DELIVERY_STATES, 0)
    counts["waiting"] = planned
    resumed = 0
    for previous, state, rows in events:
        counts[previous] -= rows
        counts[state] += rows
        if previous == "in_flight" and state != "in_flight":
            resumed += rows
    counts["in_flight"] += resumed
    counts["unknown"] -= taken_up
    counts["waiting"] -= resumed - taken_up
    return counts


def take_off(counts: Counts, sending: Sequence[StateOf]) -> None:
    """Let deliveries that are being sent be in flight."""
    unknown = sum(1 for standing in sending if standing.step_state == "unknown")
    counts["in_flight"] += len(sending)
    counts["unknown"] -= unknown
    counts["waiting"] -= len(sending) - unknown


def total(counters: Counters, level: str) -> int:
    """How many notifications or deliveries there are by the counters."""
    return sum(count for (of, _), count in counters.items() if of == level)


def state_checks(counters: Counters, notifications: Counts, deliveries: Counts) -> list[LedgerCheck]:
    """For each state: what the counters say, and what counting the rows says."""
    return [
        LedgerCheck(f"{many} {state} = counted from the rows", counters.get((level, state), 0), count)
        for (level, many, _), counts in zip(_LEVELS, (notifications, deliveries), strict=True)
        for state, count in counts.items()
    ]


def ledger_of(
    now: int,
    counters: Counters,
    checks: Sequence[LedgerCheck],
    notifications: Counts | None,
    deliveries: Counts | None,
) -> Ledger:
    """Both levels, state by state; the counts are None where the rows were not counted."""
    lines = [
        LedgerLine(level, state, counters.get((level, state), 0), None if counts is None else counts[state])
        for (level, _, states), counts in zip(_LEVELS, (notifications, deliveries), strict=True)
        for state in states
    ]
    return Ledger(now, total(counters, "notification"), total(counters, "delivery"), lines, checks)
