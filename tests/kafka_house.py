"""A Kafka log for a test: its topics on a broker that is shared, and the log as each of several processes has it."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.log.kafka import KafkaConfig, KafkaLog, create_topics
from bellhouse.domain.words import Priority
from bellhouse.engines.kafka import Kafka
from bellhouse.ports.clock import Clock
from bellhouse.ports.telemetry import LogField, LogLevel, NullLogbook
from bellhouse.testing.log_suite import TOPICS_USED

PARTITIONS = 4
IMPATIENT_S = 3.0
"""How long to wait for a broker of which the test knows that it will not answer."""
CLOCK = SystemClock()


class Notebook(NullLogbook):
    """A logbook that keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[tuple[LogLevel, str, dict[str, LogField]]] = []

    def note(self, level: LogLevel, message: str, **fields: LogField) -> None:
        self.notes.append((level, message, fields))


class KafkaHouse:
    """What the log's suites need, and the notebook in which its clients write."""

    def __init__(self, config: KafkaConfig, lanes: Mapping[Priority, KafkaConfig] | None = None) -> None:
        self.config = config
        self.lanes = lanes or {}
        self.logbook = Notebook()
        self._logs: list[KafkaLog] = []
        self.log = self.publisher = self.beside()

    def beside(self, clock: Clock = CLOCK, **others: Any) -> KafkaLog:
        """The same log, as another process has it; `others` are fields of its KafkaConfig."""
        log = KafkaLog(msgspec.structs.replace(self.config, **others), self.lanes, clock, self.logbook)
        self._logs.append(log)
        return log

    async def reopen(self) -> Self:
        self.log = self.publisher = self.beside()
        return self

    async def close(self) -> None:
        for log in self._logs:
            await log.stop()


def config_of(kafka: Kafka, **others: Any) -> KafkaConfig:
    """How to reach this broker."""
    reached = {"brokers": (kafka.brokers,), "security": kafka.security, "replication": 1, "partitions": PARTITIONS}
    return KafkaConfig(**reached | others)


@asynccontextmanager
async def open_house(kafka: Kafka, topics: Iterable[str] = TOPICS_USED, **others: Any) -> AsyncIterator[KafkaHouse]:
    """A house whose topics are there and empty; `others` are fields of its KafkaConfig."""
    house = KafkaHouse(config_of(kafka, **others))
    reports = await create_topics(house.config, CLOCK, house.logbook, topics)
    assert not any(report.faults for report in reports)
    try:
        yield house
    finally:
        await house.close()
