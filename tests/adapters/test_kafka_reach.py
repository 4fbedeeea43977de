"""A client that has lost its cluster for good is told from a cluster that is away, and another takes its place."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer
from tests.kafka_house import IMPATIENT_S, KafkaHouse, Notebook, open_house

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.log.kafka import KafkaConfig
from bellhouse.adapters.log.kafka.config import connection, group_name, topic_name
from bellhouse.adapters.log.kafka.notes import Notes
from bellhouse.adapters.log.kafka.reach import Found, Reach
from bellhouse.adapters.log.kafka.reader import KafkaReader
from bellhouse.engines.kafka import Kafka
from bellhouse.ports.log import LogUnavailable
from bellhouse.testing.log_suite import NORMAL, behind, eventually, read, reading, records, values_of

NOBODY = KafkaConfig(brokers=("127.0.0.1:1",))


@pytest.fixture
async def house(kafka: Kafka, topic_prefix: str) -> AsyncIterator[KafkaHouse]:
    async with open_house(kafka, [NORMAL], topic_prefix=topic_prefix, request_timeout_s=IMPATIENT_S) as house:
        yield house


def found(config: KafkaConfig, client: KafkaConfig, topic: str) -> Found:
    """Where the cluster is to a client that was told of another."""
    clock = SystemClock()
    notes = Notes(config, clock, Notebook())
    consumer = Consumer({**connection(client), "group.id": "x"}, logger=notes)
    try:
        return Reach(config, notes, clock).look(consumer, topic)
    finally:
        consumer.close()


async def test_only_a_client_without_an_answer_from_a_cluster_that_answers_has_lost_it(house: KafkaHouse) -> None:
    topic = topic_name(house.config, NORMAL)
    assert await asyncio.to_thread(found, house.config, house.config, topic) == "there"
    assert await asyncio.to_thread(found, house.config, NOBODY, topic) == "lost"
    assert await asyncio.to_thread(found, NOBODY, NOBODY, topic) == "away"


async def test_a_reader_whose_client_has_lost_its_cluster_joins_with_another(house: KafkaHouse) -> None:
    async with reading(house) as reader:
        assert isinstance(reader, KafkaReader)
        await house.publisher.append(records(range(10)))
        await reader.commit(behind(await read(reader, 10)))
        member, client = reader._member, reader._member._consumer
        member._reach = _lost_to(client)
        await reader._done(client.unsubscribe)

        async def replaced() -> bool:
            return member._consumer is not client

        await eventually(replaced)
        await house.publisher.append(records(range(10, 20)))
        assert set(values_of(await read(reader, 10, within_s=20.0))) >= set(range(10, 20))
    assert any("joins its group anew" in message for _, message, _ in house.logbook.notes)


async def test_a_producer_that_has_lost_its_cluster_is_replaced_and_what_failed_can_be_appended(
    mortal_kafka: Kafka,
) -> None:
    async with open_house(mortal_kafka, [NORMAL], request_timeout_s=IMPATIENT_S) as house:
        await house.publisher.append(records(range(10)))
        line = house.publisher._publisher._line(NORMAL)
        line._reach = _lost_to(line._producer)
        await asyncio.to_thread(mortal_kafka.kill)
        with pytest.raises(LogUnavailable):
            await house.publisher.append(records(range(10, 20)))

        async def replaced() -> bool:
            return house.publisher._publisher._line(NORMAL) is not line

        await eventually(replaced)
        await asyncio.to_thread(mortal_kafka.start)
        async with reading(house) as reader:
            await house.publisher.append(records(range(10, 20)))
            assert values_of(await read(reader, 20)) == list(range(20))


async def test_what_asks_about_a_cluster_asks_again_with_another_client(house: KafkaHouse) -> None:
    await house.publisher.append(records(range(10)))
    (observer,) = house.log._lags._observers
    observer._names = {NORMAL: topic_name(house.config, NORMAL)}
    cut_off = Consumer({**connection(NOBODY), "group.id": "x"}, logger=observer._notes)
    observer._consumers = {group_name(house.config, NORMAL): cut_off}
    with pytest.raises(LogUnavailable):
        await house.log.lags()
    assert sum(lag.lag for lag in await house.log.lags()) == 10
    assert len(await house.log.oldest()) == 1


def _lost_to(lost: object) -> Any:
    """What tells of a client that it has lost its cluster."""
    return SimpleNamespace(look=lambda client, _: "lost" if client is lost else "there")
