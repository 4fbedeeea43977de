"""How many bytes a notification takes where it is kept: in PostgreSQL's tables with their indexes, and in the log."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from bellhouse.engines.kafka import Kafka

_KEPT: Final = ("notifications", "decisions", "delivery_events")
"""What stays as long as the retention says; keys go after a day."""

_SIZES: Final = """
SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint, coalesce(sum(pg_indexes_size(relid)), 0)::bigint
FROM pg_partition_tree($1::regclass) WHERE isleaf
"""


@dataclass(frozen=True)
class Stored:
    """Bytes for each notification, and for each key."""

    kept: float
    key: float
    key_index: float
    """What a key takes in its index, which has no order in time."""


async def stored(database: asyncpg.Connection) -> Stored:
    """What is stored now, by the sizes of the files."""
    notifications = int(await database.fetchval("SELECT count(*) FROM notifications"))
    keys = int(await database.fetchval("SELECT count(*) FROM idempotency_keys"))
    kept = sum([(await database.fetch(_SIZES, table))[0][0] for table in _KEPT])
    [(key, index)] = await database.fetch(_SIZES, "idempotency_keys")
    return Stored(kept / notifications, key / keys, index / keys)


def log_bytes(kafka: Kafka, prefix: str) -> int:
    """What the topics of a prefix hold. Their index files are made large beforehand, so only segments count."""
    return sum(each.stat().st_size for each in (kafka.folder / "data").glob(f"{prefix}*/*.log"))
