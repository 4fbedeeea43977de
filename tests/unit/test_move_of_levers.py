"""Levers go along when a folder is moved, and what a brake holds goes as what is parked: it is held again there."""

from pathlib import Path

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.adapters.store.sqlite.export import SqliteExport
from bellhouse.domain.levers import Act, Lever, Selector
from bellhouse.ports.store import Settlement
from bellhouse.testing.records import HOUR, NOON, acceptance, found_tenant, notification, open_claim, outcome, routed
from bellhouse.testing.store_suite import PUSH

TYPE = Selector(type="greeting")


async def test_what_is_held_moves_as_parked_and_its_brake_moves_too(tmp_path: Path) -> None:
    path = tmp_path / "bellhouse.db"
    store = SqliteStore(path, LocalDoorbell())
    tenant, numbers = await found_tenant(store.catalogue, store.recipients)
    item = notification(tenant, numbers[0], NOON)
    await store.ingest.accept([acceptance(item)], NOON)
    await store.route.decide([routed(item)], NOON, ())
    (record,) = await store.log.poll(PUSH, 0, 10)
    held = outcome(open_claim(record.value), "waiting", previous="waiting", again_at=NOON + HOUR, held_by=TYPE.text)
    await store.deliver.settle(Settlement([held]))
    lever = Lever("pause", TYPE.text, "", TYPE, "ops", NOON, "why")
    await store.levers.change_lever("pause", TYPE.text, None, lever, Act("pause", TYPE.text, "ops", "k", NOON))
    store.close()
    export = SqliteExport(path, NOON, writes=True)
    try:
        chunk = export.read("levers", None, 10)
        assert chunk is not None
        assert [row[:2] for row in chunk.rows] == [("pause", "type=greeting")]
        assert export.waiting()["parked deliveries"] == 1
    finally:
        export.close()
    store = SqliteStore(path, LocalDoorbell())
    assert await store.due.parked() == [("push", "normal")]
    assert await store.levers.held() == []
    store.close()
