"""Drills in the distributed mode: what the platform stands on is gone, or a worker does not move."""

import asyncio
import signal
from typing import Final

from bellhouse.drills.scenario import Act, Scenario
from bellhouse.drills.stage import Stage

FAMILY: Final = "engines"

_WORKER: Final = "push worker"


def _killed(engine: str) -> Act:
    async def act(stage: Stage) -> None:
        await asyncio.to_thread(stage.engine(engine).kill)

    return act


def _started(engine: str) -> Act:
    async def act(stage: Stage) -> None:
        await asyncio.to_thread(stage.engine(engine).start)

    return act


async def _stuck(stage: Stage) -> None:
    stage.signal(_WORKER, signal.SIGSTOP)


async def _restarted(stage: Stage) -> None:
    stage.signal(_WORKER, signal.SIGKILL)


SCENARIOS: Final = (
    Scenario(
        "redis-lost",
        FAMILY,
        "Redis is killed.",
        "DependencyDown",
        "warning",
        "RedisLost",
        "start it; meanwhile every process goes by breakers and shares of its own",
        _killed("valkey"),
        _started("valkey"),
        mode="cluster",
    ),
    Scenario(
        "stuck-worker",
        FAMILY,
        "The worker of push stands still (SIGSTOP): it is there, and takes nothing up.",
        "QueueBacklogCritical",
        "critical",
        "StuckWorker",
        "it is killed, and started again by whoever keeps it, as kubectl rollout restart does",
        _stuck,
        _restarted,
        mode="cluster",
        late_s=15,
    ),
    Scenario(
        "kafka-down",
        FAMILY,
        "Kafka's only broker is killed.",
        "DependencyDown",
        "critical",
        "KafkaDown",
        "start it; what was accepted waits in the outbox",
        _killed("kafka"),
        _started("kafka"),
        mode="cluster",
    ),
    Scenario(
        "database-down",
        FAMILY,
        "PostgreSQL is killed.",
        "DependencyDown",
        "critical",
        "DatabaseDown",
        "start it; callers were told to come back, and come",
        _killed("postgres"),
        _started("postgres"),
        mode="cluster",
    ),
)
