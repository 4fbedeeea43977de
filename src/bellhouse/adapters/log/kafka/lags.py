"""How far the groups are behind: each cluster is asked for the ends of all its partitions, and each group once."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from threading import Lock
from typing import Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from bellhouse.adapters.log.kafka.config import (
    Clusters,
    KafkaConfig,
    group_name,
    observing,
    topic_name,
)
from bellhouse.adapters.log.kafka.notes import MOVING, Notes, cause_of
from bellhouse.adapters.log.kafka.offsets import Place, by_leader, offsets
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import GROUP_OF, TOPICS, Lag, LogUnavailable

_FRESH_S: Final = 1.0
_ASK_AGAIN_S: Final = 0.2
_PATIENCE_S: Final = 10.0
_KNOWN_S: Final = 3.0
"""How long an answer is waited for where the last one can stand in for it."""
_LEAST_S: Final = 0.2
"""How long each is waited for, though others have used the patience up."""
CLOSING_S: Final = 2.0
"""How long closing waits for a thread that still asks: to close a consumer under it can bring the process down."""


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
    """Reads the lags, and answers what was read within the last second without asking again.

    A cluster, a partition or a group that does not answer keeps what was last known of it: a count that is old tells
    more of how much waits than one without the lane that is in trouble.
    """

    def __init__(self, clusters: Clusters, notes: Mapping[KafkaConfig, Notes], clock: Clock) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._read: Sequence[Behind] = ()
        self._read_at = float("-inf")
        self._probes: dict[_Observer, asyncio.Task[LogUnavailable | None]] = {}
        """The questions of `probe` that are under way."""
        self._observers = [
            _Observer(config, notes[config], [topic for topic in TOPICS if clusters.of(topic) == config], clock)
            for config in clusters.each()
        ]

    async def read(self) -> Sequence[Lag]:
        """Of every topic's group, by partition. Raises LogUnavailable where nothing has ever been known."""
        return [Lag(at.topic, at.partition, GROUP_OF[at.topic], at.lag) for at in await self._fresh()]

    async def behind(self) -> Sequence[Behind]:
        """The partitions in which there is something unfinished. Raises LogUnavailable as `read` does."""
        return [at for at in await self._fresh() if at.lag]

    async def probe(self, topics: Collection[str]) -> None:
        """Raise LogUnavailable unless every cluster of these topics answers."""
        probed = [self._answer_of(observer) for observer in self._observers if observer.has(topics)]
        for failure in await asyncio.gather(*map(asyncio.shield, probed)):
            if failure is not None:
                raise failure

    def _answer_of(self, observer: "_Observer") -> asyncio.Task[LogUnavailable | None]:
        """One thread asks for all who ask meanwhile, also for those who have given up: while a cluster is away each
        waits for long, and what looks names up needs threads too."""
        asking = self._probes.get(observer)
        if asking is None:
            asking = self._probes[observer] = asyncio.create_task(asyncio.to_thread(observer.probe))
            asking.add_done_callback(lambda _: self._probes.pop(observer, None))
        return asking

    async def _fresh(self) -> Sequence[Behind]:
        async with self._lock:
            if self._clock.monotonic() - self._read_at >= _FRESH_S:
                failures = await asyncio.gather(*(self._ask(observer) for observer in self._observers))
                self._read = list(chain.from_iterable(observer.known for observer in self._observers))
                for failure in failures:
                    if failure is not None and not self._read:
                        raise failure
                self._read_at = self._clock.monotonic()
            return self._read

    async def stop(self) -> None:
        """Close the connections. Calling it twice is lawful."""
        async with self._lock:
            await asyncio.gather(*(asyncio.to_thread(observer.close) for observer in self._observers))

    async def _ask(self, observer: "_Observer") -> LogUnavailable | None:
        """Why something was not learnt, after some patience where nothing stands in for it."""
        until = self._clock.monotonic() + _PATIENCE_S
        while True:
            failure = await asyncio.to_thread(observer.ask)
            if failure is None or not observer.lacking or not _moving(failure.__cause__):
                return failure
            if self._clock.monotonic() > until:
                return failure
            await self._clock.sleep(_ASK_AGAIN_S)


class _Observer:
    """Asks one cluster, with a consumer for each group that never joins it.

    An AdminClient would ask all groups through one connection, but librdkafka (2.16) kills the process when a group's
    coordinator has just moved and an AdminClient asks for its positions.
    """

    def __init__(self, config: KafkaConfig, notes: Notes, topics: Sequence[str], clock: Clock) -> None:
        self.lacking = True
        """Whether there may be a partition of which nothing has ever been known."""
        self._config = config
        self._notes = notes
        self._clock = clock
        self._names = {topic: topic_name(config, topic) for topic in topics}
        self._inside = Lock()
        """Who has it may use the consumers."""
        self._consumers: dict[str, Consumer] = {}
        self._unheard: list[Consumer] = []
        self._known: dict[Place, Behind] = {}

    @property
    def known(self) -> Sequence[Behind]:
        """Every partition, as last known."""
        return list(self._known.values())

    def has(self, topics: Collection[str]) -> bool:
        """Whether one of these topics is on this cluster."""
        return not self._names.keys().isdisjoint(topics)

    def ask(self) -> LogUnavailable | None:
        """Learn what the cluster knows now; why it did not tell everything. Blocks."""
        if not self._names:
            return None
        with self._inside:
            down = self._telling(self._ask())
        if down is not None and self._known:
            self._notes.warn("Kafka: not all lags are known, what was last known stands in", str(down))
        return down

    def probe(self) -> LogUnavailable | None:
        """Why the cluster does not answer; None where it does. Blocks."""
        failure = None
        with self._inside:
            try:
                topic = next(iter(self._names))
                with self._hearing(self._of_group(topic)) as anyone:
                    anyone.list_topics(self._names[topic], timeout=self._config.request_timeout_s)
            except KafkaException as error:
                failure = error
            return self._telling(failure)

    def close(self) -> None:
        """Blocks, but not for long: what a thread still uses then is left as it is."""
        if not self._inside.acquire(timeout=CLOSING_S):
            self._notes.warn("Kafka: connections are left behind", "the cluster does not answer")
            return
        try:
            while self._consumers:
                self._consumers.popitem()[1].close()
        finally:
            self._inside.release()

    def _telling(self, failure: KafkaException | None) -> LogUnavailable | None:
        """The failure as others read it, after the consumers have told what they know of the reasons."""
        for consumer in self._consumers.values():
            consumer.poll(0)
        self._consumers = {group: one for group, one in self._consumers.items() if one not in self._unheard}
        while self._unheard:
            self._unheard.pop().close()
        if failure is None:
            return None
        down = self._notes.unavailable(failure)
        down.__cause__ = failure
        return down

    def _ask(self) -> KafkaException | None:
        until = self._clock.monotonic() + self._config.request_timeout_s

        def left_s() -> float:
            left = until - self._clock.monotonic()
            return max(_LEAST_S, left if self.lacking else min(left, _KNOWN_S))

        try:
            with self._hearing(self._of_group(next(iter(self._names)))) as anyone:
                found = anyone.list_topics(timeout=left_s()).topics
            groups = {topic: self._of_group(topic) for topic in self._names}
        except KafkaException as error:
            return error
        there = {topic: name for topic, name in self._names.items() if name in found}
        led, leaderless = by_leader({name: found[name] for name in there.values()})
        ends, silent = offsets(anyone, led, OFFSET_END, left_s)
        positions: dict[Place, int] = {}
        failures = [leaderless, silent]
        for topic, name in there.items():
            asked = [TopicPartition(name, partition) for partition in found[name].partitions]
            try:
                with self._hearing(groups[topic]) as consumer:
                    committed, silent = _committed(consumer, asked, left_s())
            except KafkaException as error:
                committed, silent = {}, error
            positions |= committed
            failures.append(silent)
        # What was never committed is read from the oldest record on.
        never = {place for place, position in positions.items() if position < 0 and place in ends}
        asked_of = {leader: [place for place in places if place in never] for leader, places in led.items()}
        oldest, silent = offsets(anyone, asked_of, OFFSET_BEGINNING, left_s)
        positions |= oldest
        failures.append(silent)
        for topic, name in there.items():
            for partition in found[name].partitions:
                self._learn(topic, (name, partition), positions, ends)
        self.lacking = any((name, p) not in self._known for name in there.values() for p in found[name].partitions)
        return next(filter(None, failures), None)

    @contextmanager
    def _hearing(self, consumer: Consumer) -> Iterator[Consumer]:
        """One that does not get through is not used again: it may have lost its cluster for good (see `reach`)."""
        try:
            yield consumer
        except KafkaException:
            self._unheard.append(consumer)
            raise

    def _learn(self, topic: str, place: Place, positions: Mapping[Place, int], ends: Mapping[Place, int]) -> None:
        position = positions.get(place, -1)
        if place in ends and position >= 0:
            self._known[place] = Behind(self._config, topic, *place, position, max(0, ends[place] - position))

    def _of_group(self, topic: str) -> Consumer:
        group = group_name(self._config, topic)
        if group not in self._consumers:
            settings = observing(self._config, topic)
            self._consumers[group] = Consumer(settings, error_cb=self._notes.error, logger=self._notes)
        return self._consumers[group]


def _committed(
    consumer: Consumer, asked: list[TopicPartition], timeout_s: float
) -> tuple[dict[Place, int], KafkaException | None]:
    """A group's positions, below 0 where it has none, and why some are missing. Raises KafkaException for all."""
    answers = consumer.committed(asked, timeout_s)
    failure = next((KafkaException(answer.error) for answer in answers if answer.error is not None), None)
    return {(at.topic, at.partition): at.offset for at in answers if at.error is None}, failure


def _moving(cause: BaseException | None) -> bool:
    return isinstance(cause, KafkaException) and cause_of(cause).code() in MOVING
