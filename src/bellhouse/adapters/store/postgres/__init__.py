"""The store on PostgreSQL 15 and newer."""

from bellhouse.adapters.store.postgres.database import PostgresConfig
from bellhouse.adapters.store.postgres.store import PostgresStore

__all__ = ["PostgresConfig", "PostgresStore"]
