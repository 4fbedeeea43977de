"""How many bytes a notification takes where it is kept: in PostgreSQL's tables with their indexes, and in the log."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from bellhouse.engines.kafka import Kafka

KEPT: Final = ("notifications", "decisions", "delivery_events")
"""What stays as long as the retention says; keys go after a day."""

_SIZE: Final = """
SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint FROM pg_partition_tree($1::regclass) WHERE isleaf
"""


@dataclass(frozen=True)
class Stored:
    """Bytes."""

    kept: int
    keys: int
    log: int


async def stored(database: asyncpg.Connection, kafka: Kafka, prefix: str) -> Stored:
    """What is stored now. `prefix` is that of the topics."""
    kept = sum([int(await database.fetchval(_SIZE, table)) for table in KEPT])
    keys = int(await database.fetchval(_SIZE, "idempotency_keys"))
    return Stored(kept, keys, _log_bytes(kafka.folder / "data", prefix))


def _log_bytes(folder: Path, prefix: str) -> int:
    # Index files are made large beforehand: only segments count.
    return sum(each.stat().st_size for each in folder.glob(f"{prefix}*/*.log"))
