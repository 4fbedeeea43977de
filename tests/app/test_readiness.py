"""What `/readyz` says of accepting, and what the steps are decided by."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from bellhouse.app.readiness import Backlog, volume_of, with_accepting
from bellhouse.ingest.degrade import Waiting
from bellhouse.ingest.steps import Steps
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry
from bellhouse.testing.clock import ManualClock
from bellhouse.web.health import Check
from bellhouse.web.limits import Limits

STORE = Check("store", True)


async def others() -> Sequence[Check]:
    return [STORE]


@pytest.mark.parametrize(
    ("backlog", "detail"),
    [(0, "open"), (60, "no_low: backlog: 60 records wait, 100 are kept"), (100, "closed: backlog: 100 records wait")],
)
async def test_the_step_is_shown_with_its_reason_and_turns_no_load_balancer_away(backlog: int, detail: str) -> None:
    steps = Steps(Limits(backlog=100), ManualClock(), NullTelemetry(), NullLogbook())
    steps.look(Waiting(backlog), None)
    store, accepting = await with_accepting(others, steps)()
    assert (store, accepting.name, accepting.ok) == (STORE, "accepting", True)
    assert accepting.detail.startswith(detail)


def test_a_volume_is_seen_as_the_system_sees_it(tmp_path: Path) -> None:
    seen, usage = volume_of(tmp_path)(), shutil.disk_usage(tmp_path)
    assert seen is not None
    assert seen.size == usage.total
    assert abs(seen.free - usage.free) < usage.total / 100, "others write meanwhile"


def test_a_volume_that_is_gone_says_nothing(tmp_path: Path) -> None:
    assert volume_of(tmp_path / "gone")() is None


async def test_a_backlog_that_takes_long_to_count_is_counted_less_often() -> None:
    clock, takes_s, counts = ManualClock(), [0.0], [0]

    async def count() -> Waiting:
        counts[0] += 1
        await clock.sleep(takes_s[0])
        return Waiting(counts[0])

    backlog = Backlog(count, clock)
    counting = asyncio.create_task(backlog.run())
    await clock.advance(10)
    assert counts[0] == 21
    takes_s[0] = 1.0
    await clock.advance(44)
    assert counts[0] == 25
    backlog.drain()
    await clock.advance(11)
    await counting


async def test_a_count_that_fails_leaves_the_last_one() -> None:
    clock, down = ManualClock(), [False]

    async def count() -> Waiting:
        if down[0]:
            raise StoreUnavailable("busy", "try again")
        return Waiting(7)

    backlog = Backlog(count, clock)
    counting = asyncio.create_task(backlog.run())
    await clock.advance(1)
    down[0] = True
    await clock.advance(1)
    assert backlog.waiting == Waiting(7)
    backlog.drain()
    await clock.advance(1)
    await counting
