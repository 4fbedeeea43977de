"""However much news comes at once, its transactions stay short and its callers wait for all of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from bellhouse.confirm.settle import NewsSettler
from bellhouse.domain.ids import DeliveryId, delivery_id, new_notification_ids
from bellhouse.ports.provider import News
from bellhouse.ports.store.confirm import NewsResult, NewsRow
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import NullTelemetry
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import NOON


class Slow:
    """A store that tells how long its transactions were."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.broken_after: int | None = None

    async def news(self, rows: Sequence[NewsRow]) -> NewsResult:
        if self.broken_after is not None and sum(self.sizes) >= self.broken_after:
            raise StoreUnavailable("disk_full", "free space")
        self.sizes.append(len(rows))
        return NewsResult((), 0, 0)


def _news(count: int) -> list[News]:
    ids = [DeliveryId(delivery_id(i, 1)) for i in new_notification_ids(NOON, count)]
    return [News(f"event {n}", "delivered", NOON, identifier) for n, identifier in enumerate(ids)]


def _settler(store: Any) -> NewsSettler:
    return NewsSettler(store, ManualClock(NOON), NullTelemetry())


async def test_a_large_callback_is_written_in_short_transactions() -> None:
    store = Slow()
    settler = _settler(store)
    await asyncio.gather(settler.settle("sendgrid", _news(2_000)), settler.settle("sendgrid", _news(10)))
    assert sum(store.sizes) == 2_010
    assert max(store.sizes) <= 300


async def test_whoever_waits_for_a_part_that_failed_is_told_to_repeat_it() -> None:
    store = Slow()
    store.broken_after = 600
    settler = _settler(store)
    with pytest.raises(StoreUnavailable):
        await settler.settle("sendgrid", _news(2_000))
    store.broken_after = None
    await settler.settle("sendgrid", _news(2_000))
