"""The embedded store and log: one SQLite file, written by one transaction at a time, shared by a few processes."""

from bellhouse.adapters.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
