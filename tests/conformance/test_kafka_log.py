"""The log on Kafka keeps the port's promises."""

from collections.abc import AsyncIterator

import pytest
from tests.kafka_house import PARTITIONS, KafkaHouse, open_house

from bellhouse.engines.kafka import Kafka
from bellhouse.testing.log_suite import LogSuite, SharedLogSuite


class TestKafkaLog(LogSuite, SharedLogSuite):
    partitions = PARTITIONS

    @pytest.fixture
    async def house(self, kafka: Kafka, topic_prefix: str) -> AsyncIterator[KafkaHouse]:
        async with open_house(kafka, topic_prefix=topic_prefix) as house:
            yield house
