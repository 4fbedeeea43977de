"""The log's topics on every cluster that the settings name: looked at, and made where they are missing."""

import asyncio
import sys
from collections.abc import Sequence

import msgspec

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.log.kafka import KafkaConfig, TopicReport, check_topics, create_topics
from bellhouse.app.engines import kafka_config, kafka_lanes
from bellhouse.app.settings import Fault, Settings, SettingsError, where_to_set
from bellhouse.observability.logs import configure
from bellhouse.ports.log import DEAD_LETTER_TOPICS, PRIORITY_OF, TOPICS


class TopicState(msgspec.Struct, frozen=True):
    """One topic on its cluster."""

    topic: str
    cluster: str
    """Its brokers."""
    usable: bool
    detail: str
    """What is wrong and what to do; empty where nothing is."""


def look_at_topics(settings: Settings, create: bool) -> list[TopicState]:
    """Every topic of the house, made first where it is missing and `create` is asked for.

    Raises SettingsError where no brokers are named, LogUnavailable.
    """
    if not settings.kafka.brokers:
        fault = Fault("kafka.brokers", "is needed: it names the log's brokers", None, where_to_set("kafka.brokers"))
        raise SettingsError([fault])
    return asyncio.run(_look(settings, create))


async def _look(settings: Settings, create: bool) -> list[TopicState]:
    clock = SystemClock()
    logbook = configure("bellhouse-topics", clock, sys.stderr.buffer, level="error")
    act = create_topics if create else check_topics
    found: list[TopicState] = []
    for config, topics in topics_by_cluster(settings):
        reports = await act(config, clock, logbook, topics)
        found += [_state(config, report) for report in reports]
    return found


def topics_by_cluster(settings: Settings) -> list[tuple[KafkaConfig, Sequence[str]]]:
    """Each cluster with the topics that are on it: a priority's own has the topics of that priority."""
    lanes = kafka_lanes(settings)
    main = kafka_config(settings)
    clusters = [(main, [*(t for t in TOPICS if PRIORITY_OF[t] not in lanes), *DEAD_LETTER_TOPICS])]
    clusters += [(config, [t for t in TOPICS if PRIORITY_OF[t] == priority]) for priority, config in lanes.items()]
    return [(config, topics) for config, topics in clusters if topics]


def _state(config: KafkaConfig, report: TopicReport) -> TopicState:
    missing = any(fault.kind == "missing" for fault in report.faults)
    detail = "; ".join(fault.words for fault in report.faults)
    return TopicState(report.topic, ",".join(config.brokers), not missing, detail)
