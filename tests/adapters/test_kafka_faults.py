"""The log on Kafka lives through brokers that die, hang and come back, and says what is wrong."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.kafka_house import IMPATIENT_S, KafkaHouse, open_house

from bellhouse.adapters.log.kafka import KafkaConfig
from bellhouse.engines.kafka import Kafka
from bellhouse.ports.log import LogUnavailable, Polled, Reader, Record
from bellhouse.testing.log_suite import (
    NORMAL,
    behind,
    eventually,
    nothing_more,
    read,
    read_all,
    reading,
    records,
    values_of,
)

NOTICED_WITHIN_S = 30.0
BACK_WITHIN_S = 90.0
SESSION_S = 6.0
MANY = 8
"""Readers, and partitions for them."""
CROWD = 20
"""As many that a broker's last answer at its shutdown reaches some of them."""


@pytest.fixture
async def house(mortal_kafka: Kafka) -> AsyncIterator[KafkaHouse]:
    async with open_house(mortal_kafka, [NORMAL]) as house:
        yield house


async def appended(house: KafkaHouse, values: range, keys: int = 50) -> None:
    """Append as who uses the log does: again until it is there."""
    async with asyncio.timeout(BACK_WITHIN_S):
        while True:
            try:
                await house.publisher.append(records(values, keys=keys))
            except LogUnavailable:
                continue
            return


async def test_a_killed_broker_is_noticed_and_after_its_restart_everything_goes_on(
    house: KafkaHouse, mortal_kafka: Kafka
) -> None:
    async with reading(house) as reader:
        await house.publisher.append(records(range(100), keys=50))
        await reader.commit(behind(await read(reader, 100)))
        await asyncio.to_thread(mortal_kafka.kill)
        async with asyncio.timeout(NOTICED_WITHIN_S):
            with pytest.raises(LogUnavailable) as failure:
                await house.publisher.append(records(range(100, 200), keys=50))
        assert failure.value.reason in ("timeout", "unreachable")
        assert mortal_kafka.brokers in failure.value.remedy
        await asyncio.to_thread(mortal_kafka.start)
        await appended(house, range(200, 300))
        seen: set[int] = set()
        async with asyncio.timeout(BACK_WITHIN_S):
            while not seen >= set(range(200, 300)):
                seen.update(values_of(await reader.poll(500)))
                await reader.wait(0.1)
        assert seen <= set(range(300))


async def test_what_was_appended_before_a_kill_is_there_after_it(house: KafkaHouse, mortal_kafka: Kafka) -> None:
    promised = 0
    killing: asyncio.Task[None] | None = None
    with contextlib.suppress(LogUnavailable):
        while True:
            await house.publisher.append(records(range(promised, promised + 100), keys=50))
            promised += 100
            if promised == 1_000:
                killing = asyncio.create_task(asyncio.to_thread(mortal_kafka.kill))
    assert killing is not None
    await killing
    await asyncio.to_thread(mortal_kafka.start)
    async with reading(house) as reader:
        seen: set[int] = set()
        async with asyncio.timeout(BACK_WITHIN_S):
            while not seen >= set(range(promised)):
                seen.update(values_of(await reader.poll(500)))
                await reader.wait(0.1)


async def test_a_broker_that_hangs_is_noticed_and_the_loop_goes_on_meanwhile(
    house: KafkaHouse, mortal_kafka: Kafka
) -> None:
    async with reading(house) as reader:
        await house.publisher.append(records(range(10)))
        await read(reader, 10)
        await asyncio.to_thread(mortal_kafka.pause)
        turns = asyncio.create_task(_longest_turn())
        async with asyncio.timeout(NOTICED_WITHIN_S):
            with pytest.raises(LogUnavailable):
                await house.publisher.append(records([10]))
        assert list(await reader.poll(10)) == []
        turns.cancel()
        assert await turns < 1.0
        await asyncio.to_thread(mortal_kafka.resume)
        await appended(house, range(11, 20))
        seen: list[int] = []
        async with asyncio.timeout(BACK_WITHIN_S):
            while 19 not in seen:
                seen += values_of(await reader.poll(500))
                await reader.wait(0.1)


async def _longest_turn() -> float:
    """Until it is cancelled; the longest time (s) for which the loop did not come round."""
    loop, longest = asyncio.get_running_loop(), 0.0
    try:
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)
    except asyncio.CancelledError:
        return longest


async def test_lags_are_told_while_coordinators_come_and_move(house: KafkaHouse, mortal_kafka: Kafka) -> None:
    assert sum(lag.lag for lag in await house.log.lags()) == 0  # the first of all requests: no group has a coordinator
    await house.publisher.append(records(range(10)))
    await asyncio.to_thread(mortal_kafka.restart)

    async def told() -> bool:
        try:
            return sum(lag.lag for lag in await house.log.lags()) == 10
        except LogUnavailable:
            return False

    await eventually(told, within_s=BACK_WITHIN_S)


async def test_a_reader_can_be_stopped_though_the_broker_is_dead(house: KafkaHouse, mortal_kafka: Kafka) -> None:
    reader = house.log.reader(NORMAL)
    await reader.start()
    await house.publisher.append(records(range(10)))
    await reader.commit(behind(await read(reader, 10)))
    await asyncio.to_thread(mortal_kafka.kill)
    async with asyncio.timeout(BACK_WITHIN_S):
        await reader.stop()


async def test_many_readers_are_stopped_in_the_time_of_one_though_the_broker_is_dead(mortal_kafka: Kafka) -> None:
    async with open_house(mortal_kafka, [NORMAL], partitions=MANY, session_timeout_s=SESSION_S) as house:
        readers = [house.log.reader(NORMAL) for _ in range(MANY)]
        await asyncio.gather(*(reader.start() for reader in readers))
        polled = await _each_has_some(house, readers)
        await asyncio.to_thread(mortal_kafka.kill)
        for reader, part in zip(readers, polled, strict=True):
            await reader.commit(behind(part))
        with _no_thread_free():
            async with asyncio.timeout(SESSION_S + 5.0 + 4.0):
                await asyncio.gather(*(reader.stop() for reader in readers))


async def _read_and_commit(reader: Reader) -> None:
    while True:
        polled = await reader.poll(500)
        if polled:
            await reader.commit(behind(polled))
        await reader.wait(0.1)


@contextlib.contextmanager
def _no_thread_free() -> Iterator[None]:
    """The threads for what blocks are all taken: a process has fewer of them than readers."""
    free = threading.Event()
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    executor.submit(free.wait)
    try:
        yield
    finally:
        free.set()


async def _each_has_some(house: KafkaHouse, readers: list[Reader]) -> list[list[Polled]]:
    """What each reader has polled, once all have partitions."""
    async with asyncio.timeout(BACK_WITHIN_S):
        for start in itertools.count(0, 500):
            await appended(house, range(start, start + 500), keys=500)
            polled = await read_all(readers, range(start, start + 500))
            if all(polled):
                return polled
    raise AssertionError  # not reached: the time runs out


async def test_after_a_broker_has_shut_down_and_come_back_each_reader_reads_and_appending_goes_on(
    mortal_kafka: Kafka,
) -> None:
    config = {"partitions": CROWD, "session_timeout_s": SESSION_S, "request_timeout_s": IMPATIENT_S}
    async with open_house(mortal_kafka, [NORMAL], **config) as house:
        readers = [house.log.reader(NORMAL) for _ in range(CROWD)]
        await asyncio.gather(*(reader.start() for reader in readers))
        await _each_has_some(house, readers)
        at_work = [asyncio.create_task(_read_and_commit(reader)) for reader in readers]
        stopping = asyncio.create_task(asyncio.to_thread(mortal_kafka.stop))
        with contextlib.suppress(LogUnavailable):
            while True:
                await house.publisher.append(records(range(CROWD), keys=CROWD))
        await stopping
        for task in at_work:
            task.cancel()
        await asyncio.to_thread(mortal_kafka.start)
        await _each_has_some(house, readers)
        await asyncio.gather(*(reader.stop() for reader in readers))


async def test_a_stop_commits_what_is_done_and_sends_what_is_on_its_way(house: KafkaHouse) -> None:
    reader = house.log.reader(NORMAL)
    await reader.start()
    await house.publisher.append(records(range(10)))
    await reader.commit(behind(await read(reader, 10)))
    await reader.stop()
    on_its_way = asyncio.create_task(house.publisher.append(records(range(10, 20))))
    await asyncio.sleep(0)
    await house.log.stop()
    await on_its_way
    house = await house.reopen()
    async with reading(house) as reader:
        assert values_of(await read(reader, 10)) == list(range(10, 20))
        assert await nothing_more(reader) == []


async def test_a_broker_that_is_not_there_is_named_by_whoever_needs_it() -> None:
    house = KafkaHouse(KafkaConfig(brokers=("127.0.0.1:1",), request_timeout_s=IMPATIENT_S))
    for use in (house.log.reader(NORMAL).start, house.log.lags, lambda: house.publisher.append(records([1]))):
        async with asyncio.timeout(NOTICED_WITHIN_S):
            with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:1.*kafka\.brokers"):
                await use()
    await house.close()


async def test_what_the_clients_say_comes_into_the_logbook_in_moderation_and_not_to_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    house = KafkaHouse(KafkaConfig(brokers=("127.0.0.1:1",), request_timeout_s=IMPATIENT_S))
    with pytest.raises(LogUnavailable):
        await house.publisher.append(records([1]))
    await house.close()
    messages = [message for _, message, _ in house.logbook.notes]
    assert messages
    assert len(messages) == len(set(messages))
    assert any("Connection refused" in str(fields["error"]) for _, _, fields in house.logbook.notes)
    assert {level for level, _, _ in house.logbook.notes} == {"warning"}
    assert capfd.readouterr() == ("", "")


async def test_a_topic_that_is_missing_is_named_with_the_command_that_creates_it(
    kafka: Kafka, topic_prefix: str
) -> None:
    async with open_house(kafka, [], topic_prefix=topic_prefix) as house:
        with pytest.raises(LogUnavailable, match="bellhouse topics --create"):
            await house.log.reader(NORMAL).start()
        with pytest.raises(LogUnavailable, match="bellhouse topics --create"):
            await house.publisher.append(records([1]))


async def test_a_record_that_is_too_large_is_refused_with_the_setting_to_raise(kafka: Kafka, topic_prefix: str) -> None:
    async with open_house(kafka, [NORMAL], topic_prefix=topic_prefix) as house:
        with pytest.raises(LogUnavailable, match=r"refused.*max\.message\.bytes"):
            await house.publisher.append([Record(NORMAL, b"small"), Record(NORMAL, b"x" * 2_000_000)])
        await house.publisher.append(records([7]))
