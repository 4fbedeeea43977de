"""What a house's topics should be like on Kafka is found out, said and created."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kafka_house import CLOCK, IMPATIENT_S, Notebook, config_of

from bellhouse.adapters.log.kafka import check_topics, create_topics
from bellhouse.adapters.log.kafka.config import KafkaConfig
from bellhouse.adapters.log.kafka.topic_plan import RETENTION_MS, FoundCluster, FoundTopic, judge
from bellhouse.engines.kafka import Kafka
from bellhouse.ports.log import DEAD_LETTER_TOPICS, TOPICS, LogUnavailable

THREE = KafkaConfig(brokers=("b:9092",), partitions=20, replication=3)
GOOD = FoundTopic(partitions=20, replication=3, min_insync=2)


def kinds(found: FoundTopic | None, brokers: int = 3) -> list[str]:
    cluster = FoundCluster(brokers, {} if found is None else {"t": found})
    (report,) = judge(THREE, cluster, ["t"])
    return [fault.kind for fault in report.faults]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (GOOD, []),
        (None, ["missing"]),
        (msgspec.structs.replace(GOOD, partitions=24, retention_ms=-1), []),
        (msgspec.structs.replace(GOOD, partitions=19), ["partitions"]),
        (msgspec.structs.replace(GOOD, replication=2, min_insync=1), ["replication", "min_insync"]),
        (msgspec.structs.replace(GOOD, retention_ms=RETENTION_MS - 1), ["retention"]),
        (msgspec.structs.replace(GOOD, min_insync=1), ["min_insync"]),
        (msgspec.structs.replace(GOOD, min_insync=3), ["min_insync"]),
    ],
)
def test_each_difference_is_a_fault_of_its_own(found: FoundTopic | None, expected: list[str]) -> None:
    assert kinds(found) == expected


def test_no_more_replicas_are_asked_for_than_there_are_brokers() -> None:
    assert kinds(FoundTopic(partitions=20, replication=1, min_insync=1), brokers=1) == []


@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 3), st.integers(-1, 2 * RETENTION_MS))
def test_every_fault_says_what_is_there_and_what_to_do(
    partitions: int, replication: int, min_insync: int, retention_ms: int
) -> None:
    found = FoundTopic(partitions, replication, retention_ms, min_insync)
    (report,) = judge(THREE, FoundCluster(3, {"t": found}), ["t"])
    good = partitions >= 20 and replication == 3 and min_insync == 2 and not 0 <= retention_ms < RETENTION_MS
    assert (report.faults == ()) == good
    assert all(":" in fault.words for fault in report.faults)


async def test_what_is_missing_is_created_once_and_what_is_there_is_left_alone(kafka: Kafka, topic_prefix: str) -> None:
    config = config_of(kafka, topic_prefix=topic_prefix, partitions=1)
    before = await check_topics(config, CLOCK, Notebook())
    assert [[fault.kind for fault in report.faults] for report in before] == [["missing"]] * len(before)
    assert {report.topic for report in before} == {topic_prefix + topic for topic in TOPICS + DEAD_LETTER_TOPICS}
    created = await create_topics(config, CLOCK, Notebook())
    assert not any(report.faults for report in created)
    assert await create_topics(config, CLOCK, Notebook()) == created
    assert await check_topics(config, CLOCK, Notebook()) == created


async def test_partitions_are_added_only_where_that_was_asked_for(kafka: Kafka, topic_prefix: str) -> None:
    few, more = (config_of(kafka, topic_prefix=topic_prefix, partitions=n) for n in (1, 3))
    await create_topics(few, CLOCK, Notebook(), TOPICS[:2])
    reports = await create_topics(more, CLOCK, Notebook(), TOPICS[:2])
    assert [[fault.kind for fault in report.faults] for report in reports] == [["partitions"]] * 2
    assert "recipients then move" in reports[0].faults[0].words
    reports = await create_topics(more, CLOCK, Notebook(), TOPICS[:2], add_partitions=True)
    assert not any(report.faults for report in reports)


async def test_a_cluster_that_is_not_there_is_named() -> None:
    config = KafkaConfig(brokers=("127.0.0.1:1",), request_timeout_s=IMPATIENT_S)
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1:1"):
        await check_topics(config, CLOCK, Notebook())
