"""What the groups have not finished: read through once, by a consumer that belongs to no group."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bellhouse.adapters.log.kafka.config import KafkaConfig, connection
from bellhouse.adapters.log.kafka.lags import Behind
from bellhouse.adapters.log.kafka.notes import Notes
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import LogUnavailable

_AT_ONCE: Final = 500
_END: Final = KafkaError._PARTITION_EOF
_POLL_S: Final = 0.5
_PATIENCE_S: Final = 10.0
"""How long nothing may come while something is wanted."""


async def unfinished(
    config: KafkaConfig, notes: Notes, clock: Clock, places: Sequence[Behind]
) -> AsyncIterator[tuple[str, Sequence[bytes]]]:
    """The records of these places of one cluster in batches, each with its topic. Raises LogUnavailable."""
    reading = _Reading(config, notes, places)
    try:
        heard = clock.monotonic()
        while reading.left:
            batches = await asyncio.to_thread(reading.some)
            for topic, values in batches.items():
                yield topic, values
            if batches:
                heard = clock.monotonic()
            elif clock.monotonic() - heard > _PATIENCE_S:
                raise LogUnavailable("timeout", "Kafka does not say what waits in it; try again")
    finally:
        await asyncio.to_thread(reading.close)


class _Reading:
    """Used by one thread at a time."""

    def __init__(self, config: KafkaConfig, notes: Notes, places: Sequence[Behind]) -> None:
        self._notes = notes
        self.left = {(place.name, place.partition): place.offset + place.lag - 1 for place in places}
        """The last offset that is wanted of each place that is not through."""
        self._topics = {(place.name, place.partition): place.topic for place in places}
        self._assigned = [TopicPartition(place.name, place.partition, place.offset) for place in places]
        self._settings = {
            **connection(config),
            "group.id": f"{config.topic_prefix}bellhouse-unfinished",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
        self._consumer: Consumer | None = None

    def some(self) -> dict[str, list[bytes]]:
        """The next records by topic; empty where none have come in time."""
        try:
            if self._consumer is None:
                self._consumer = Consumer(self._settings, logger=self._notes)
                self._consumer.assign(self._assigned)
            messages = self._consumer.consume(_AT_ONCE, _POLL_S)
        except KafkaException as error:
            raise self._notes.unavailable(error) from error
        found: dict[str, list[bytes]] = {}
        for message in messages:
            place = (message.topic() or "", message.partition() or 0)
            if place not in self.left:
                continue
            fault = message.error()
            if fault is not None:
                if fault.code() == _END:
                    del self.left[place]
                continue
            offset = message.offset() or 0
            if offset <= self.left[place]:
                found.setdefault(self._topics[place], []).append(message.value() or b"")
            if offset >= self.left[place]:
                del self.left[place]
        return found

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
