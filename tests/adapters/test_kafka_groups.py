"""A group of Kafka readers keeps its promises while members are killed, suspended, restarted and come and go."""

import asyncio
import contextlib
import itertools
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.kafka_house import CLOCK, PARTITIONS, KafkaHouse, open_house

from bellhouse.adapters.clock import SystemClock
from bellhouse.engines.kafka import Kafka
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import LogUnavailable, Polled, Reader
from bellhouse.testing.log_suite import (
    NORMAL,
    behind,
    eventually,
    nothing_more,
    read,
    read_all,
    read_until,
    reading,
    records,
    values_of,
)

SESSION_S = 3.0
LONG_S = 60.0
"""A session that does not end by itself while a test runs."""
PATIENCE_S = 30.0


@pytest.fixture
async def house(kafka: Kafka, topic_prefix: str) -> AsyncIterator[KafkaHouse]:
    async with open_house(kafka, [NORMAL], topic_prefix=topic_prefix, session_timeout_s=SESSION_S) as house:
        yield house


@asynccontextmanager
async def member(house: KafkaHouse, clock: Clock = CLOCK, **config: Any) -> AsyncIterator[Reader]:
    """A reader of another process; `config` are fields of its KafkaConfig."""
    reader = house.beside(clock, **config).reader(NORMAL)
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


async def shared(house: KafkaHouse, readers: list[Reader]) -> list[set[int]]:
    """Append and commit until each of the readers has partitions; which each has then."""
    values = itertools.count(100_000, 40)
    places: list[set[int]] = []

    async def found() -> bool:
        start = next(values)
        await house.publisher.append(records(range(start, start + 40), keys=40))
        polled = await read_all(readers, range(start, start + 40))
        for reader, part in zip(readers, polled, strict=True):
            await reader.commit(behind(part))
        places[:] = [{record.partition for record in part} for part in polled]
        return sum(map(len, places)) == PARTITIONS and all(places)

    await eventually(found, within_s=PATIENCE_S)
    return places


class Ahead(SystemClock):
    """A clock that can be moved forward."""

    by_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.by_s


class Child:
    """A reader in a process of its own, which can be killed and suspended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def polled(self, count: int) -> list[tuple[int, bool]]:
        """The next `count` values that it polls, and whether each was marked."""
        assert self.process.stdout is not None
        got: list[tuple[int, bool]] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(got) < count:
                value, again = (await self.process.stdout.readline()).split()
                got.append((int(value), again == b"True"))
        return got


CHILD = """
import asyncio, sys
import msgspec
from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.log.kafka import KafkaConfig, KafkaLog
from bellhouse.ports.telemetry import NullLogbook
from bellhouse.testing.log_suite import NORMAL, behind

AWAY_S = 1.0

async def main():
    config = msgspec.json.decode(sys.argv[1], type=KafkaConfig)
    clock = SystemClock()
    reader = KafkaLog(config, {}, clock, NullLogbook()).reader(NORMAL)
    await reader.start()
    polled, turned = [], clock.monotonic()
    while True:
        away = clock.monotonic() - turned > AWAY_S
        turned = clock.monotonic()
        if away:
            await reader.commit(behind(polled))
            await reader.rejoin()
        batch = await reader.poll(100)
        polled += batch
        for record in batch:
            print(int(record.value), record.again, flush=True)
        await reader.wait(0.1)

asyncio.run(main())
"""
"""Commits nothing, but what it had polled when it finds that it has been away."""


@asynccontextmanager
async def child(house: KafkaHouse, **config: Any) -> AsyncIterator[Child]:
    told = msgspec.json.encode(msgspec.structs.replace(house.config, **config)).decode()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, told, stdout=asyncio.subprocess.PIPE, limit=2**20
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_what_a_killed_process_had_polled_comes_to_the_others_when_its_session_is_over(house: KafkaHouse) -> None:
    await house.publisher.append(records(range(100), keys=50))
    async with child(house) as killed:
        polled = await killed.polled(100)
        assert all(again for _, again in polled)
        killed.process.kill()
        await killed.process.wait()
        async with reading(house) as heir:
            taken = await read(heir, 100, within_s=PATIENCE_S)
    assert sorted(values_of(taken)) == list(range(100))
    assert all(record.again for record in taken)


async def test_a_process_that_slept_through_its_session_takes_nothing_back_from_the_others(house: KafkaHouse) -> None:
    async with child(house) as sleeper:
        await house.publisher.append(records(range(100), keys=50))
        await sleeper.polled(100)
        sleeper.process.send_signal(signal.SIGSTOP)
        async with reading(house) as heir:
            taken = await read(heir, 100, within_s=PATIENCE_S)
            assert all(record.again for record in taken)
            await house.publisher.append(records(range(100, 200), keys=50))
            taken += await read(heir, 100)
            await heir.commit(behind(taken))
            sleeper.process.send_signal(signal.SIGCONT)
            # It commits what it had polled, which would go back, and begins anew: some of what comes now is its own.
            mine: list[Polled] = []
            theirs = asyncio.create_task(sleeper.polled(1))
            async with asyncio.timeout(PATIENCE_S):
                for value in range(200, 100_000, 50):
                    await house.publisher.append(records(range(value, value + 50), keys=50))
                    await heir.wait(0.1)
                    mine += await heir.poll(500)
                    if theirs.done():
                        break
            assert all(value >= 200 for value in values_of(mine))
            assert (await theirs)[0][0] >= 200


async def test_a_restart_within_the_session_keeps_its_partitions_and_disturbs_nobody(house: KafkaHouse) -> None:
    keeping = {"session_timeout_s": 20.0}
    async with member(house, instance="a", **keeping) as stays:
        async with member(house, instance="b", **keeping) as goes:
            kept, waiting = await shared(house, [stays, goes])
        await house.publisher.append(records(range(5_000, 5_100), keys=50))
        while_away = await read_until(stays, lambda come: kept <= {record.partition for record in come})
        while_away += await nothing_more(stays)
        assert {record.partition for record in while_away} == kept
        async with member(house, instance="b", **keeping) as back:
            polled = await read(back, 100 - len(while_away))
            assert {record.partition for record in polled} == waiting
            assert sorted(values_of([*polled, *while_away])) == list(range(5_000, 5_100))
            await house.publisher.append(records(range(5_100, 5_200), keys=50))
            after, _ = await read_all([stays, back], range(5_100, 5_200))
            assert {record.partition for record in after} == kept
            assert not any(record.again for record in [*while_away, *after])


async def test_an_instance_that_goes_for_good_leaves_its_partitions_to_the_others_after_its_session(
    house: KafkaHouse,
) -> None:
    async with member(house, instance="a") as stays:
        async with member(house, instance="b") as goes:
            await shared(house, [stays, goes])
        await house.publisher.append(records(range(5_000, 5_100), keys=50))
        assert sorted(values_of(await read(stays, 100, within_s=PATIENCE_S))) == list(range(5_000, 5_100))


async def test_a_second_process_of_one_name_puts_the_first_out_in_words(house: KafkaHouse) -> None:
    clock = Ahead()
    # It waits for its session's time before it comes again, and would put the second out in turn.
    async with member(house, clock=clock, instance="a", session_timeout_s=LONG_S) as first:
        await shared(house, [first])
        async with member(house, instance="a") as second:
            with pytest.raises(LogUnavailable, match="`instance` of its own"):
                await _poll_for_ever(first)
            await house.publisher.append(records(range(5_000, 5_100), keys=50))
            seen: set[int] = set()  # and what the first had not yet told of as done
            while not seen >= set(range(5_000, 5_100)):
                seen.update(values_of(await read(second, 1)))
        clock.by_s = LONG_S
        await house.publisher.append(records(range(6_000, 6_100), keys=50))
        await _read_when_it_has_joined(first, set(range(6_000, 6_100)))


async def _read_when_it_has_joined(reader: Reader, wanted: set[int]) -> None:
    """Have a reader that was put out read these when the other has gone."""
    seen: set[int] = set()

    async def all_seen() -> bool:
        with contextlib.suppress(LogUnavailable):
            seen.update(values_of(await reader.poll(500)))
        return seen >= wanted

    await eventually(all_seen, within_s=PATIENCE_S)


async def _poll_for_ever(reader: Reader) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await reader.poll(1)
            await reader.wait(0.1)


async def test_a_reader_that_is_not_polled_holds_little_stays_in_the_group_and_loses_nothing(house: KafkaHouse) -> None:
    async with reading(house) as slow:
        await house.publisher.append(records(range(20_000), keys=50))
        polled = await read(slow, 1, limit=1)

        async def full() -> bool:
            return len(slow._assignment) >= 2_000

        await eventually(full)
        async with member(house) as helper:
            helped = await read(helper, 1)
            assert len(slow._assignment) < 3_000
            seen = set(values_of(polled + helped))
            async with asyncio.timeout(PATIENCE_S):
                while not seen >= set(range(20_000)):
                    for reader in (slow, helper):
                        seen.update(values_of(await reader.poll(500)))
                        await reader.wait(0.01)


async def test_nothing_is_lost_in_a_storm_of_rebalances(house: KafkaHouse) -> None:
    done: set[int] = set()
    calm = asyncio.Event()

    async def works(lives_for: int | None, **config: Any) -> None:
        """Read until the storm is over, or for so many batches, and then leave with the last batch undone."""
        async with member(house, **config) as reader:
            while not calm.is_set() and lives_for != 0:
                batch = await reader.poll(50)
                if batch and lives_for is not None:
                    lives_for -= 1
                if lives_for != 0:
                    done.update(values_of(batch))
                    await reader.commit(behind(batch))
                await reader.wait(0.05)

    async def restless(**config: Any) -> None:
        while not calm.is_set():
            await works(4, **config)

    async with asyncio.TaskGroup() as group:
        group.create_task(works(None))
        group.create_task(restless())
        group.create_task(restless(instance="x"))
        group.create_task(restless(instance="y"))
        for start in range(0, 20_000, 200):
            await house.publisher.append(records(range(start, start + 200), keys=50))

        async def all_done() -> bool:
            return done >= set(range(20_000))

        await eventually(all_done, within_s=60.0)
        calm.set()
