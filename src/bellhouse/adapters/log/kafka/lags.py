"""How far the groups are behind: each cluster is asked for all its partitions at once, and for each group once."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # public, but not marked so

from bellhouse.adapters.log.kafka.admin import asking, open_admin
from bellhouse.adapters.log.kafka.config import REQUEST_TIMEOUT_S, Clusters, KafkaConfig, topic_name
from bellhouse.adapters.log.kafka.notes import Notes, cause_of
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import GROUP_OF, TOPICS, Lag, LogUnavailable

_FRESH_S: Final = 1.0
_ASK_AGAIN_S: Final = 0.2
_PATIENCE_S: Final = 3.0
_PASSING: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
"""Answers of a cluster where something has just moved or been created."""

_Place = tuple[str, int]
"""A topic's name on its cluster, and a partition."""


class Lags:
    """Reads the lags, and answers what was read within the last second without asking again."""

    def __init__(self, clusters: Clusters, notes: Mapping[KafkaConfig, Notes], clock: Clock) -> None:
        self._clusters = clusters
        self._notes = notes
        self._clock = clock
        self._admins: dict[KafkaConfig, AdminClient] = {}
        self._lock = asyncio.Lock()
        self._read: Sequence[Lag] = ()
        self._read_at = float("-inf")

    async def read(self) -> Sequence[Lag]:
        async with self._lock:
            if self._clock.monotonic() - self._read_at >= _FRESH_S:
                self._read = await self._ask_patiently()
                self._read_at = self._clock.monotonic()
            return self._read

    async def _ask_patiently(self) -> list[Lag]:
        until = self._clock.monotonic() + _PATIENCE_S
        while True:
            try:
                return await asyncio.to_thread(self._ask)
            except LogUnavailable as failure:
                if not _passing(failure.__cause__) or self._clock.monotonic() > until:
                    raise
            await self._clock.sleep(_ASK_AGAIN_S)

    def _ask(self) -> list[Lag]:
        lags: list[Lag] = []
        for config in self._clusters.each():
            topics = [topic for topic in TOPICS if self._clusters.of(topic) == config]
            admin = self._admin(config)
            with asking(admin, self._notes[config]):
                lags += _lags(admin, config, topics)
        return lags

    def _admin(self, config: KafkaConfig) -> AdminClient:
        if config not in self._admins:
            self._admins[config] = open_admin(config, self._notes[config])
        return self._admins[config]


def _passing(cause: BaseException | None) -> bool:
    return isinstance(cause, KafkaException) and cause_of(cause).code() in _PASSING


def _lags(admin: AdminClient, config: KafkaConfig, topics: Sequence[str]) -> list[Lag]:
    names = {topic: topic_name(config, topic) for topic in topics}
    known = admin.list_topics(timeout=REQUEST_TIMEOUT_S).topics
    places = {name: [(name, p) for p in known[name].partitions] for name in names.values() if name in known}
    ends = _ends(admin, [place for listed in places.values() for place in listed], OffsetSpec.latest())  # type: ignore[no-untyped-call]  # its types are missing
    positions = _positions(admin, config, names, places)
    unread = [place for place in ends if positions.get(place, -1) < 0]
    positions |= _ends(admin, unread, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # its types are missing
    return [
        Lag(topic, place[1], GROUP_OF[topic], max(0, ends[place] - positions[place]))
        for topic, name in names.items()
        for place in places.get(name, ())
    ]


def _ends(admin: AdminClient, places: Sequence[_Place], spec: OffsetSpec) -> dict[_Place, int]:
    if not places:
        return {}
    asked = {TopicPartition(*place): spec for place in places}
    answers: dict[TopicPartition, Future[Any]] = admin.list_offsets(asked, request_timeout=REQUEST_TIMEOUT_S)
    return {(at.topic, at.partition): answer.result().offset for at, answer in answers.items()}


def _positions(
    admin: AdminClient, config: KafkaConfig, names: Mapping[str, str], places: Mapping[str, Sequence[_Place]]
) -> dict[_Place, int]:
    by_group: dict[str, list[TopicPartition]] = {}
    for topic, name in names.items():
        of_group = by_group.setdefault(config.topic_prefix + GROUP_OF[topic], [])
        of_group += [TopicPartition(*place) for place in places.get(name, ())]
    answers = [
        admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, partitions)], request_timeout=REQUEST_TIMEOUT_S
        )[group]
        for group, partitions in by_group.items()
        if partitions
    ]
    return {(at.topic, at.partition): at.offset for answer in answers for at in answer.result().topic_partitions or ()}
