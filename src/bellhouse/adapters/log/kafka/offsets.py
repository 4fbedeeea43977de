"""The ends and beginnings of partitions, asked for leader by leader: one that is away silences no other."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import TopicMetadata  # type: ignore[attr-defined]  # its stubs forget it

Place = tuple[str, int]
"""A topic's name on its cluster, and a partition."""


def by_leader(topics: Mapping[str, TopicMetadata]) -> tuple[dict[int, list[Place]], KafkaException | None]:
    """The partitions of each leader, and why some are missing: nobody can be asked for those without one."""
    led: dict[int, list[Place]] = defaultdict(list)
    failure = None
    for name, topic in topics.items():
        if topic.error is not None:
            failure = failure or KafkaException(topic.error)
        for number, partition in topic.partitions.items():
            if partition.leader >= 0:
                led[partition.leader].append((name, number))
            else:
                failure = failure or KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
    return led, failure


def offsets(
    consumer: Consumer, led: Mapping[int, Sequence[Place]], which: int, left_s: Callable[[], float]
) -> tuple[dict[Place, int], KafkaException | None]:
    """What answered, and why the rest did not; `which` is OFFSET_BEGINNING or OFFSET_END. Blocks.

    librdkafka fails a question as a whole when one of its partitions has no leader or one leader is away.
    """
    found: dict[Place, int] = {}
    failure = None
    for places in led.values():
        asked = [TopicPartition(name, partition, which) for name, partition in places]
        try:
            answers = consumer.offsets_for_times(asked, left_s()) if asked else []
        except KafkaException as error:
            failure = failure or error
            continue
        for answer in answers:
            if answer.error is not None:
                failure = failure or KafkaException(answer.error)
            elif answer.offset >= 0:
                found[answer.topic, answer.partition] = answer.offset
    return found, failure
