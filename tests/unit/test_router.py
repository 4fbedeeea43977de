"""A router on a real store: what cannot be decided stops nobody behind it."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.policy import decide as policy
from bellhouse.ports.log import deliveries_topic, notifications_topic
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry, Telemetry
from bellhouse.route import router as room
from bellhouse.route.router import Router
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import NOON, acceptance, found_tenant, notification

NORMAL = notifications_topic("normal")


class Skipped(NullTelemetry):
    """Counts the records that were skipped, by topic."""

    def __init__(self) -> None:
        self.by_topic: Counter[str] = Counter()

    def unreadable(self, topic: str, n: int = 1) -> None:
        self.by_topic[topic] += n


def _router(store: SqliteStore, telemetry: Telemetry | None = None) -> Router:
    clock = ManualClock(NOON)
    told = telemetry or NullTelemetry()
    return Router("normal", store.route, store.catalogue, store.log, clock, told, NullLogbook())


async def test_a_notification_that_cannot_be_decided_ends_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell())
    tenant, (recipient, *_) = await found_tenant(store.catalogue, store.recipients)
    items = [notification(tenant, recipient) for _ in range(3)]
    await store.ingest.accept([acceptance(item) for item in items], NOON)
    decide = policy.decide

    def poisoned(item: Any, *given: Any) -> Any:
        if item == items[1]:
            raise ZeroDivisionError("a fault of ours")
        return decide(item, *given)

    monkeypatch.setattr(room, "decide", poisoned)
    skipped = Skipped()
    await _router(store, skipped).route(await store.log.poll(NORMAL, 0, 10))
    assert skipped.by_topic == {NORMAL: 1}
    stories = [await store.insights.story(tenant, item.id) for item in items]
    states = [story.decision.state for story in stories if story is not None and story.decision is not None]
    assert states == ["planned", "suppressed", "planned"]
    assert len(await store.log.poll(deliveries_topic("push", "normal"), 0, 10)) == 2
    assert (await store.insights.ledger(None, NOON, True)).imbalance == 0
    store.close()


async def test_records_that_nobody_can_read_are_counted_and_what_is_behind_them_is_routed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell())
    tenant, (recipient, *_) = await found_tenant(store.catalogue, store.recipients)
    with store.database.write() as transaction:
        for _ in range(2):
            transaction.run("INSERT INTO log_notifications_normal (record) VALUES (?)", (b"\xc1",))
    await store.ingest.accept([acceptance(notification(tenant, recipient))], NOON)
    skipped = Skipped()
    await _router(store, skipped).route(await store.log.poll(NORMAL, 0, 10))
    assert skipped.by_topic == {NORMAL: 2}
    assert len(await store.log.poll(deliveries_topic("push", "normal"), 0, 10)) == 1
    store.close()


async def test_a_router_outlives_a_store_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell())
    poll, failures = store.log.poll, [StoreUnavailable("io", "wait")]

    async def fails_once(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return await poll(*given)

    monkeypatch.setattr(store.log, "poll", fails_once)
    router = _router(store)
    running = asyncio.create_task(router.run())
    while failures:
        await asyncio.sleep(0)
    router.drain()
    await router._clock.advance(1.0)  # type: ignore[attr-defined]  # the clock that this test moves
    async with asyncio.timeout(5):
        await running
    store.close()
