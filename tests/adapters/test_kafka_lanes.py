"""A priority can have a Kafka of its own, which knows nothing of the others' troubles."""

import asyncio

import pytest
from tests.kafka_house import CLOCK, KafkaHouse, config_of

from bellhouse.adapters.log.kafka import create_topics
from bellhouse.app.roles import Play
from bellhouse.domain.words import CHANNELS
from bellhouse.engines.kafka import Kafka
from bellhouse.ports.log import PRIORITY_OF, TOPICS, LogUnavailable, Record, dead_letters_topic
from bellhouse.testing.log_suite import NORMAL, PUSH, behind, read, reading, records, values_of


async def test_the_critical_lane_has_its_own_cluster_and_outlives_the_other(
    kafka: Kafka, topic_prefix: str, mortal_kafka: Kafka
) -> None:
    own = config_of(kafka, topic_prefix=topic_prefix)
    house = KafkaHouse(config_of(mortal_kafka), {"critical": own})
    feed = dead_letters_topic(CHANNELS[0])
    await create_topics(own, CLOCK, house.logbook, [PUSH])
    await create_topics(house.config, CLOCK, house.logbook, [NORMAL, feed])
    await house.publisher.append(records(range(10), PUSH) + records(range(20), NORMAL) + [Record(feed, b"0")])
    assert await lags_by_topic(house) == {PUSH: 10, NORMAL: 20}
    async with reading(house, PUSH) as critical:
        assert values_of(await read(critical, 10)) == list(range(10))
        await asyncio.to_thread(mortal_kafka.kill)
        await house.publisher.append(records(range(10, 20), PUSH))
        polled = await read(critical, 10)
        assert values_of(polled) == list(range(10, 20))
        await critical.commit(behind(polled, PUSH))
        with pytest.raises(LogUnavailable, match=mortal_kafka.brokers):
            await house.publisher.append(records([20], PUSH) + records([20], NORMAL))
        assert values_of(await read(critical, 1)) == [20]
        assert await lags_by_topic(house) == {PUSH: 1, NORMAL: 20}
        await house.log.probe([PUSH])
        with pytest.raises(LogUnavailable, match=mortal_kafka.brokers):
            await house.log.probe([PUSH, NORMAL])
    await house.close()


async def lags_by_topic(house: KafkaHouse) -> dict[str, int]:
    lags = await house.log.lags()
    return {topic: sum(lag.lag for lag in lags if lag.topic == topic) for topic in (PUSH, NORMAL)}


def test_a_process_of_one_priority_asks_after_no_other_s_topics() -> None:
    assert PUSH in Play("worker", priorities=("critical",)).topics
    assert {PRIORITY_OF[topic] for topic in Play("worker", priorities=("critical",)).topics} == {"critical"}
    assert Play("all").topics == TOPICS
