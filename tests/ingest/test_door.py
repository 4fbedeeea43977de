"""The last parts of the commit's queue are kept for what is more urgent, so that a flood of low keeps nobody out."""

import asyncio
from collections.abc import Sequence

import pytest

from bellhouse.domain.ids import NotificationId, TenantNo
from bellhouse.domain.words import PRIORITIES, Priority
from bellhouse.ingest.accept import Acceptor, Draft, Outcome
from bellhouse.ingest.degrade import Waiting
from bellhouse.ingest.door import Door
from bellhouse.ingest.groupcommit import GroupCommit
from bellhouse.ingest.steps import Steps
from bellhouse.ports.store.ingest import Accepted
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry
from bellhouse.testing.clock import ManualClock
from bellhouse.web.limits import Limits

LIMITS = Limits(queue=100, backlog=100)


class Told(Acceptor):
    """Knows the priorities of drafts that say theirs."""

    def __init__(self) -> None:
        """It needs no store."""

    async def priorities(self, drafts: Sequence[Draft]) -> list[Priority | None]:
        return [draft.priority for draft in drafts]


async def never(_: Sequence[Draft]) -> list[Outcome]:
    await asyncio.Event().wait()
    return [Accepted(NotificationId(b""))]


def draft(priority: Priority | None) -> Draft:
    return Draft(TenantNo(1), "ada", "t", priority)


class House:
    """A door before a queue whose commit never ends."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.steps = Steps(LIMITS, clock, NullTelemetry(), NullLogbook())
        self.commit = GroupCommit(never, clock, NullTelemetry(), LIMITS.queue, self.steps.waits)
        self.door = Door(self.steps, self.commit, Told())
        self._tasks: list[asyncio.Task[object]] = []

    async def queue(self, count: int) -> None:
        """Let so many more wait, behind one that is being committed."""
        for batch in ([draft("low")], [draft("low")] * count):
            self._tasks.append(asyncio.create_task(self.commit.many(batch)))
            for _ in range(5):
                await asyncio.sleep(0)

    async def turned_away(self) -> list[str]:
        refusals = await self.door.refusals([draft(priority) for priority in PRIORITIES])
        return [f"{p} {refused.code}" for p, refused in zip(PRIORITIES, refusals, strict=True) if refused is not None]


@pytest.mark.parametrize(
    ("queued", "turned_away"),
    [
        (59, []),
        (60, ["low busy"]),
        (75, ["normal busy", "low busy"]),
        (90, ["high busy", "normal busy", "low busy"]),
    ],
)
async def test_a_fuller_queue_has_room_for_the_more_urgent_only(queued: int, turned_away: list[str]) -> None:
    house = House()
    assert not house.door.narrow
    await house.queue(queued)
    assert house.commit.waiting == queued
    assert house.door.narrow == bool(turned_away)
    assert await house.turned_away() == turned_away


async def test_a_step_is_the_answer_where_the_queue_is_full_as_well() -> None:
    house = House()
    await house.queue(75)
    house.steps.look(Waiting(60), None)
    assert await house.turned_away() == ["normal busy", "low degraded"]


async def test_whose_type_is_unknown_is_let_in_to_be_told_so() -> None:
    house = House()
    house.steps.look(Waiting(90), None)
    assert await house.door.refusals([draft(None)]) == [None]
