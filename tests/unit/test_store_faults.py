"""A disk that is full or broken: nothing is half-written, the error says so in words, and service resumes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.app.leases import AlwaysHeld
from bellhouse.domain.ids import TenantNo
from bellhouse.ops.reconcile import Reconciler
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.ingest import Accepted
from bellhouse.ports.telemetry import NullLogbook
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import NOON, acceptance, found_tenant, notification


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell())
    yield opened
    opened.close()


def _pages(store: SqliteStore, most: int) -> int:
    return int(store.database.rows(f"PRAGMA max_page_count = {most}")[0][0])


async def test_a_full_disk_writes_nothing_and_its_keys_are_free_when_there_is_room_again(store: SqliteStore) -> None:
    tenant, (recipient, *_) = await found_tenant(store.catalogue, store.recipients)
    roomy = _pages(store, 0)
    _pages(store, 1)  # no fewer than there are
    items = [notification(TenantNo(tenant), recipient) for _ in range(500)]
    given = [acceptance(item, f"key {i}") for i, item in enumerate(items)]
    with pytest.raises(StoreUnavailable) as full:
        await store.ingest.accept(given, NOON)
    assert full.value.reason == "disk_full"
    assert (await store.insights.ledger(None, NOON, True)).imbalance == 0
    _pages(store, roomy)
    assert await store.ingest.accept(given, NOON) == [Accepted(item.id) for item in items]
    ledger = await store.insights.ledger(None, NOON, True)
    assert (ledger.accepted, ledger.imbalance) == (500, 0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(apsw.FullError, "disk_full"), (apsw.IOError, "io"), (apsw.CorruptError, "damaged"), (apsw.ProtocolError, "busy")],
)
async def test_a_read_that_fails_says_why_and_the_next_one_works(
    store: SqliteStore, error: type[apsw.Error], reason: str
) -> None:
    def broken(reader: Any) -> None:
        reader.execute("ROLLBACK")  # what SQLite does by itself after such an error
        raise error("broken")

    def on_the_loop() -> None:
        with store.database.snapshot():
            broken(store.database.connection)

    with pytest.raises(StoreUnavailable) as loop:
        on_the_loop()
    assert loop.value.reason == reason
    with pytest.raises(StoreUnavailable) as beside:
        await store.insights._ask(lambda reader: broken(reader._connection))
    assert beside.value.reason == reason
    assert (await store.insights.ledger(None, NOON, True)).imbalance == 0
    assert await store.due.next_due() is None


async def test_a_reconciler_that_cannot_count_goes_on(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    reconciler = Reconciler(store.insights, AlwaysHeld(), ManualClock(NOON), NullLogbook())
    ledger = store.insights.ledger
    await reconciler.once()

    async def fails(*_: object) -> None:
        raise StoreUnavailable("io", "wait")

    monkeypatch.setattr(store.insights, "ledger", fails)
    await reconciler.once()
    assert reconciler.reading is not None
    assert reconciler.reading.checked_at == NOON
    monkeypatch.setattr(store.insights, "ledger", ledger)
    await reconciler.once()
