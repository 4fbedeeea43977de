"""Levers and what operators did go along when a folder is moved.

What a brake holds goes as what is parked: it is held again there.
"""

from pathlib import Path

import pytest

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.codec import decode_act, decode_lever
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.adapters.store.sqlite.export import SqliteExport
from bellhouse.domain.levers import Act, Lever, Selector
from bellhouse.ports.store.deliver import Settlement
from bellhouse.testing.records import HOUR, NOON, acceptance, found_tenant, notification, open_claim, outcome, routed
from bellhouse.testing.store_suite import PUSH


@pytest.mark.parametrize("chosen", [Selector(type="greeting"), Selector(campaign="spring")], ids=lambda one: one.text)
async def test_what_is_held_moves_as_parked_and_its_brake_moves_too(tmp_path: Path, chosen: Selector) -> None:
    path = tmp_path / "bellhouse.db"
    store = SqliteStore(path, LocalDoorbell())
    tenant, numbers = await found_tenant(store.catalogue, store.recipients)
    item = notification(tenant, numbers[0], NOON, campaign="spring")
    await store.ingest.accept([acceptance(item)], NOON)
    await store.route.decide([routed(item)], NOON, ())
    (record,) = await store.log.poll(PUSH, 0, 10)
    held = outcome(open_claim(record.value), "waiting", previous="waiting", again_at=NOON + HOUR, held_by=chosen.text)
    await store.deliver.settle(Settlement([held]))
    lever = Lever("pause", chosen.text, "", chosen, "ops", NOON, "why")
    await store.levers.change_lever("pause", chosen.text, None, lever, Act("pause", chosen.text, "ops", "k", NOON))
    store.close()
    export = SqliteExport(path, NOON, writes=True)
    try:
        chunk = export.read("levers", None, 10)
        assert chunk is not None
        assert [row[:2] for row in chunk.rows] == [("pause", chosen.text)]
        assert [decode_lever(row[2]) for row in chunk.rows] == [lever]
        acts = export.read("audit", None, 10)
        assert acts is not None
        assert [(number, at, act) for number, at, act, _ in acts.rows] == [(1, NOON, "pause")]
        assert decode_act(acts.rows[0][3], 1) == Act("pause", chosen.text, "ops", "k", NOON, number=1)
        assert (export.count("audit"), export.read("audit", acts.last, 10)) == (1, None)
        assert export.waiting()["parked deliveries"] == 1
    finally:
        export.close()
    store = SqliteStore(path, LocalDoorbell())
    assert await store.due.parked() == [("push", "normal")]
    assert await store.levers.held() == []
    assert await store.due.release_due(NOON + HOUR, 10) == 1
    assert open_claim((await store.log.poll(PUSH, 0, 10))[-1].value).notification == item
    store.close()
