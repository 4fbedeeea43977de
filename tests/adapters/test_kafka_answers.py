"""What the clients of Kafka make of answers that are missing in part, as no cluster of one broker gives them."""

import asyncio
import threading
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException
from tests.kafka_house import Notebook

from bellhouse.adapters.log.kafka import KafkaConfig
from bellhouse.adapters.log.kafka.assignment import Assignment
from bellhouse.adapters.log.kafka.commits import Commits
from bellhouse.adapters.log.kafka.config import Clusters
from bellhouse.adapters.log.kafka.lags import Behind, Lags
from bellhouse.adapters.log.kafka.marks import Marks
from bellhouse.adapters.log.kafka.notes import Notes
from bellhouse.adapters.log.kafka.oldest import Oldest
from bellhouse.ports.log import LogUnavailable
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.log_suite import NORMAL, eventually

CONFIG = KafkaConfig(brokers=("127.0.0.1:1",))
LEADERLESS = -1


class Cluster:
    """A consumer of a cluster with the topic NORMAL: `leaders` by partition, `positions` of its group, 100 records."""

    def __init__(self, leaders: dict[int, int], positions: dict[int, int] | None = None) -> None:
        self.leaders = leaders
        self.positions = positions or {}
        self.unread: set[int] = set()
        """The partitions whose positions the group does not tell."""
        self.dead: set[int] = set()
        """The leaders that do not answer."""
        self.away = False
        self.asked = 0
        self.committed_as: dict[int, int] = {}
        self.closed = False
        self.hold = threading.Event()
        self.hold.set()

    def list_topics(self, topic: str | None = None, timeout: float = 0) -> Any:
        self.asked += 1
        self.hold.wait()
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        partitions = {number: SimpleNamespace(leader=leader) for number, leader in self.leaders.items()}
        return SimpleNamespace(topics={topic or NORMAL: SimpleNamespace(error=None, partitions=partitions)})

    def offsets_for_times(self, asked: Iterable[Any], timeout: float = 0) -> list[Any]:
        asked = list(asked)
        leaders = {self.leaders[at.partition] for at in asked}
        if LEADERLESS in leaders or leaders & self.dead:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return [_at(at.partition, 0 if at.offset == OFFSET_BEGINNING else 100) for at in asked]

    def committed(self, asked: Iterable[Any], timeout: float = 0) -> list[Any]:
        failure = KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE)
        return [
            _at(at.partition, -1001, failure)
            if at.partition in self.unread
            else _at(at.partition, self.positions.get(at.partition, -1001))
            for at in asked
        ]

    def commit(self, offsets: Iterable[Any], asynchronous: bool) -> list[Any]:
        assert not asynchronous
        told = list(offsets)
        self.committed_as |= {at.partition: at.offset for at in told}
        return [_at(at.partition, at.offset) for at in told]

    def poll(self, timeout: float) -> None:
        pass

    def assign(self, places: Iterable[Any]) -> None:
        self.asked += 1
        self.hold.wait()
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def close(self) -> None:
        self.closed = True


def _at(partition: int, offset: int, error: KafkaError | None = None) -> Any:
    return SimpleNamespace(topic=NORMAL, partition=partition, offset=offset, error=error)


def notes() -> Notes:
    return Notes(CONFIG, ManualClock(), Notebook())


def lags_of(cluster: Cluster) -> tuple[Lags, ManualClock]:
    clock = ManualClock()
    lags = Lags(Clusters(CONFIG, {}), {CONFIG: notes()}, clock)
    observer = lags._observers[0]
    observer._names = {NORMAL: NORMAL}
    observer._of_group = lambda topic: observer._consumers.setdefault(topic, cluster)  # type: ignore[assignment, method-assign, return-value, arg-type]
    return lags, clock


async def told_by(lags: Lags, clock: ManualClock) -> dict[int, int]:
    await clock.advance(1.0)
    return {lag.partition: lag.lag for lag in await lags.read()}


# --- lags ---


async def test_a_partition_without_a_leader_keeps_its_last_lag_and_the_others_are_told() -> None:
    cluster = Cluster({0: 1, 1: 1, 2: 2}, {0: 90, 1: 80, 2: 70})
    lags, clock = lags_of(cluster)
    assert await told_by(lags, clock) == {0: 10, 1: 20, 2: 30}
    cluster.positions = {0: 95, 1: 95, 2: 95}
    cluster.leaders[1] = LEADERLESS
    assert await told_by(lags, clock) == {0: 5, 1: 20, 2: 5}
    cluster.positions = dict.fromkeys(range(3), 100)
    cluster.dead = {2}
    assert await told_by(lags, clock) == {0: 0, 1: 20, 2: 5}
    cluster.dead = set()
    cluster.leaders[1] = 2
    assert await told_by(lags, clock) == {0: 0, 1: 0, 2: 0}


async def test_a_group_that_does_not_tell_a_position_keeps_its_last_lag() -> None:
    cluster = Cluster({0: 1, 1: 1}, {0: 90, 1: 80})
    lags, clock = lags_of(cluster)
    assert await told_by(lags, clock) == {0: 10, 1: 20}
    cluster.positions, cluster.unread = {0: 99, 1: 99}, {1}
    assert await told_by(lags, clock) == {0: 1, 1: 20}


async def test_lags_of_a_cluster_that_is_away_are_told_as_last_known_and_refused_where_nothing_is_known() -> None:
    cluster = Cluster({0: 1}, {0: 90})
    cluster.away = True
    lags, clock = lags_of(cluster)
    with pytest.raises(LogUnavailable, match="unreachable"):
        await told_by(lags, clock)
    cluster.away = False
    assert await told_by(lags, clock) == {0: 10}
    cluster.away = True
    assert await told_by(lags, clock) == {0: 10}


@pytest.mark.parametrize("use", ["probe", "read", "oldest"])
async def test_a_consumer_is_not_closed_while_a_thread_is_inside_it(monkeypatch: pytest.MonkeyPatch, use: str) -> None:
    monkeypatch.setattr("bellhouse.adapters.log.kafka.lags.CLOSING_S", 0.0)
    monkeypatch.setattr("bellhouse.adapters.log.kafka.oldest.CLOSING_S", 0.0)
    cluster = Cluster({0: 1})
    lags, _ = lags_of(cluster)
    oldest = Oldest({CONFIG: notes()}, ManualClock())
    oldest._consumers[CONFIG] = cluster  # type: ignore[assignment]
    place = Behind(CONFIG, NORMAL, NORMAL, 0, 0, 1)
    uses = {"probe": lambda: lags.probe([NORMAL]), "read": lags.read, "oldest": lambda: oldest.read([place])}
    cluster.hold.clear()
    using = asyncio.ensure_future(uses[use]())

    async def inside() -> bool:
        return cluster.asked > 0

    try:
        await eventually(inside)
        using.cancel()
        await asyncio.wait([using])
        await (oldest if use == "oldest" else lags).stop()
        assert not cluster.closed
    finally:
        cluster.hold.set()


# --- marks ---


async def test_a_partition_without_a_leader_leaves_only_its_own_records_marked_and_is_asked_for_now_and_then() -> None:
    cluster, assignment, clock = Cluster({0: 1, 1: LEADERLESS, 2: 2, 3: 3}), Assignment(), ManualClock()
    cluster.dead = {3}
    marks = Marks(cluster, NORMAL, assignment, clock, notes())  # type: ignore[arg-type]
    assignment.came(range(4))
    marks.set()
    assert assignment.unmarked == [1, 3]
    for _ in range(100):
        marks.set()
    assert cluster.asked == 1
    cluster.leaders[1] = 2
    cluster.dead = set()
    await clock.advance(5.0)
    marks.set()
    assert assignment.unmarked == []


def test_within_a_rebalance_one_question_marks_all_and_one_that_fails_is_left_to_the_next_turn() -> None:
    cluster, assignment = Cluster({0: 1, 1: 2}), Assignment()
    marks = Marks(cluster, NORMAL, assignment, ManualClock(), notes())  # type: ignore[arg-type]
    cluster.leaders[1] = LEADERLESS
    assignment.came([0, 1])
    marks.set_at_once()
    assert assignment.unmarked == [0, 1]
    cluster.leaders[1] = 2
    marks.set_at_once()
    assert assignment.unmarked == []
    assert cluster.asked == 0, "no list_topics there"


# --- positions ---


def commits_of(cluster: Cluster) -> Commits:
    assignment = Assignment()
    assignment.came(cluster.leaders)
    return Commits(CONFIG, cluster, NORMAL, assignment, ManualClock(), notes())  # type: ignore[arg-type]


def test_a_position_that_cannot_be_read_is_never_told_as_one() -> None:
    cluster = Cluster({0: 1, 1: 1}, {0: 90, 1: 80})
    cluster.unread = {1}
    with pytest.raises(KafkaException):
        commits_of(cluster).accepted()
    assert cluster.committed_as == {}


def test_partitions_without_a_position_get_none_from_the_proof_that_a_reader_is_a_member() -> None:
    cluster = Cluster({0: 1, 1: 1}, {0: 90})
    assert commits_of(cluster).accepted()
    assert cluster.committed_as == {0: 90}
