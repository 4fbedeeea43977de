"""Each signal asks for a step by its share of its limit; changes are told with the signal that made them."""

import asyncio

import pytest

from bellhouse.ingest.degrade import HOLD_S, STEPS, Signals, Volume, Waiting, come_back_s, strongest, takes
from bellhouse.ingest.steps import Lookout, Steps
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry
from bellhouse.testing.clock import ManualClock
from bellhouse.web.limits import Limits

LIMITS = Limits(backlog=1_000, outbox=100, commit_wait_s=10.0, disk_reserve_bytes=1_000)
LARGE = 1_000_000
"""A volume of which 5 % are more than the reserve."""


@pytest.mark.parametrize(
    ("signals", "signal", "step"),
    [
        (Signals(), "backlog", "open"),
        (Signals(Waiting(599)), "backlog", "open"),
        (Signals(Waiting(600)), "backlog", "no_low"),
        (Signals(Waiting(750)), "backlog", "no_normal"),
        (Signals(Waiting(900)), "backlog", "critical_only"),
        (Signals(Waiting(1_000)), "backlog", "closed"),
        (Signals(Waiting(75, 75)), "outbox", "no_normal"),
        (Signals(Waiting(100, 100)), "outbox", "closed"),
        (Signals(commit_wait_s=6.0), "commit_wait", "no_low"),
        (Signals(commit_wait_s=9.0), "commit_wait", "critical_only"),
        (Signals(commit_wait_s=3_600.0), "commit_wait", "critical_only"),
        (Signals(volume=Volume(1_667, LARGE)), "disk", "open"),
        (Signals(volume=Volume(1_666, LARGE)), "disk", "no_low"),
        (Signals(volume=Volume(1_000, LARGE)), "disk", "closed"),
        (Signals(volume=Volume(0, LARGE)), "disk", "closed"),
        (Signals(volume=Volume(900, 10_000)), "disk", "open"),
        (Signals(volume=Volume(500, 10_000)), "disk", "closed"),
        (Signals(Waiting(700), 8.0, Volume(1_050, LARGE)), "disk", "critical_only"),
    ],
)
def test_the_signal_nearest_to_its_limit_asks_for_the_step(signals: Signals, signal: str, step: str) -> None:
    found = strongest(signals, LIMITS)
    assert (found.signal, STEPS[found.step]) == (signal, step)


def test_without_a_reserve_a_full_disk_is_left_to_the_store() -> None:
    limits = Limits(disk_reserve_bytes=0)
    assert strongest(Signals(volume=Volume(0, LARGE)), limits).step == 0


def test_each_step_refuses_one_priority_more_and_says_when_it_can_come_back() -> None:
    taken = [[p for p in ("critical", "high", "normal", "low") if takes(step, p)] for step in range(len(STEPS))]
    assert taken == [
        ["critical", "high", "normal", "low"],
        ["critical", "high", "normal"],
        ["critical", "high"],
        ["critical"],
        [],
    ]
    assert [come_back_s(step, "low") for step in range(1, 5)] == [5, 10, 15, 20]
    assert come_back_s(4, "critical") == 5


class Told(NullTelemetry, NullLogbook):
    """Remembers the gauge and the log lines."""

    def __init__(self) -> None:
        self.gauge: list[int] = []
        self.lines: list[tuple[str, object, object, object]] = []

    def degraded(self, step: int) -> None:
        self.gauge.append(step)

    def note(self, level: str, message: str, **fields: object) -> None:
        del message
        self.lines.append((level, fields["old_state"], fields["new_state"], str(fields["reason"]).partition(":")[0]))


async def test_each_change_is_told_once_with_its_signal() -> None:
    clock, told = ManualClock(), Told()
    steps = Steps(LIMITS, clock, told, told)
    for backlog in (0, 750, 750, 800):
        steps.look(Waiting(backlog), None)
    assert (steps.name, steps.why) == ("no_normal", "backlog: 800 records wait, 1,000 are kept")
    refusal = steps.refusal("normal")
    assert refusal is not None
    assert (refusal.code, dict(refusal.headers)) == ("degraded", {b"retry-after": b"5"})
    assert "no_normal" in refusal.detail
    assert steps.refusal("high") is None
    for _ in range(3):
        steps.look(Waiting(0), None)
        await clock.advance(HOLD_S)
    assert told.gauge == [2, 1, 0]
    assert told.lines == [
        ("warning", "open", "no_normal", "backlog"),
        ("info", "no_normal", "no_low", "backlog"),
        ("info", "no_low", "open", "backlog"),
    ]


async def test_a_lookout_sees_a_change_within_a_quarter_of_a_second() -> None:
    clock, waiting = ManualClock(), [Waiting()]
    steps = Steps(LIMITS, clock, NullTelemetry(), NullLogbook())
    lookout = Lookout(steps, lambda: waiting[0], lambda: None, clock)
    looking = asyncio.create_task(lookout.run())
    await clock.advance(1)
    assert steps.name == "open"
    waiting[0] = Waiting(1_000)
    await clock.advance(0.25)
    assert steps.name == "closed"
    lookout.drain()
    await clock.advance(0.25)
    await looking
