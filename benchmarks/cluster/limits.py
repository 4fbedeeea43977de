"""What the engines do without Bellhouse: the rows that it wrote copied once more, its records produced and consumed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # public, but not marked so

from bellhouse.ports.log import deliveries_topic, notifications_topic
from benchmarks.cluster.engines import Engines, connect
from benchmarks.cluster.stand import PARTITIONS, Place

_BATCH: Final = 1_000
_TABLES: Final = ("notifications", "idempotency_keys", "decisions", "delivery_events")
_RECORDS_OF: Final = (notifications_topic("normal"), deliveries_topic("push", "normal"))
_PATIENCE_S: Final = 60.0


@dataclass(frozen=True)
class Bare:
    """Per notification: CPU µs of the client alone and of the engine, and bytes of WAL or of records."""

    client_us: float
    engine_us: float
    bytes: float


async def bare_copy(here: Place, sample: int) -> Bare:
    """Copy the very rows of the last `sample` notifications into empty tables of the same shape: one transaction a
    thousand, `copy_records_to_table`, and nothing else."""
    database = await connect(here.url)
    try:
        rows = {table: await _rows(database, table, sample) for table in _TABLES}
        columns = {table: list(each[0].keys()) for table, each in rows.items()}
        tuples = {table: [tuple(row) for row in each] for table, each in rows.items()}
        await database.execute("DROP SCHEMA IF EXISTS bare CASCADE; CREATE SCHEMA bare")
        for table in _TABLES:
            await database.execute(f"CREATE TABLE bare.{table} (LIKE public.{table} INCLUDING ALL)")
        count = len(tuples["notifications"])
        before = await database.fetchval("SELECT pg_current_wal_lsn()")
        began, engine = time.process_time(), here.engines.cpu_s()["PostgreSQL"]
        for start in range(0, max(len(each) for each in tuples.values()), _BATCH):
            async with database.transaction():
                for table in _TABLES:
                    part = tuples[table][start : start + _BATCH]
                    await database.copy_records_to_table(
                        table, schema_name="bare", columns=columns[table], records=part
                    )
        client, engine = time.process_time() - began, here.engines.cpu_s()["PostgreSQL"] - engine
        wal = await database.fetchval("SELECT (pg_current_wal_lsn() - $1)::float8", before)
        await database.execute("DROP SCHEMA bare CASCADE")
    finally:
        await database.close()
    return Bare(1e6 * client / count, 1e6 * engine / count, wal / count)


async def _rows(database: asyncpg.Connection, table: str, sample: int) -> list[asyncpg.Record]:
    first = await database.fetchval(f"SELECT id FROM notifications ORDER BY id DESC LIMIT 1 OFFSET {sample - 1}")
    rows: list[asyncpg.Record] = await database.fetch(f"SELECT * FROM {table} WHERE id >= $1 ORDER BY id", first)
    return rows


def bare_log(here: Place, sample: int) -> Bare:
    """Produce and consume the very records of `sample` notifications again: an idempotent producer, one consumer."""
    records = [record for topic in _RECORDS_OF for record in _records(here, topic, sample)]
    name = f"bare-{here.name}"
    admin = AdminClient({"bootstrap.servers": here.engines.kafka.brokers})
    for created in admin.create_topics([NewTopic(name, PARTITIONS, 1)]).values():
        created.result()
    began, engine = time.process_time(), here.engines.cpu_s()["Kafka"]
    _produce(here.engines, name, records)
    _consume(here.engines, name, len(records))
    client, engine = time.process_time() - began, here.engines.cpu_s()["Kafka"] - engine
    for removed in admin.delete_topics([name]).values():
        removed.result()
    size = sum(len(key) + len(value) for key, value in records)
    return Bare(1e6 * client / sample, 1e6 * engine / sample, size / sample)


def _records(here: Place, topic: str, count: int) -> list[tuple[bytes, bytes]]:
    messages = _read(here.engines, f"{here.name}.{topic}", count)
    return [(message.key() or b"", message.value() or b"") for message in messages]


def _consume(engines: Engines, topic: str, count: int) -> None:
    _read(engines, topic, count)


def _read(engines: Engines, topic: str, count: int) -> list[Message]:
    """The first `count` records of a topic. Raises TimeoutError where there are fewer."""
    consumer = Consumer({"bootstrap.servers": engines.kafka.brokers, "group.id": "bare", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    found: list[Message] = []
    deadline = time.monotonic() + _PATIENCE_S
    while len(found) < count:
        found += consumer.consume(500, 0.1)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic} has {len(found)} records, fewer than {count}")
    consumer.close()
    return found[:count]


def _produce(engines: Engines, topic: str, records: Sequence[tuple[bytes, bytes]]) -> None:
    producer = Producer({"bootstrap.servers": engines.kafka.brokers, "enable.idempotence": True, "linger.ms": 5})
    failed: list[Any] = []
    for number, (key, value) in enumerate(records):
        producer.produce(topic, value, key, on_delivery=lambda error, _: failed.append(error) if error else None)
        if not number % 1_000:
            producer.poll(0)
    producer.flush()
    if failed:
        raise RuntimeError(f"{len(failed)} records could not be produced: {failed[0]}")
