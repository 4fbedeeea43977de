"""The first unfinished record of each partition: looked at by a consumer that belongs to no group."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from bellhouse.adapters.log.kafka.config import KafkaConfig, connection
from bellhouse.adapters.log.kafka.lags import CLOSING_S, Behind
from bellhouse.adapters.log.kafka.notes import Notes
from bellhouse.ports.clock import Clock

_PATIENCE_S: Final = 3.0
"""For all partitions of a cluster together; what has not come by then is left out."""
_POLL_S: Final = 0.1
_FETCH_BYTES: Final = 65_536
"""One record is wanted of each partition, and not what lies behind it."""


class Oldest:
    """Reads the records; its consumers are kept from one time to the next."""

    def __init__(self, notes: Mapping[KafkaConfig, Notes], clock: Clock) -> None:
        self._notes = notes
        self._clock = clock
        self._consumers: dict[KafkaConfig, Consumer] = {}
        self._lock = asyncio.Lock()
        self._inside = Lock()
        """Who has it may use the consumers: the thread of a reading that was cancelled goes on for a while."""

    async def read(self, behind: Sequence[Behind]) -> Mapping[str, Sequence[bytes]]:
        """The records by topic. Raises LogUnavailable."""
        by_cluster: dict[KafkaConfig, list[Behind]] = defaultdict(list)
        for place in behind:
            by_cluster[place.config].append(place)
        found: dict[str, list[bytes]] = defaultdict(list)
        async with self._lock:
            for config, places in by_cluster.items():
                for topic, value in await asyncio.to_thread(self._look, config, places):
                    found[topic].append(value)
        return found

    async def stop(self) -> None:
        """Close the consumers. Calling it twice is lawful."""
        if self._consumers:
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if not self._inside.acquire(timeout=CLOSING_S):
            return  # left as they are: to close one under a thread can bring the process down
        try:
            while self._consumers:
                self._consumers.popitem()[1].close()
        finally:
            self._inside.release()

    def _look(self, config: KafkaConfig, places: Sequence[Behind]) -> list[tuple[str, bytes]]:
        with self._inside:
            return self._read(config, places)

    def _read(self, config: KafkaConfig, places: Sequence[Behind]) -> list[tuple[str, bytes]]:
        topics = {(place.name, place.partition): place.topic for place in places}
        found: list[tuple[str, bytes]] = []
        try:
            consumer = self._consumer(config)
            consumer.assign([TopicPartition(place.name, place.partition, place.offset) for place in places])
            until = self._clock.monotonic() + _PATIENCE_S
            while topics and self._clock.monotonic() < until:
                message = consumer.poll(_POLL_S)
                if message is None or message.error() is not None:
                    continue
                place = (message.topic() or "", message.partition() or 0)
                topic = topics.pop(place, None)
                if topic is not None:
                    found.append((topic, message.value() or b""))
                    consumer.pause([TopicPartition(*place)])
            if topics:
                # It may have lost its cluster for good (see `reach`): another is made the next time.
                self._consumers.pop(config).close()
            else:
                # What was looked at is paused, and would stay so the next time.
                consumer.resume(consumer.assignment())
                consumer.unassign()
        except KafkaException as error:
            raise self._notes[config].unavailable(error) from error
        return found

    def _consumer(self, config: KafkaConfig) -> Consumer:
        if config not in self._consumers:
            self._consumers[config] = Consumer(
                {
                    **connection(config),
                    "group.id": f"{config.topic_prefix}bellhouse-oldest",
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "fetch.message.max.bytes": _FETCH_BYTES,
                    "queued.min.messages": 1,
                },
                logger=self._notes[config],
            )
        return self._consumers[config]
