"""What every log must do, whatever stands behind the port: two suites, run on each adapter.

A test class inherits LogSuite, and SharedLogSuite where several readers of a group can work beside one another. It
provides the fixture `house`: an object with `log`, `publisher`, both on empty topics, and `reopen()`, which gives the
same log as a new process would see it. `partitions` says how many partitions a topic has.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from bellhouse.ports.log import (
    GROUP_OF,
    Polled,
    Position,
    Reader,
    Record,
    deliveries_topic,
    ends_of,
    notifications_topic,
    positions,
)

NORMAL = notifications_topic("normal")
LOW = notifications_topic("low")
PUSH = deliveries_topic("push", "critical")
TOPICS_USED = (NORMAL, LOW, PUSH)

_PATIENCE_S = 20.0
_AT_ONCE_S = 5.0
"""What passes for "at once": less than any time after which a reader would be given up for dead."""
_STEP_S = 0.05


async def left(house: Any, *topics: str) -> list[int]:
    """What the groups of these topics have not finished."""
    return sorted([int(value) async for _, values in house.log.unfinished(topics) for value in values])


@asynccontextmanager
async def reading(house: Any, topic: str = NORMAL) -> AsyncIterator[Reader]:
    """A reader that has joined its group, and leaves it at the end."""
    reader: Reader = house.log.reader(topic)
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


def records(values: Iterable[int], topic: str = NORMAL, keys: int = 1) -> list[Record]:
    """A record for each value, its key the value's remainder."""
    return [Record(topic, b"%d" % value, value % keys) for value in values]


def values_of(polled: Iterable[Polled]) -> list[int]:
    return [int(record.value) for record in polled]


def behind(polled: Iterable[Polled], topic: str = NORMAL) -> list[Position]:
    """The positions at which all of these are done."""
    return list(positions(topic, ends_of(list(polled))))


async def read(reader: Reader, count: int, limit: int = 500, within_s: float = _PATIENCE_S) -> list[Polled]:
    """Poll until `count` records have come; fails when they do not come in time."""
    polled: list[Polled] = []
    async with asyncio.timeout(within_s):
        while len(polled) < count:
            polled += await reader.poll(limit)
            if len(polled) < count:
                await reader.wait(_STEP_S)
    return polled


async def read_until(reader: Reader, enough: Callable[[list[Polled]], bool]) -> list[Polled]:
    """Poll until what has come is enough; fails when it is not in time."""
    polled: list[Polled] = []
    async with asyncio.timeout(_PATIENCE_S):
        while not enough(polled):
            await reader.wait(_STEP_S)
            polled += await reader.poll(500)
    return polled


async def read_all(readers: Sequence[Reader], values: Iterable[int]) -> list[list[Polled]]:
    """Poll all readers until each value has come to one of them; what came to each."""
    wanted = set(values)
    polled: list[list[Polled]] = [[] for _ in readers]
    async with asyncio.timeout(_PATIENCE_S):
        while not wanted <= {value for part in polled for value in values_of(part)}:
            for reader, part in zip(readers, polled, strict=True):
                part.extend(await reader.poll(500))
                await reader.wait(_STEP_S / 10)
    return polled


async def nothing_more(reader: Reader) -> list[Polled]:
    """What comes though nothing should; a few waits suffice, since what was to come would be there already."""
    polled: list[Polled] = []
    for _ in range(5):
        await reader.wait(_STEP_S)
        polled += await reader.poll(500)
    return polled


async def eventually(condition: Callable[[], Any], within_s: float = _PATIENCE_S) -> None:
    """Return when the awaited `condition` holds; fails when it does not in time."""
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110  # a log tells nobody that its lag has changed
            await asyncio.sleep(_STEP_S)  # noqa: TID251  # the same


class LogSuite:
    """The conformance suite of the log port, for one reader of each group at a time."""

    partitions: ClassVar[int]

    # --- append and poll ---

    async def test_what_is_appended_is_polled_once_in_the_order_of_each_key(self, house: Any) -> None:
        await house.publisher.append(records(range(300), keys=7))
        async with reading(house) as reader:
            polled = await read(reader, 300, limit=64)
            assert sorted(values_of(polled)) == list(range(300))
            by_key: dict[int, list[int]] = defaultdict(list)
            for value in values_of(polled):
                by_key[value % 7].append(value)
            assert all(before < after for values in by_key.values() for before, after in pairwise(values))
            assert await nothing_more(reader) == []

    async def test_the_records_of_a_partition_come_in_the_order_of_their_offsets(self, house: Any) -> None:
        await house.publisher.append(records(range(300), keys=300))
        async with reading(house) as reader:
            polled = await read(reader, 300, limit=50)
        assert {record.partition for record in polled} == set(range(self.partitions))
        for partition in range(self.partitions):
            offsets = [record.offset for record in polled if record.partition == partition]
            assert all(before < after for before, after in pairwise(offsets))

    async def test_a_key_stays_in_its_partition(self, house: Any) -> None:
        await house.publisher.append(records(range(60), keys=6))
        house = await house.reopen()
        await house.publisher.append(records(range(60, 120), keys=6))
        async with reading(house) as reader:
            polled = await read(reader, 120)
        places = {(value % 6, record.partition) for value, record in zip(values_of(polled), polled, strict=True)}
        assert len(places) == 6

    async def test_any_bytes_and_any_key_are_carried(self, house: Any) -> None:
        values = [b"", bytes(range(256)), b"x" * 100_000]
        keys = [0, 1, 2**63 - 1]
        await house.publisher.append([Record(NORMAL, value, key) for value, key in zip(values, keys, strict=True)])
        async with reading(house) as reader:
            polled = await read(reader, 3)
        assert sorted(record.value for record in polled) == sorted(values)

    async def test_topics_have_nothing_to_do_with_one_another(self, house: Any) -> None:
        mixed = [record for v in range(20) for record in records([v], NORMAL) + records([v + 100], PUSH)]
        await house.publisher.append(mixed)
        async with reading(house, NORMAL) as normal, reading(house, PUSH) as push:
            assert values_of(await read(push, 20)) == list(range(100, 120))
            assert values_of(await read(normal, 20)) == list(range(20))
            assert await nothing_more(push) == []

    async def test_topics_of_one_group_are_read_side_by_side(self, house: Any) -> None:
        await house.publisher.append(records(range(10), NORMAL) + records(range(10, 20), LOW))
        async with reading(house, NORMAL) as normal, reading(house, LOW) as low:
            assert values_of(await read(normal, 10)) == list(range(10))
            assert values_of(await read(low, 10)) == list(range(10, 20))

    async def test_an_append_of_nothing_is_lawful(self, house: Any) -> None:
        await house.publisher.append([])
        async with reading(house) as reader:
            assert await nothing_more(reader) == []

    async def test_a_poll_keeps_its_limit_and_a_poll_of_nothing_is_empty(self, house: Any) -> None:
        async with reading(house) as reader:
            assert list(await reader.poll(10)) == []
            await house.publisher.append(records(range(10)))
            await read(reader, 1, limit=1)
            for _ in range(3):
                polled = await read(reader, 3, limit=3)
                assert len(polled) == 3
            assert list(await reader.poll(10)) == []

    async def test_appends_side_by_side_are_all_there(self, house: Any) -> None:
        parts = [records(range(n, 2_000, 10), keys=50) for n in range(10)]
        await asyncio.gather(*(house.publisher.append(part) for part in parts))
        async with reading(house) as reader:
            assert sorted(values_of(await read(reader, 2_000))) == list(range(2_000))

    async def test_more_than_a_reader_holds_ready_comes_in_order_and_whole(self, house: Any) -> None:
        await house.publisher.append(records(range(10_000)))
        async with reading(house) as reader:
            assert values_of(await read(reader, 10_000, limit=300)) == list(range(10_000))

    # --- wait ---

    async def test_a_wait_ends_when_something_comes(self, house: Any) -> None:
        async with reading(house) as reader:
            await house.publisher.append(records([1]))
            await read(reader, 1)

            async def waited() -> list[Polled]:
                polled: list[Polled] = []
                while not polled:
                    await reader.wait(_PATIENCE_S)
                    polled += await reader.poll(10)
                return polled

            waiting = asyncio.create_task(waited())
            await nothing_happens()
            await house.publisher.append(records([2]))
            async with asyncio.timeout(_AT_ONCE_S):
                assert values_of(await waiting) == [2]

    async def test_a_wait_ends_with_its_time(self, house: Any) -> None:
        async with reading(house) as reader, asyncio.timeout(_AT_ONCE_S):
            await reader.wait(0.01)

    # --- positions ---

    async def test_what_is_not_committed_comes_again(self, house: Any) -> None:
        await house.publisher.append(records(range(20), keys=5))
        async with reading(house) as reader:
            await read(reader, 20)
        house = await house.reopen()
        async with reading(house) as reader:
            polled = await read(reader, 20)
            assert sorted(values_of(polled)) == list(range(20))
            assert all(record.again for record in polled)

    async def test_what_is_committed_does_not_come_again(self, house: Any) -> None:
        await house.publisher.append(records(range(20)))
        async with reading(house) as reader:
            await reader.commit(behind((await read(reader, 20))[:12]))
        house = await house.reopen()
        async with reading(house) as reader:
            assert values_of(await read(reader, 8)) == list(range(12, 20))
            assert await nothing_more(reader) == []

    async def test_a_position_never_goes_back(self, house: Any) -> None:
        await house.publisher.append(records(range(20)))
        async with reading(house) as reader:
            polled = await read(reader, 20)
            await reader.commit(behind(polled[:15]))
            await self._lag_is(house, 5)
            await reader.commit(behind(polled[:3]))
        house = await house.reopen()
        async with reading(house) as reader:
            assert values_of(await read(reader, 5)) == list(range(15, 20))

    async def test_a_commit_of_nothing_is_lawful(self, house: Any) -> None:
        async with reading(house) as reader:
            await reader.commit([])

    async def test_partitions_have_positions_of_their_own(self, house: Any) -> None:
        await house.publisher.append(records(range(60), keys=60))
        async with reading(house) as reader:
            polled = await read(reader, 60)
            done = [record for record in polled if record.partition == 0]
            await reader.commit(behind(done))
        house = await house.reopen()
        async with reading(house) as reader:
            rest = sorted(set(range(60)) - set(values_of(done)))
            assert sorted(values_of(await read(reader, len(rest)))) == rest
            assert await nothing_more(reader) == []

    # --- again ---

    async def test_only_what_was_there_when_the_partition_came_may_have_been_polled_before(self, house: Any) -> None:
        await house.publisher.append(records(range(5)))
        async with reading(house) as reader:
            assert [record.again for record in await read(reader, 5)] == [True] * 5
            await house.publisher.append(records(range(5, 10)))
            assert [record.again for record in await read(reader, 5)] == [False] * 5

    async def test_rejoining_begins_anew_at_the_group_s_positions(self, house: Any) -> None:
        async with reading(house) as reader:
            await house.publisher.append(records(range(10)))
            polled = await read(reader, 10)
            await reader.commit(behind(polled[:4]))
            await house.publisher.append(records(range(10, 20)))
            await reader.rejoin()
            polled = await read(reader, 16)
            assert values_of(polled) == list(range(4, 20))
            assert all(record.again for record in polled)
            await house.publisher.append(records([20]))
            assert [(int(r.value), r.again) for r in await read(reader, 1)] == [(20, False)]
            await reader.commit(behind(polled))
            await self._lag_is(house, 1)

    async def test_rejoining_twice_or_with_nothing_polled_is_lawful(self, house: Any) -> None:
        async with reading(house) as reader:
            await reader.rejoin()
            await reader.rejoin()
            await house.publisher.append(records(range(3)))
            assert values_of(await read(reader, 3)) == [0, 1, 2]

    # --- pause and resume ---

    async def test_a_paused_partition_is_silent_until_it_is_resumed_and_then_goes_on_where_it_was(
        self, house: Any
    ) -> None:
        await house.publisher.append(records(range(200), keys=200))
        async with reading(house) as reader:
            polled = await read(reader, 1, limit=1)
            await reader.pause([polled[0].partition])
            others = set(range(self.partitions)) - {polled[0].partition}
            polled += await read_until(reader, lambda come: others <= {record.partition for record in come})
            polled += await nothing_more(reader)
            assert all(record.partition != polled[0].partition for record in polled[1:])
            await house.publisher.append(records(range(200, 400), keys=200))
            polled += await nothing_more(reader)
            assert all(record.partition != polled[0].partition for record in polled[1:])
            await reader.resume([polled[0].partition])
            polled += await read(reader, 400 - len(polled))
            assert sorted(values_of(polled)) == list(range(400))
            offsets = [record.offset for record in polled if record.partition == polled[0].partition]
            assert offsets == sorted(offsets)

    async def test_resuming_what_was_not_paused_is_lawful(self, house: Any) -> None:
        async with reading(house) as reader:
            await reader.resume(range(self.partitions))
            await house.publisher.append(records(range(3)))
            assert values_of(await read(reader, 3)) == [0, 1, 2]

    async def test_a_pause_outlives_a_rejoining(self, house: Any) -> None:
        await house.publisher.append(records(range(10)))
        async with reading(house) as reader:
            (first,) = await read(reader, 1, limit=1)
            await reader.pause([first.partition])
            await reader.rejoin()
            assert await nothing_more(reader) == []
            await reader.resume([first.partition])
            assert values_of(await read(reader, 10)) == list(range(10))

    # --- lag ---

    async def test_the_lag_is_what_is_not_committed(self, house: Any) -> None:
        await self._lag_is(house, 0)
        await house.publisher.append(records(range(10), keys=10) + records(range(5), PUSH))
        await self._lag_is(house, 10)
        await self._lag_is(house, 5, PUSH)
        async with reading(house) as reader:
            polled = await read(reader, 10)
            await self._lag_is(house, 10)
            await reader.commit(behind(polled))
            await self._lag_is(house, 0)
        lags = [lag for lag in await house.log.lags() if lag.topic == NORMAL]
        assert {lag.partition for lag in lags} == set(range(self.partitions))
        assert {lag.group for lag in lags} == {GROUP_OF[NORMAL]}

    async def test_what_is_not_finished_is_read_through_without_being_moved(self, house: Any) -> None:
        assert await left(house, NORMAL, PUSH) == []
        await house.publisher.append(records(range(1_200), keys=10) + records(range(2_000, 2_005), PUSH))
        await self._lag_is(house, 1_200)
        await self._lag_is(house, 5, PUSH)
        for _ in range(2):
            assert await left(house, NORMAL, PUSH) == [*range(1_200), *range(2_000, 2_005)]
        async with reading(house) as reader:
            await reader.commit(behind(await read(reader, 1_200)))
            await self._lag_is(house, 0)
        assert await left(house, NORMAL, PUSH) == list(range(2_000, 2_005))

    async def _lag_is(self, house: Any, expected: int, topic: str = NORMAL) -> None:
        async def holds() -> bool:
            found: int = sum(lag.lag for lag in await house.log.lags() if lag.topic == topic)
            return found == expected

        await eventually(holds)

    # --- the end ---

    async def test_a_reader_can_be_stopped_twice_and_without_a_start(self, house: Any) -> None:
        reader = house.log.reader(NORMAL)
        await reader.stop()
        async with reading(house) as reader:
            await reader.stop()

    async def test_what_is_trimmed_was_finished_by_its_group(self, house: Any) -> None:
        await house.publisher.append(records(range(10)))
        async with reading(house) as reader:
            await reader.commit(behind((await read(reader, 10))[:4]))
        assert await house.log.trim(100) in (0, 4)
        house = await house.reopen()
        async with reading(house) as reader:
            assert values_of(await read(reader, 6)) == list(range(4, 10))


class SharedLogSuite:
    """The conformance suite of logs whose groups have several readers at a time."""

    async def test_the_readers_of_a_group_share_its_records(self, house: Any) -> None:
        async with reading(house) as one, reading(house) as other:
            await self._settled(house, [one, other])
            await house.publisher.append(records(range(1_000, 1_200), keys=50))
            polled = await read_all([one, other], range(1_000, 1_200))
            assert all(polled)
            assert sorted(values_of(polled[0] + polled[1])) == list(range(1_000, 1_200))
            assert not any(record.again for part in polled for record in part)

    async def test_the_partitions_of_a_stopped_reader_go_to_the_others_at_once(self, house: Any) -> None:
        async with reading(house) as stays:
            async with reading(house) as goes:
                await self._settled(house, [stays, goes])
                await house.publisher.append(records(range(1_000, 1_100), keys=50))
                polled = await read_all([stays, goes], range(1_000, 1_100))
            lost = values_of(polled[1])
            again = await read(stays, len(lost), within_s=_AT_ONCE_S)
            assert sorted(set(values_of(again))) == sorted(lost)
            assert all(record.again for record in again)

    async def test_what_a_stopped_reader_had_committed_does_not_come_to_the_others(self, house: Any) -> None:
        async with reading(house) as stays:
            async with reading(house) as goes:
                await self._settled(house, [stays, goes])
                await house.publisher.append(records(range(1_000, 1_100), keys=50))
                polled = await read_all([stays, goes], range(1_000, 1_100))
                await goes.commit(behind(polled[1]))
            await house.publisher.append(records(range(1_100, 1_200), keys=50))
            assert sorted(values_of(await read(stays, 100))) == list(range(1_100, 1_200))

    async def test_a_position_in_a_partition_that_has_left_is_passed_over(self, house: Any) -> None:
        async with reading(house) as old:
            await house.publisher.append(records(range(200), keys=50))
            polled = await read(old, 200)
            async with reading(house) as new:
                taken = await read(new, 1)
                taken += await nothing_more(new)
                await old.commit(behind(polled))
                await nothing_more(old)
            moved = {record.partition for record in taken}
            due = sorted(values_of(record for record in polled if record.partition in moved))
            again = await read_until(old, lambda come: set(due) <= set(values_of(come)))
            assert sorted(values_of(record for record in again if record.partition in moved)) == due

    async def test_readers_that_come_and_go_lose_nothing(self, house: Any) -> None:
        seen: set[int] = set()

        async def work(reader: Reader, until: asyncio.Event) -> None:
            while not until.is_set():
                polled = await reader.poll(40)
                seen.update(values_of(polled))
                await reader.commit(behind(polled))
                await reader.wait(_STEP_S)

        async def visit(count: int) -> None:
            for _ in range(count):
                async with reading(house) as reader:
                    leaving = asyncio.Event()
                    working = asyncio.create_task(work(reader, leaving))
                    await nothing_happens()
                    leaving.set()
                    await working

        async with reading(house) as steady:
            done = asyncio.Event()
            working = asyncio.create_task(work(steady, done))
            visiting = [asyncio.create_task(visit(3)) for _ in range(2)]
            for start in range(0, 4_000, 100):
                await house.publisher.append(records(range(start, start + 100), keys=50))
            await asyncio.gather(*visiting)

            async def all_seen() -> bool:
                return seen >= set(range(4_000))

            await eventually(all_seen)
            done.set()
            await working

    async def _settled(self, house: Any, readers: Sequence[Reader]) -> None:
        """Return when all readers have partitions, and everything that was appended is committed."""
        for start in range(0, 5_000, 50):
            await house.publisher.append(records(range(start, start + 50), keys=50))
            polled = await read_all(readers, range(start, start + 50))
            for reader, part in zip(readers, polled, strict=True):
                await reader.commit(behind(part))
            if all(polled) and sum(map(len, polled)) == 50:
                return
            await nothing_happens()
        pytest.fail("the readers have not come to share the partitions")


async def nothing_happens() -> None:
    """Let what is under way come to rest; nothing depends on how long it takes."""
    await asyncio.sleep(4 * _STEP_S)  # noqa: TID251  # time is what is needed
