"""What carries, releases and sweeps goes on whatever is away, and leaves the rest to whoever holds the lease."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import pytest

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.domain.words import Channel, Priority
from bellhouse.outbox.due import DueReleaser
from bellhouse.outbox.parked import ParkedReleaser
from bellhouse.outbox.relay import Relay
from bellhouse.outbox.sweep import Sweeper
from bellhouse.outbox.upkeep import Upkeep
from bellhouse.ports.doorbell import outbox_bell
from bellhouse.ports.log import LogUnavailable, OutboxLane
from bellhouse.ports.service import Service
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.waiting import Pending
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import NOON


class Notes:
    """A logbook that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def note(self, level: str, message: str, **fields: object) -> None:
        self.said.append((level, message))


class Outbox:
    """Rows by priority, and what is to be raised next."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.asked: list[tuple[str, int]] = []
        self.failures: list[Exception] = []

    async def relay(self, lane: OutboxLane, limit: int) -> int:
        self.asked.append((lane, limit))
        if self.failures:
            raise self.failures.pop(0)
        taken = min(limit, self.rows.get(lane, 0))
        self.rows[lane] = self.rows.get(lane, 0) - taken
        return taken

    async def pending(self) -> Mapping[Priority, Pending]:
        return {}


class House:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.notes = Notes()
        self.doorbell = LocalDoorbell()
        self.outbox = Outbox()
        self.running: list[asyncio.Task[None]] = []

    def run(self, service: Service) -> None:
        self.running.append(asyncio.create_task(service.run()))

    async def until(self, holds: Callable[[], bool], step_s: float = 0.1) -> None:
        async with asyncio.timeout(10):
            while not holds():
                for task in self.running:
                    if task.done():
                        task.result()
                await self.clock.advance(step_s)
                await asyncio.sleep(0)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    for task in house.running:
        task.cancel()
    if house.running:
        await asyncio.wait(house.running)


def _relay(house: House, priority: Priority = "normal", batch: int = 10) -> Relay:
    relay = Relay(priority, house.outbox, house.doorbell, house.clock, house.notes, batch)  # type: ignore[arg-type]  # notes
    house.run(relay)
    return relay


async def test_a_relay_carries_everything_of_its_priority_and_nothing_else(house: House) -> None:
    house.outbox.rows = {"normal": 35, "low": 5}
    _relay(house)
    await house.until(lambda: house.outbox.rows["normal"] == 0)
    assert house.outbox.rows["low"] == 5
    assert set(house.outbox.asked) == {("normal", 10)}


async def test_an_idle_relay_wakes_when_its_bell_rings(house: House) -> None:
    _relay(house)
    await house.until(lambda: len(house.outbox.asked) == 1)
    house.outbox.rows = {"normal": 3}
    house.doorbell.ring(frozenset({outbox_bell("normal")}))
    await house.until(lambda: house.outbox.rows["normal"] == 0)


async def test_an_idle_relay_looks_for_itself_when_a_ring_was_lost(house: House) -> None:
    _relay(house)
    await house.until(lambda: len(house.outbox.asked) == 1)
    house.outbox.rows = {"normal": 3}
    async with asyncio.timeout(5):
        while house.outbox.rows["normal"]:
            await house.clock.advance(0.1)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (StoreUnavailable("unreachable", "wait"), "The outbox waits for the store"),
        (LogUnavailable("unreachable", "wait"), "The outbox waits for the log"),
    ],
    ids=["store", "log"],
)
async def test_a_relay_goes_on_when_what_was_away_is_back(house: House, failure: Exception, said: str) -> None:
    house.outbox.failures = [failure, failure]
    house.outbox.rows = {"normal": 3}
    _relay(house)
    await house.until(lambda: house.outbox.rows["normal"] == 0)
    assert house.notes.said == [("error", said)] * 2


async def test_a_relay_leaves_a_log_that_is_away_alone_for_a_while(house: House) -> None:
    house.outbox.failures = [LogUnavailable("unreachable", "wait")] * 1_000
    _relay(house)
    await house.until(lambda: bool(house.outbox.asked))
    before = len(house.outbox.asked)
    await house.clock.advance(5.0)
    assert len(house.outbox.asked) - before <= 11


async def test_a_draining_relay_ends_after_its_batch(house: House) -> None:
    house.outbox.rows = {"normal": 10_000}
    relay = _relay(house)
    await house.until(lambda: bool(house.outbox.asked))
    relay.drain()
    await house.until(house.running[0].done)
    assert house.outbox.rows["normal"] > 0


class Rounds:
    """An UpkeepStore and a Lease."""

    def __init__(self) -> None:
        self.is_held = True
        self.rounds: list[tuple[int, int]] = []
        self.failures: list[Exception] = []

    async def held(self) -> bool:
        return self.is_held

    async def upkeep(self, now: int, retention_days: int) -> Sequence[str]:
        self.rounds.append((now, retention_days))
        if self.failures:
            raise self.failures.pop(0)
        return ["dropped day 20260101"]


def _upkeep(house: House, rounds: Rounds) -> Upkeep:
    upkeep = Upkeep(rounds, rounds, house.clock, house.notes, 90)  # type: ignore[arg-type]  # notes
    house.run(upkeep)
    return upkeep


async def test_upkeep_is_done_every_other_second_and_tells_what_it_did(house: House) -> None:
    rounds = Rounds()
    _upkeep(house, rounds)
    await house.clock.advance(5.0)
    assert len(rounds.rounds) == 3
    assert {days for _, days in rounds.rounds} == {90}
    assert house.notes.said[0] == ("info", "Upkeep: dropped day 20260101")


async def test_who_does_not_hold_the_lease_does_nothing_until_it_does(house: House) -> None:
    rounds = Rounds()
    rounds.is_held = False
    _upkeep(house, rounds)
    await house.clock.advance(5.0)
    assert rounds.rounds == []
    rounds.is_held = True
    await house.clock.advance(2.0)
    assert len(rounds.rounds) == 1


async def test_upkeep_goes_on_when_the_store_is_back(house: House) -> None:
    rounds = Rounds()
    rounds.failures = [StoreUnavailable("busy", "try again")]
    upkeep = _upkeep(house, rounds)
    await house.clock.advance(3.0)
    assert [level for level, _ in house.notes.said] == ["error", "info"]
    upkeep.drain()
    await house.until(house.running[0].done)


class Waiting:
    """A DueStore, a Recovery and a Lease: due rows of one cluster, parked ones of several."""

    def __init__(self) -> None:
        self.due: list[int] = []
        self.others: list[int] = []
        self.parked_there: dict[tuple[Channel, Priority], int] = {}
        self.away: set[Priority] = set()

    async def held(self) -> bool:
        return True

    async def share(self, channel: Channel) -> float:
        return 1.0

    async def release_due(self, now: int, limit: int) -> int:
        taken = [at for at in self.due if at <= now]
        self.due = [at for at in self.due if at > now]
        return len(taken)

    async def next_due(self, after: int = 0) -> int | None:
        return min((at for at in self.due + self.others if at > after), default=None)

    async def parked(self) -> Sequence[tuple[Channel, Priority]]:
        return list(self.parked_there)

    async def release_parked(self, channel: Channel, priority: Priority, limit: int) -> int:
        if priority in self.away:
            raise LogUnavailable("unreachable", "wait")
        return self.parked_there.pop((channel, priority))


class Bell:
    """A doorbell that never rings, and remembers how long it was waited for."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def ring(self, topics: frozenset[str]) -> None:
        """Nobody hears it."""

    async def wait(self, topic: str, timeout_s: float) -> None:
        self.waits.append(timeout_s)
        await asyncio.Event().wait()


def _parked(house: House, waiting: Waiting) -> ParkedReleaser:
    return ParkedReleaser(waiting, waiting, waiting, house.clock, house.notes)  # type: ignore[arg-type]  # parts


async def test_what_is_parked_goes_past_what_waits_for_a_log_that_is_away_which_is_said_once(house: House) -> None:
    waiting = Waiting()
    waiting.away = {"critical"}
    waiting.parked_there = {("push", "critical"): 3, ("email", "critical"): 2, ("push", "low"): 5}
    assert await _parked(house, waiting).release() == 5
    assert list(waiting.parked_there) == [("push", "critical"), ("email", "critical")]
    assert house.notes.said == [("error", "Parked rows wait for the log")]


async def test_due_rows_that_another_releases_do_not_keep_a_releaser_awake(house: House) -> None:
    waiting, bell = Waiting(), Bell()
    waiting.others = [NOON - 1_000]
    clock = ManualClock(NOON)
    house.run(DueReleaser(waiting, bell, clock, house.notes))  # type: ignore[arg-type]  # parts
    await house.until(lambda: bool(bell.waits))
    assert bell.waits == [1.0], "the longest rest"


async def test_a_releaser_sleeps_until_the_next_moment_whoever_it_is_for(house: House) -> None:
    waiting, bell = Waiting(), Bell()
    waiting.due, waiting.others = [NOON + 700], [NOON + 200]
    clock = ManualClock(NOON)
    house.run(DueReleaser(waiting, bell, clock, house.notes))  # type: ignore[arg-type]  # parts
    await house.until(lambda: bool(bell.waits))
    assert bell.waits == [0.2]


class Swept:
    """A Log, an IngestStore and a Lease."""

    def __init__(self) -> None:
        self.is_held = False
        self.swept = 0

    async def held(self) -> bool:
        return self.is_held

    async def trim(self, limit: int) -> int:
        self.swept += 1
        return 0

    async def forget_keys(self, now: int, limit: int) -> int:
        return 0


async def test_of_several_sweepers_the_one_with_the_lease_sweeps(house: House) -> None:
    rooms = [Swept(), Swept()]
    rooms[1].is_held = True
    for room in rooms:
        house.run(Sweeper(room, room, room, house.clock, house.notes))  # type: ignore[arg-type]  # parts
    await house.until(lambda: rooms[1].swept == 3)
    assert rooms[0].swept == 0
    rooms[0].is_held, rooms[1].is_held = True, False
    await house.until(lambda: rooms[0].swept == 3)
