"""What a record costs on Kafka: CPU of the client and of the broker, through the adapter and through bare librdkafka.

    python benchmarks/log.py [--records 200000] [--rounds 3]

It starts a broker of its own. Records of 500 bytes, in batches of 500, four batches under way at a time; positions are
committed for each batch. Each round measures bare and adapter one after the other; the table has the median of the
rounds and the ratio of the two, which holds from machine to machine where the absolutes do not.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import psutil
import uvloop
from confluent_kafka import Consumer, Producer, TopicPartition

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.log.kafka import KafkaConfig, KafkaLog, create_topics
from bellhouse.adapters.log.kafka.config import consuming, producing, topic_name
from bellhouse.engines.kafka import Kafka
from bellhouse.ports.log import Record, ends_of, notifications_topic, positions
from bellhouse.ports.telemetry import NullLogbook

TOPIC = notifications_topic("normal")
BATCH = 500
UNDER_WAY = 4
VALUE = os.urandom(500)
PARTITIONS = 20


class Cost(NamedTuple):
    """Microseconds per record."""

    client: float
    broker: float
    elapsed: float


class Stand:
    """A broker with an empty topic for each measurement, which is made once and read once."""

    def __init__(self, kafka: Kafka, records: int) -> None:
        self.kafka = kafka
        self.records = records

    def config(self, name: str) -> KafkaConfig:
        return KafkaConfig(brokers=(self.kafka.brokers,), topic_prefix=f"{name}.", partitions=PARTITIONS, replication=1)

    async def cost(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Cost:
        """Run it and take what it used."""
        broker = psutil.Process(self.kafka.pid)
        before = time.process_time(), sum(broker.cpu_times()[:2]), time.perf_counter()
        await work()
        after = time.process_time(), sum(broker.cpu_times()[:2]), time.perf_counter()
        return Cost(*((b - a) * 1e6 / self.records for a, b in zip(before, after, strict=True)))


def keys() -> list[int]:
    return list(range(BATCH))


async def bare_produce(stand: Stand, config: KafkaConfig) -> None:
    producer = Producer(producing(config, 5))
    name, given = topic_name(config, TOPIC), [key.to_bytes(8, "big") for key in keys()]
    for number in range(stand.records // BATCH):
        for key in given:
            producer.produce(name, VALUE, key)
        producer.poll(0)
        if number % UNDER_WAY == UNDER_WAY - 1:
            producer.flush()
    producer.flush()


async def adapter_produce(stand: Stand, config: KafkaConfig) -> None:
    log = KafkaLog(config, {}, SystemClock(), NullLogbook())

    async def appender() -> None:
        for _ in range(stand.records // BATCH // UNDER_WAY):
            await log.append([Record(TOPIC, VALUE, key) for key in keys()])

    await asyncio.gather(*(appender() for _ in range(UNDER_WAY)))
    await log.stop()


async def bare_consume(stand: Stand, config: KafkaConfig) -> None:
    consumer = Consumer(consuming(config, TOPIC))
    name = topic_name(config, TOPIC)
    consumer.subscribe([name])
    seen = 0
    while seen < stand.records:
        messages = consumer.consume(BATCH, 0.1)
        ends: dict[int, int] = {}
        for message in messages:
            if message.error() is None and message.value() is not None:
                ends[message.partition() or 0] = message.offset() or 0
        if ends:
            consumer.commit(offsets=[TopicPartition(name, p, offset + 1) for p, offset in ends.items()])
        seen += len(messages)
    consumer.close()


async def adapter_consume(stand: Stand, config: KafkaConfig) -> None:
    reader = KafkaLog(config, {}, SystemClock(), NullLogbook()).reader(TOPIC)
    await reader.start()
    seen = 0
    while seen < stand.records:
        await reader.wait(1.0)
        polled = await reader.poll(BATCH)
        await reader.commit(positions(TOPIC, ends_of(polled)))
        seen += len(polled)
    await reader.stop()


WORKS = {
    ("produce", "bare"): bare_produce,
    ("produce", "adapter"): adapter_produce,
    ("consume", "bare"): bare_consume,
    ("consume", "adapter"): adapter_consume,
}


async def measure(stand: Stand, rounds: int) -> None:
    costs: dict[tuple[str, str], list[Cost]] = {work: [] for work in WORKS}
    for number in range(rounds + 1):  # the first warms the broker's compiler, and does not count
        for (act, kind), work in WORKS.items():
            config = stand.config(f"{kind}{number}")
            await create_topics(config, SystemClock(), NullLogbook(), [TOPIC])
            cost = await stand.cost(lambda work=work, config=config: work(stand, config))
            if number:
                costs[act, kind].append(cost)
    print(f"{'µs per record':16}{'client CPU':>12}{'broker CPU':>12}{'elapsed':>12}")
    medians = {work: Cost(*map(statistics.median, zip(*taken, strict=True))) for work, taken in costs.items()}
    for (act, kind), cost in medians.items():
        print(f"{act + ' ' + kind:16}" + "".join(f"{value:12.2f}" for value in cost))
    for act in ("produce", "consume"):
        print(f"{act}: adapter / bare = {medians[act, 'adapter'].client / medians[act, 'bare'].client:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with Kafka() as kafka:
        uvloop.run(measure(Stand(kafka, arguments.records), arguments.rounds))


if __name__ == "__main__":
    main()
