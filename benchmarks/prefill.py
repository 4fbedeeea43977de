"""Fills a platform's file with notifications by the store's own accept, while no process serves it."""

import itertools
from pathlib import Path

import msgspec

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite.store import SqliteStore
from bellhouse.domain.ids import RecipientNo, TenantNo, new_notification_ids
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import Priority
from bellhouse.ports.store.ingest import Acceptance
from benchmarks.load import notification
from benchmarks.stand import PEOPLE

_BATCH = 1_000
_LIFE_MS = 30 * 86_400_000


async def prefill(database: Path, kind: str, priority: Priority, count: int, due_in_ms: int = 0) -> None:
    """Accept `count` notifications of a type; with `due_in_ms` they become due only so much later."""
    store = SqliteStore(database, LocalDoorbell())
    try:
        tenant, numbers = await _recipients(store)
        sample = msgspec.json.encode(notification(kind)["data"])
        clock = SystemClock()
        people = itertools.cycle(range(PEOPLE))
        for _ in range(0, count, _BATCH):
            now = clock.now()
            items = [
                Acceptance(
                    Notification(
                        id=identifier,
                        tenant=tenant,
                        recipient=numbers[place],
                        user_id=f"user-{place:06d}",
                        type=kind,
                        priority=priority,
                        data=sample,
                        received_at=now,
                        expires_at=now + due_in_ms + _LIFE_MS,
                        ready_at=now + due_in_ms,
                    ),
                    key=identifier,
                    fingerprint=identifier[-8:],
                )
                for identifier, place in zip(new_notification_ids(now, _BATCH), people, strict=False)
            ]
            await store.ingest.accept(items, now)
    finally:
        store.close()


async def _recipients(store: SqliteStore) -> tuple[TenantNo, dict[int, RecipientNo]]:
    tenant = next(iter(await store.catalogue.tenants()))
    names = [f"user-{place:06d}" for place in range(PEOPLE)]
    known = await store.ingest.known_recipients(tenant, names)
    return tenant, {place: known[name] for place, name in enumerate(names)}
