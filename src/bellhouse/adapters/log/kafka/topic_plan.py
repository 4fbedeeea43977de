"""How the topics of a cluster should be, and what is wrong with those that are there; pure."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from bellhouse.adapters.log.kafka.config import KafkaConfig

RETENTION_MS: Final = 7 * 24 * 3600 * 1000
"""How long records are kept: a house that stood still for a long weekend finds its work again."""
_INSYNC_AT_MOST: Final = 2
"""A record is durable on two brokers before it counts, so that one of three can be down and writing goes on."""

FaultKind = Literal["missing", "partitions", "replication", "retention", "min_insync"]


class Fault(msgspec.Struct, frozen=True):
    """One thing about a topic that is not as it should be, and what to do."""

    kind: FaultKind
    words: str


class TopicReport(msgspec.Struct, frozen=True):
    """A topic, and what is wrong with it."""

    topic: str
    """Its name on the cluster."""
    faults: tuple[Fault, ...] = ()


class FoundTopic(msgspec.Struct, frozen=True):
    """A topic as it is on the cluster."""

    partitions: int
    replication: int
    """Of the partition that has the fewest replicas."""
    retention_ms: int = RETENTION_MS
    """-1: for ever."""
    min_insync: int = 1


class FoundCluster(msgspec.Struct, frozen=True):
    """What there is: brokers, and the topics that a house needs."""

    brokers: int
    topics: Mapping[str, FoundTopic]


def judge(config: KafkaConfig, cluster: FoundCluster, names: Iterable[str]) -> list[TopicReport]:
    """Compare what is there with what `config` asks for."""
    return [TopicReport(name, tuple(_faults(config, cluster, name))) for name in names]


def _faults(config: KafkaConfig, cluster: FoundCluster, name: str) -> Iterable[Fault]:
    found = cluster.topics.get(name)
    if found is None:
        yield Fault("missing", "create it with `bellhouse topics --create`")
        return
    replication = replication_of(config, cluster.brokers)
    if found.partitions < config.partitions:
        yield Fault(
            "partitions",
            f"{found.partitions} of {config.partitions} partitions: more can be added, but recipients then move to "
            "others, and what waits for one of them may be overtaken once",
        )
    if found.replication < replication:
        yield Fault(
            "replication",
            f"{found.replication} of {replication} replicas: raise it with kafka-reassign-partitions.sh",
        )
    if 0 <= found.retention_ms < RETENTION_MS:
        yield Fault("retention", f"retention.ms is {found.retention_ms}: raise it to {RETENTION_MS} or more")
    insync = min_insync_of(replication)
    if found.min_insync < insync:
        yield Fault("min_insync", f"min.insync.replicas is {found.min_insync}: raise it to {insync}")
    if found.min_insync >= found.replication > 1:
        yield Fault(
            "min_insync",
            f"min.insync.replicas is {found.min_insync} of {found.replication} replicas: nothing can be written "
            "while one broker is down",
        )


def replication_of(config: KafkaConfig, brokers: int) -> int:
    """How many replicas a topic gets: what is configured, and not more than there are brokers."""
    return max(1, min(config.replication, brokers))


def min_insync_of(replication: int) -> int:
    """On how many replicas a record must be before it counts."""
    return min(_INSYNC_AT_MOST, replication)
