"""Finds out about the topics of a cluster, and creates those that are missing."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not all are marked so in its types
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from bellhouse.adapters.log.kafka.admin import asking, open_admin
from bellhouse.adapters.log.kafka.config import KafkaConfig, topic_name
from bellhouse.adapters.log.kafka.notes import Notes, cause_of
from bellhouse.adapters.log.kafka.topic_plan import (
    RETENTION_MS,
    FoundCluster,
    FoundTopic,
    TopicReport,
    judge,
    min_insync_of,
    replication_of,
)
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import DEAD_LETTER_TOPICS, TOPICS
from bellhouse.ports.telemetry import Logbook

_ALL: Final = TOPICS + DEAD_LETTER_TOPICS
_LOOK_AGAIN_S: Final = 0.1
_Act = Callable[[AdminClient, KafkaConfig, Sequence[str]], None]


async def check_topics(
    config: KafkaConfig, clock: Clock, logbook: Logbook, topics: Iterable[str] = _ALL
) -> Sequence[TopicReport]:
    """A report on each of the house's `topics` on this cluster. Raises LogUnavailable."""
    return await asyncio.to_thread(_report, config, Notes(config, clock, logbook), topics, ())


async def create_topics(
    config: KafkaConfig,
    clock: Clock,
    logbook: Logbook,
    topics: Iterable[str] = _ALL,
    *,
    add_partitions: bool = False,
) -> Sequence[TopicReport]:
    """Create what is missing, add partitions where told to, and report on what is there then.

    What another creates at the same moment is lawful. Raises LogUnavailable.
    """
    notes = Notes(config, clock, logbook)
    acts = (_create, _add_partitions) if add_partitions else (_create,)
    reports = await asyncio.to_thread(_report, config, notes, topics, acts)
    patient_until = clock.monotonic() + config.request_timeout_s
    # A broker learns of what the controller has created a moment later.
    while _lacking(reports, add_partitions) and clock.monotonic() < patient_until:
        await clock.sleep(_LOOK_AGAIN_S)
        reports = await asyncio.to_thread(_report, config, notes, topics, ())
    return reports


def _lacking(reports: Iterable[TopicReport], partitions: bool) -> bool:
    kinds = {"missing", "partitions"} if partitions else {"missing"}
    return any(fault.kind in kinds for report in reports for fault in report.faults)


def _report(config: KafkaConfig, notes: Notes, topics: Iterable[str], acts: Iterable[_Act]) -> Sequence[TopicReport]:
    names = [topic_name(config, topic) for topic in topics]
    admin = open_admin(config, notes)
    with asking(admin, notes):
        for act in acts:
            act(admin, config, names)
        return judge(config, _found(admin, config, names), names)


def _create(admin: AdminClient, config: KafkaConfig, names: Sequence[str]) -> None:
    found = _found(admin, config, names)
    replication = replication_of(config, found.brokers)
    settings = {"retention.ms": str(RETENTION_MS), "min.insync.replicas": str(min_insync_of(replication))}
    missing = [name for name in names if name not in found.topics]
    if not missing:
        return
    new = [NewTopic(name, config.partitions, replication, config=settings) for name in missing]
    for created in admin.create_topics(new, request_timeout=config.request_timeout_s).values():
        _settle(created, KafkaError.TOPIC_ALREADY_EXISTS)


def _add_partitions(admin: AdminClient, config: KafkaConfig, names: Sequence[str]) -> None:
    topics = _found(admin, config, names).topics
    more = [NewPartitions(name, config.partitions) for name, at in topics.items() if at.partitions < config.partitions]
    if not more:
        return
    for added in admin.create_partitions(more, request_timeout=config.request_timeout_s).values():
        _settle(added, KafkaError.INVALID_PARTITIONS)


def _settle(future: "Future[Any]", lawful: int) -> None:
    """Wait for an answer; an error that says that it was done already is one."""
    try:
        future.result()
    except KafkaException as error:
        if cause_of(error).code() != lawful:
            raise


def _found(admin: AdminClient, config: KafkaConfig, names: Sequence[str]) -> FoundCluster:
    cluster = admin.list_topics(timeout=config.request_timeout_s)
    there = [name for name in names if name in cluster.topics]
    settings = _settings(admin, config, there)
    return FoundCluster(
        brokers=len(cluster.brokers),
        topics={
            name: FoundTopic(
                partitions=len(cluster.topics[name].partitions),
                replication=min((len(p.replicas) for p in cluster.topics[name].partitions.values()), default=0),
                retention_ms=int(settings[name]["retention.ms"]),
                min_insync=int(settings[name]["min.insync.replicas"]),
            )
            for name in there
        },
    )


def _settings(admin: AdminClient, config: KafkaConfig, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    answers = admin.describe_configs(asked, request_timeout=config.request_timeout_s)
    return {
        resource.name: {name: entry.value for name, entry in answer.result().items()}
        for resource, answer in answers.items()
    }
