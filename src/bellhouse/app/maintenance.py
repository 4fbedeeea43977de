"""Work on a data folder's file itself, whether a server runs on it or not: schema, keys, the ledger."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.app.secrets import keep_development_key, pepper
from bellhouse.ops.keys import KeyView, create_key, list_keys
from bellhouse.ports.store import Ledger
from bellhouse.security.keys import Scope


class NoSuchFile(Exception):
    """There is no database in the folder."""


class Migrated(msgspec.Struct, frozen=True):
    """What `migrate` did."""

    file: str
    applied: list[int]
    """The versions that were applied, in order."""


@contextmanager
def opened(data: Path, create: bool = False) -> Iterator[SqliteStore]:
    """The folder's store, its schema brought up to date. Raises NoSuchFile unless it may be created, and
    StoreUnavailable."""
    path = data / "bellhouse.db"
    if create:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    elif not path.exists():
        raise NoSuchFile(str(path))
    store = SqliteStore(path, LocalDoorbell())
    try:
        yield store
    finally:
        store.close()


def migrate(data: Path) -> Migrated:
    """Bring the file's schema up to date, making the file where there is none."""
    with opened(data, create=True) as store:
        return Migrated(str(data / "bellhouse.db"), list(store.migrated))


def make_key(data: Path, tenant: str, environment: str, scopes: tuple[Scope, ...], label: str) -> tuple[KeyView, str]:
    """Make a key; a running server knows it at once. Answers it with its token."""
    with opened(data) as store:
        return asyncio.run(
            create_key(store.catalogue, pepper(data), SystemClock().now(), tenant, environment, scopes, label)
        )


def all_keys(data: Path) -> list[KeyView]:
    """Every key, the oldest first."""
    with opened(data) as store:
        return asyncio.run(list_keys(store.catalogue))


def revoke_key(data: Path, key_id: str) -> bool:
    """End a key; a running server refuses it within a second. False where there is no such key."""
    with opened(data) as store:
        return asyncio.run(store.catalogue.revoke_key(key_id, SystemClock().now()))


def ledger(data: Path, recount: bool) -> Ledger:
    """The ledger of all tenants; `recount` counts the rows beside the counters."""
    with opened(data) as store:
        return asyncio.run(store.insights.ledger(None, SystemClock().now(), recount))


def prepare(data: Path) -> str | None:
    """Make the file ready to be served; answers the token of the development key if this was the first start."""
    with opened(data, create=True) as store:
        if asyncio.run(list_keys(store.catalogue)):
            return None
        _, token = asyncio.run(
            create_key(
                store.catalogue,
                pepper(data),
                SystemClock().now(),
                "default",
                "development",
                ("admin",),
                "made at the first start",
            )
        )
    keep_development_key(data, token)
    return token
