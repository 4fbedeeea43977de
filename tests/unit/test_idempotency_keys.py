"""Idempotency keys live for 24 hours whatever the segments, restarts and the traffic are like."""

from pathlib import Path

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.adapters.store.sqlite.keys import SEGMENT
from bellhouse.ports.store.ingest import Acceptance, Accepted, Repeated
from bellhouse.testing.records import HOUR, NOON, found_tenant, notification


def _roll_over(store: SqliteStore) -> None:
    """Let the open segment be full."""
    with store.database.write() as transaction:
        transaction.run("UPDATE meta SET value = (value / ? + 1) * ? WHERE name = 'accepted'", (SEGMENT, SEGMENT))


async def test_a_segment_that_took_days_to_fill_is_remembered_after_a_restart(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell())
    tenant, (recipient, *_) = await found_tenant(store.catalogue, store.recipients)
    old, recent = (notification(tenant, recipient, NOON - age * HOUR) for age in (100, 1))
    await store.ingest.accept([Acceptance(old, bytes(16), b"body")], NOON - 100 * HOUR)
    await store.ingest.accept([Acceptance(recent, b"\xff" * 16, b"body")], NOON - HOUR)
    _roll_over(store)
    store.close()

    store = SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell())
    again = notification(tenant, recipient, NOON)
    assert await store.ingest.accept([Acceptance(again, b"\xff" * 16, b"body")], NOON) == [Repeated(recent.id)]
    store.close()


async def test_a_key_is_known_across_a_roll_over_and_to_a_second_process(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell()) for _ in range(2)]
    tenant, (recipient, *_) = await found_tenant(stores[0].catalogue, stores[0].recipients)
    items = [notification(tenant, recipient, NOON) for _ in range(4)]
    await stores[1].ingest.accept([Acceptance(items[0], b"a" * 16, b"body")], NOON)
    await stores[0].ingest.accept([Acceptance(items[1], b"b" * 16, b"body")], NOON)
    _roll_over(stores[0])
    assert await stores[1].ingest.accept([Acceptance(items[2], b"b" * 16, b"body")], NOON) == [Repeated(items[1].id)]
    later = NOON + 25 * HOUR
    fresh, repeat = (notification(tenant, recipient, later) for _ in range(2))
    assert await stores[0].ingest.accept([Acceptance(fresh, b"a" * 16, b"new")], later) == [Accepted(fresh.id)]
    _roll_over(stores[0])
    assert await stores[1].ingest.accept([Acceptance(repeat, b"a" * 16, b"new")], later) == [Repeated(fresh.id)]
    for store in stores:
        store.close()
