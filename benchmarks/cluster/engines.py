"""The engines of a run: PostgreSQL, Kafka and Valkey with settings that keep what they promise, and what they use."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from bellhouse.engines.kafka import Kafka
from bellhouse.engines.postgres import Postgres
from bellhouse.engines.valkey import Valkey
from benchmarks import procs

POSTGRES: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "5min",
    "autovacuum": "on",
    "max_connections": "300",
}
"""Durable as in production; memory and WAL as a small server has them. All else is as PostgreSQL comes."""


@dataclass(frozen=True)
class Engines:
    """What is running."""

    postgres: Postgres
    kafka: Kafka
    valkey: Valkey

    def cpu_s(self) -> dict[str, float]:
        """What each has used until now, with all its processes: also those that came and went."""
        top = self.postgres.pid
        return {
            "PostgreSQL": procs.cpu_of([top, *procs.children(top)]) + procs.reaped_s(top),
            "Kafka": procs.cpu_of([self.kafka.pid]),
            "Valkey": procs.cpu_of([self.valkey.pid]),
        }


@contextmanager
def engines(**more: str) -> Iterator[Engines]:
    """Start all three; `more` are further settings of PostgreSQL."""
    with Postgres(settings={**POSTGRES, **more}) as postgres, Kafka() as kafka, Valkey() as valkey:
        yield Engines(postgres, kafka, valkey)


async def connect(url: str) -> asyncpg.Connection:
    """A connection of the benchmark's own, to look and to copy."""
    return await asyncpg.connect(url, ssl=False, server_settings={"application_name": "benchmark"})
