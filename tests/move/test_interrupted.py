"""What the source was sending when it ended is answered for in the target as a restarted house would."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import msgspec

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.postgres.database import Database, PostgresConfig
from bellhouse.adapters.store.postgres.deliver import PostgresDeliver
from bellhouse.adapters.store.postgres.early import merge_early_news
from bellhouse.adapters.store.postgres.insights import PostgresInsights
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.app.move import move
from bellhouse.app.secrets import pepper
from bellhouse.app.settings import load
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import notification_of
from bellhouse.ports.log import deliveries_topic, notifications_topic, positions
from bellhouse.ports.store.confirm import NewsRow
from bellhouse.ports.store.deliver import Claim, Settlement
from bellhouse.testing.records import HOUR, NOON, acceptance, found_tenant, notification, open_claim, outcome, routed

TOPIC = deliveries_topic("push", "normal")
ROUTED = notifications_topic("normal")


class Left(NamedTuple):
    """The claims of a killed house, each in another situation."""

    first_attempt: Claim
    with_early_news: Claim
    second_attempt: Claim
    """After one whose outcome was unknown."""
    waiting: Claim
    settled: Claim
    """In the same batch as the first, and settled before the kill."""


async def killed_house(data: Path) -> Left:
    """A file as a `kill -9` leaves it."""
    pepper(data)
    store = SqliteStore(data / "bellhouse.db", LocalDoorbell())
    tenant, numbers = await found_tenant(store.catalogue, store.recipients)
    items = [notification(tenant, numbers[0], NOON + i) for i in range(5)]
    await store.ingest.accept([acceptance(item) for item in items], NOON + 5)
    await store.route.decide([routed(item) for item in items], NOON + 5, positions(ROUTED, {(0, 0): len(items)}))
    fresh, early, again, waiting, settled = [open_claim(r.value) for r in await store.log.poll(TOPIC, 0, 10)]
    number, _ = await store.deliver.begin(TOPIC, [again, waiting], 0, NOON)
    goes_on = [outcome(again, "unknown", again_at=NOON + 10), outcome(waiting, "waiting", again_at=NOON + HOUR)]
    await store.deliver.settle(Settlement(goes_on, intents=[number]))
    await store.due.release_due(NOON + 10, 10)
    again = open_claim((await store.log.poll(TOPIC, 5, 1))[0].value)
    await store.deliver.begin(TOPIC, [fresh, early, settled], 0, NOON)
    await store.deliver.begin(TOPIC, [again], 0, NOON)
    await store.deliver.settle(Settlement([outcome(settled, "sent")]))
    detail = msgspec.msgpack.encode(Detail(reason="delivered:receipt", attempt=1, news="delivered"))
    await store.confirm.news([NewsRow(early.delivery.id, 7, 1, "delivered", NOON, detail)])
    store.close()
    return Left(fresh, early, again, waiting, settled)


def carried(left: Left, data: Path, url: str) -> None:
    report = move(load({"data": data, "store": {"url": url}}, environment={}).settings, data, lambda _: None)
    assert report.balances, report.differences
    assert report.interrupted == 3
    assert {line.kind: line.target for line in report.pending if line.target} == {"waiting deliveries": 4}


async def states(database: Database, left: Left) -> list[str]:
    insights = PostgresInsights(database)
    found = []
    for claim in left:
        story = await insights.story(None, notification_of(claim.delivery.id))
        assert story is not None
        found.append(story.states[claim.delivery.id])
    return found


async def records(database: Database) -> list[Claim]:
    rows = await database.rows("SELECT record FROM due ORDER BY id")
    return [open_claim(row[0]) for row in rows]


def test_an_interrupted_delivery_is_unknown_and_its_news_counts_afterwards(tmp_path: Path, database_url: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    left = asyncio.run(killed_house(data))
    carried(left, data, database_url)
    asyncio.run(_looked_at(database_url, left))


async def _looked_at(url: str, left: Left) -> None:
    database = Database(PostgresConfig(url, pool=4))
    await database.open()
    try:
        assert await states(database, left) == ["unknown", "delivered", "unknown", "waiting", "sent"]
        assert await merge_early_news(database, [left.with_early_news.delivery.id]) == 1
        ledger = await PostgresInsights(database).ledger(None, NOON, True)
        assert ledger.imbalance == 0
        assert {line.state: line.counted for line in ledger.lines if line.level == "delivery" and line.counted} == {
            "unknown": 2, "delivered": 1, "waiting": 1, "sent": 1,
        }  # fmt: skip
        waiting = await records(database)
        assert [(c.delivery.id, c.delivery.step, c.delivery.calls) for c in waiting] == [
            (left.first_attempt.delivery.id, 1, 1),
            (left.with_early_news.delivery.id, 1, 1),
            (left.second_attempt.delivery.id, 2, 2),
            (left.waiting.delivery.id, 1, 1),
        ]
        assert [bool(claim.delivery.unknown_since) for claim in waiting] == [True, True, True, False]
        known = await PostgresDeliver(database, "p").standings(waiting)
        assert [standing.stale for standing in known.standings] == [False, True, False, False]
    finally:
        await database.close()
