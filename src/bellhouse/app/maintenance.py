"""Work on a store itself, whether a server runs on it or not: schema, keys, the ledger."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.app.secrets import keep_development_key
from bellhouse.app.secrets import pepper as pepper_of
from bellhouse.app.settings import Settings
from bellhouse.app.stores import Store
from bellhouse.ops.keys import KeyView, create_key, list_keys
from bellhouse.ports.store.insights import Ledger
from bellhouse.security.keys import Scope

T = TypeVar("T")


class NoSuchFile(Exception):
    """There is no database in the folder."""


class Migrated(msgspec.Struct, frozen=True):
    """What `migrate` did."""

    file: str
    """The file, or the database's URL without its password."""
    applied: list[int]
    """The steps that were applied, or taken back, in order."""


class Opened(msgspec.Struct, frozen=True):
    """A store that is open for a short piece of work."""

    store: Store
    pepper: bytes


def keys_of(settings: Settings) -> list[KeyView]:
    """Every key, the oldest first."""
    return _on(settings, lambda opened: list_keys(opened.store.catalogue))


def make_key(
    settings: Settings, tenant: str, environment: str, scopes: tuple[Scope, ...], label: str
) -> tuple[KeyView, str]:
    """Make a key; a running server knows it at once. Answers it with its token."""
    now = SystemClock().now()
    return _on(
        settings,
        lambda opened: create_key(opened.store.catalogue, opened.pepper, now, tenant, environment, scopes, label),
    )


def revoke_key(settings: Settings, key_id: str) -> bool:
    """End a key; a running server refuses it within a second. False where there is no such key."""
    return _on(settings, lambda opened: opened.store.catalogue.revoke_key(key_id, SystemClock().now()))


def ledger(settings: Settings, recount: bool) -> Ledger:
    """The ledger of all tenants; `recount` counts the rows beside the counters."""
    return _on(settings, lambda opened: opened.store.insights.ledger(None, SystemClock().now(), recount))


def migrate(settings: Settings, back_to: int | None = None, now: bool = False) -> Migrated:
    """Bring the schema up to date, making the file where there is none; or take PostgreSQL's back to a step. `now`
    does there also what a living process cannot live with."""
    if settings.store.url is None:
        return asyncio.run(_migrate_file(settings.data))
    from bellhouse.app.postgres import migrate_database  # noqa: PLC0415 - only where that engine is used

    url, applied = asyncio.run(migrate_database(settings, back_to, now))
    return Migrated(url, applied)


async def _migrate_file(data: Path) -> Migrated:
    async with _file(data, create=True) as opened:
        assert isinstance(opened.store, SqliteStore)
        return Migrated(str(data / "bellhouse.db"), list(opened.store.migrated))


def prepare(data: Path) -> str | None:
    """Make the file ready to be served; answers the token of the development key if this was the first start."""
    token = asyncio.run(_prepare(data))
    if token is not None:
        keep_development_key(data, token)
    return token


async def _prepare(data: Path) -> str | None:
    async with _file(data, create=True) as opened:
        catalogue = opened.store.catalogue
        if await list_keys(catalogue):
            return None
        now = SystemClock().now()
        label = "made at the first start"
        _, token = await create_key(catalogue, opened.pepper, now, "default", "development", ("admin",), label)
    return token


def _on(settings: Settings, work: Callable[[Opened], Awaitable[T]]) -> T:
    """Do a piece of work on the store that the settings name. Raises NoSuchFile, StoreUnavailable, CannotServe."""

    async def done() -> T:
        async with _opened(settings) as opened:
            return await work(opened)

    return asyncio.run(done())


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Opened]:
    if settings.store.url is None:
        async with _file(settings.data) as opened:
            yield opened
        return
    from bellhouse.app.postgres import opened_database  # noqa: PLC0415 - only where that engine is used

    async with opened_database(settings) as (store, pepper):
        yield Opened(store, pepper)


@asynccontextmanager
async def _file(data: Path, create: bool = False) -> AsyncIterator[Opened]:
    """The folder's store, its schema brought up to date. Raises NoSuchFile unless it may be created."""
    path = data / "bellhouse.db"
    if create:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)  # noqa: ASYNC240 - nothing else runs here
    elif not path.exists():
        raise NoSuchFile(str(path))
    store = SqliteStore(path, LocalDoorbell())
    try:
        yield Opened(store, pepper_of(data))
    finally:
        store.close()
