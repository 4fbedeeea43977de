"""The shared commit: what came in while the last one ran is the next; batches let single requests in between."""

import asyncio
from collections.abc import Sequence

import pytest

from bellhouse.domain.ids import NotificationId, TenantNo
from bellhouse.ingest.accept import Draft, Outcome
from bellhouse.ingest.groupcommit import CUT, GroupCommit
from bellhouse.ingest.steps import Waits
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.ingest import Accepted
from bellhouse.ports.telemetry import NullTelemetry
from bellhouse.testing.clock import ManualClock
from bellhouse.web.problems import Problem


class Store:
    """Commits only when told to, and remembers what was in each commit."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.poison: set[str] = set()
        self.full = False

    async def accept(self, drafts: Sequence[Draft]) -> list[Outcome]:
        self.commits.append([draft.user_id for draft in drafts])
        await self.open.wait()
        if self.full:
            raise StoreUnavailable("disk_full", "Make room.")
        if self.poison & {draft.user_id for draft in drafts}:
            raise ValueError("this one breaks it")
        return [accepted(draft.user_id) for draft in drafts]


def draft(name: str) -> Draft:
    return Draft(TenantNo(1), name, "t")


def accepted(name: str) -> Outcome:
    return Accepted(NotificationId(name.encode()))


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def commit(store: Store, clock: ManualClock, waits: Waits) -> GroupCommit:
    return GroupCommit(store.accept, clock, NullTelemetry(), 2_000, waits)


async def until(condition: object, turns: int = 1_000) -> None:
    for _ in range(turns):
        if condition():  # type: ignore[operator]  # a callable of the test
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to pass")


async def test_requests_that_arrive_together_share_a_commit(store: Store, commit: GroupCommit) -> None:
    names = [str(number) for number in range(64)]
    outcomes = await asyncio.gather(*(commit.one(draft(name)) for name in names))
    assert outcomes == [accepted(name) for name in names]
    assert store.commits == [names]


async def test_what_arrives_during_a_commit_is_the_next_one(store: Store, commit: GroupCommit) -> None:
    store.open.clear()
    first = asyncio.create_task(commit.one(draft("a")))
    await until(lambda: store.commits)
    later = [asyncio.create_task(commit.one(draft(name))) for name in "bcd"]
    await asyncio.sleep(0)
    store.open.set()
    assert await first == accepted("a")
    assert await asyncio.gather(*later) == [accepted(name) for name in "bcd"]
    assert store.commits == [["a"], ["b", "c", "d"]]


async def test_a_batch_is_cut_and_single_requests_get_in_between(store: Store, commit: GroupCommit) -> None:
    store.open.clear()
    batch = asyncio.create_task(commit.many([draft(f"b{number}") for number in range(1_000)]))
    await until(lambda: store.commits)
    single = asyncio.create_task(commit.one(draft("single")))
    await asyncio.sleep(0)
    store.open.set()
    assert await batch == [accepted(f"b{number}") for number in range(1_000)]
    assert await single == accepted("single")
    assert [len(commit) for commit in store.commits] == [CUT, CUT + 1, CUT, 1_000 - 3 * CUT]
    assert store.commits[1][0] == "single"


async def test_many_single_requests_do_not_starve_a_batch(store: Store, commit: GroupCommit) -> None:
    singles = [asyncio.create_task(commit.one(draft(f"s{number}"))) for number in range(700)]
    await asyncio.sleep(0)
    await commit.many([draft("b")])
    assert "b" in store.commits[0]
    await asyncio.gather(*singles)


async def test_a_full_queue_is_busy_and_forgets_nothing(store: Store, commit: GroupCommit) -> None:
    store.open.clear()
    first = asyncio.create_task(commit.one(draft("a")))
    await until(lambda: store.commits)
    waiting = [asyncio.create_task(commit.many([draft("w")] * 1_000)) for _ in range(2)]
    await asyncio.sleep(0)
    for refused in (commit.one(draft("x")), commit.many([draft("x")])):
        with pytest.raises(Problem) as problem:
            await refused
        assert (problem.value.code, dict(problem.value.headers)) == ("busy", {b"retry-after": b"1"})
    store.open.set()
    await asyncio.gather(first, *waiting)
    assert await commit.one(draft("y")) == accepted("y")


async def test_a_store_that_cannot_write_fails_them_all_and_is_asked_again_by_the_next(
    store: Store, commit: GroupCommit
) -> None:
    store.full = True
    outcomes = await asyncio.gather(*(commit.one(draft(name)) for name in "abc"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    assert len(store.commits) == 1
    store.full = False
    assert await commit.one(draft("d")) == accepted("d")


async def test_one_that_breaks_the_commit_does_not_fail_the_others(store: Store, commit: GroupCommit) -> None:
    store.poison = {"bad"}
    outcomes = await asyncio.gather(*(commit.one(draft(name)) for name in ("a", "bad", "c")), return_exceptions=True)
    assert (outcomes[0], outcomes[2]) == (accepted("a"), accepted("c"))
    assert isinstance(outcomes[1], ValueError)


async def test_a_part_of_a_batch_that_failed_has_its_error_in_each_place(store: Store, commit: GroupCommit) -> None:
    store.poison = {"400"}
    outcomes = await commit.many([draft(str(number)) for number in range(700)])
    assert outcomes[:300] == [accepted(str(number)) for number in range(300)]
    assert all(isinstance(outcome, ValueError) for outcome in outcomes[300:600])
    assert outcomes[600:] == [accepted(str(number)) for number in range(600, 700)]


async def test_a_caller_that_gave_up_does_not_hurt_the_others(store: Store, commit: GroupCommit) -> None:
    store.open.clear()
    first, second = (asyncio.create_task(commit.one(draft(name))) for name in "ab")
    await until(lambda: store.commits)
    first.cancel()
    store.open.set()
    assert await second == accepted("b")


async def test_it_tells_how_long_the_oldest_waits_and_has_waited(
    store: Store, commit: GroupCommit, clock: ManualClock, waits: Waits
) -> None:
    assert waits.longest(clock.monotonic()) == 0
    store.open.clear()
    first = asyncio.create_task(commit.one(draft("a")))
    await until(lambda: store.commits)
    await clock.advance(3)
    later = asyncio.create_task(commit.one(draft("b")))
    await asyncio.sleep(0)
    await clock.advance(1)
    assert waits.longest(clock.monotonic()) == 4
    store.open.set()
    await asyncio.gather(first, later)
    assert waits.longest(clock.monotonic()) == 4, "it ended since the last question"
    assert waits.longest(clock.monotonic()) == 0


async def test_a_commit_that_fails_has_waited_too(
    store: Store, commit: GroupCommit, clock: ManualClock, waits: Waits
) -> None:
    store.open.clear()
    store.full = True
    refused = asyncio.create_task(commit.one(draft("a")))
    await until(lambda: store.commits)
    await clock.advance(7)
    store.open.set()
    with pytest.raises(StoreUnavailable):
        await refused
    assert waits.longest(clock.monotonic()) == 7
