"""How far the groups are behind: each cluster is asked for the ends of all its partitions, and each group once."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from bellhouse.adapters.log.kafka.config import (
    REQUEST_TIMEOUT_S,
    Clusters,
    KafkaConfig,
    group_name,
    observing,
    topic_name,
)
from bellhouse.adapters.log.kafka.notes import MOVING, Notes, cause_of
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import GROUP_OF, TOPICS, Lag, LogUnavailable

_FRESH_S: Final = 1.0
_ASK_AGAIN_S: Final = 0.2
_PATIENCE_S: Final = 10.0

_Place = tuple[str, int]
"""A topic's name on its cluster, and a partition."""


class Behind(msgspec.Struct, frozen=True):
    """How far a group is behind on a partition, and where it goes on."""

    config: KafkaConfig
    topic: str
    name: str
    """The topic's on its cluster."""
    partition: int
    offset: int
    """Of the first record that is not finished."""
    lag: int


class Lags:
    """Reads the lags, and answers what was read within the last second without asking again."""

    def __init__(self, clusters: Clusters, notes: Mapping[KafkaConfig, Notes], clock: Clock) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._read: Sequence[Behind] = ()
        self._read_at = float("-inf")
        self._observers = [
            _Observer(config, notes[config], [topic for topic in TOPICS if clusters.of(topic) == config])
            for config in clusters.each()
        ]

    async def read(self) -> Sequence[Lag]:
        """Of every topic's group, by partition. Raises LogUnavailable."""
        return [Lag(at.topic, at.partition, GROUP_OF[at.topic], at.lag) for at in await self._fresh()]

    async def behind(self) -> Sequence[Behind]:
        """The partitions in which there is something unfinished. Raises LogUnavailable."""
        return [at for at in await self._fresh() if at.lag]

    async def probe(self) -> None:
        """Raise LogUnavailable unless every cluster answers."""
        await asyncio.gather(*(asyncio.to_thread(observer.probe) for observer in self._observers))

    async def _fresh(self) -> Sequence[Behind]:
        async with self._lock:
            if self._clock.monotonic() - self._read_at >= _FRESH_S:
                self._read = await self._ask_patiently()
                self._read_at = self._clock.monotonic()
            return self._read

    async def stop(self) -> None:
        """Close the connections. Calling it twice is lawful."""
        async with self._lock:
            for observer in self._observers:
                await asyncio.to_thread(observer.close)

    async def _ask_patiently(self) -> list[Behind]:
        until = self._clock.monotonic() + _PATIENCE_S
        while True:
            try:
                answers = await asyncio.gather(*(asyncio.to_thread(observer.behind) for observer in self._observers))
            except LogUnavailable as failure:
                if not _moving(failure.__cause__) or self._clock.monotonic() > until:
                    raise
            else:
                return [at for answer in answers for at in answer]
            await self._clock.sleep(_ASK_AGAIN_S)


class _Observer:
    """Asks one cluster, with a consumer for each group that never joins it.

    An AdminClient would ask all groups through one connection, but librdkafka (2.16) kills the process when a group's
    coordinator has just moved and an AdminClient asks for its positions.
    """

    def __init__(self, config: KafkaConfig, notes: Notes, topics: Sequence[str]) -> None:
        self._config = config
        self._notes = notes
        self._names = {topic: topic_name(config, topic) for topic in topics}
        self._making = Lock()
        self._consumers: dict[str, Consumer] = {}

    def behind(self) -> list[Behind]:
        """Every partition of this cluster's topics. Blocks. Raises LogUnavailable."""
        with self._telling():
            return self._ask() if self._names else []

    def probe(self) -> None:
        """Blocks. Raises LogUnavailable unless the cluster answers."""
        with self._telling():
            for topic in list(self._names)[:1]:
                self._of_group(topic).list_topics(self._names[topic], timeout=REQUEST_TIMEOUT_S)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        failure = None
        try:
            yield
        except KafkaException as error:
            failure = error
        for consumer in list(self._consumers.values()):
            consumer.poll(0)  # has it tell what it has to say, of the reasons too
        if failure is not None:
            raise self._notes.unavailable(failure) from failure

    def close(self) -> None:
        while self._consumers:
            self._consumers.popitem()[1].close()

    def _ask(self) -> list[Behind]:
        groups = {topic: self._of_group(topic) for topic in self._names}
        any_consumer = next(iter(groups.values()))
        known = any_consumer.list_topics(timeout=REQUEST_TIMEOUT_S).topics
        places = {t: [(name, p) for p in known[name].partitions] for t, name in self._names.items() if name in known}
        ends = _offsets(any_consumer, (place for of_topic in places.values() for place in of_topic), OFFSET_END)
        positions: dict[_Place, int] = {}
        for topic, of_topic in places.items():
            asked = [TopicPartition(*place) for place in of_topic]
            positions |= _known(groups[topic].committed(asked, REQUEST_TIMEOUT_S))
        # What was never committed is read from the oldest record on.
        positions |= _offsets(any_consumer, ends.keys() - positions.keys(), OFFSET_BEGINNING)
        return [
            Behind(self._config, topic, *place, positions[place], max(0, ends[place] - positions[place]))
            for topic, of_topic in places.items()
            for place in of_topic
        ]

    def _of_group(self, topic: str) -> Consumer:
        group = group_name(self._config, topic)
        with self._making:
            if group not in self._consumers:
                settings = observing(self._config, topic)
                self._consumers[group] = Consumer(settings, error_cb=self._notes.error, logger=self._notes)
            return self._consumers[group]


def _offsets(consumer: Consumer, places: Iterable[_Place], which: int) -> dict[_Place, int]:
    asked = [TopicPartition(name, partition, which) for name, partition in places]
    return _known(consumer.offsets_for_times(asked, REQUEST_TIMEOUT_S)) if asked else {}


def _known(answers: Sequence[TopicPartition]) -> dict[_Place, int]:
    for answer in answers:
        if answer.error is not None:
            raise KafkaException(answer.error)
    return {(answer.topic, answer.partition): answer.offset for answer in answers if answer.offset >= 0}


def _moving(cause: BaseException | None) -> bool:
    return isinstance(cause, KafkaException) and cause_of(cause).code() in MOVING
