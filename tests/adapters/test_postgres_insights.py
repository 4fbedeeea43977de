"""The read side on PostgreSQL: lists over many days, stories, and a ledger that counts a closed day once."""

import re
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.postgres_room import WatchedDatabase, watched

from bellhouse.adapters.store.codec import encode
from bellhouse.adapters.store.postgres import insights as insights_module
from bellhouse.adapters.store.postgres.events import insert_steps
from bellhouse.adapters.store.postgres.ingest import PostgresIngest
from bellhouse.adapters.store.postgres.insights import PostgresInsights
from bellhouse.adapters.store.postgres.ledger import count, fold
from bellhouse.adapters.store.postgres.partitions import ensure
from bellhouse.adapters.store.postgres.recipients import PostgresRecipients
from bellhouse.adapters.store.postgres.route import PostgresRoute
from bellhouse.adapters.store.standing import pack
from bellhouse.adapters.store.tally import Tally, day_of
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import DeliveryId, RecipientNo, TenantNo, delivery_id
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import DeliveryState
from bellhouse.ports.log import Record
from bellhouse.ports.store.insights import Ledger, ListQuery
from bellhouse.testing.records import HOUR, NOON, acceptance, notification, profile, routed

ACME, GLOBEX = TenantNo(1), TenantNo(2)
DAY = 24 * HOUR


class Nowhere:
    """A publisher whose records nobody reads."""

    async def append(self, records: Sequence[Record]) -> None: ...


class Room:
    """The parts of the store that write what is read here."""

    def __init__(self, database: WatchedDatabase) -> None:
        self.database = database
        self.ingest = PostgresIngest(database)
        self.route = PostgresRoute(database, Nowhere())
        self.recipients = PostgresRecipients(database)
        self.insights = PostgresInsights(database)
        self.numbers: dict[TenantNo, RecipientNo] = {}

    async def settle_in(self) -> None:
        for tenant in (ACME, GLOBEX):
            await self.recipients.put_recipient(tenant, profile("u0"), NOON)
            found = await self.recipients.get_recipient(tenant, "u0")
            assert found is not None
            self.numbers[tenant] = found[0]

    async def accept(self, at: int, tenant: TenantNo = ACME, plan: int = 0) -> Notification:
        """Accept one, and decide it where `plan` deliveries are wanted."""
        item = notification(tenant, self.numbers[tenant], at)
        await self.ingest.accept([acceptance(item)], at)
        if plan:
            await self.route.decide([routed(item, plan)], at, ())
        return item

    async def step(self, delivery: DeliveryId, n: int, previous: DeliveryState, state: DeliveryState) -> None:
        """Let a delivery take a step, as a worker does."""
        detail = encode(Detail(reason="test", attempt=n + 1))
        tally = Tally()
        tally.delivery(ACME, delivery, previous, state)
        async with self.database.transaction() as connection:
            await insert_steps(connection, [(delivery, n, state, previous, NOON, "worker", detail)])
            await count(connection, tally)

    async def begin(self, delivery: DeliveryId, n: int, previous: DeliveryState) -> None:
        """Note that a delivery is being sent."""
        tally = Tally()
        tally.delivery(ACME, delivery, previous, "in_flight")
        packed = pack([(delivery, n)])
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO intents (lane, process, at, deliveries, taken_over) VALUES ('', '', 0, $1, false)", packed
            )
            await count(connection, tally)

    async def ledger(self) -> Ledger:
        return await self.insights.ledger(None, NOON, True)


@pytest.fixture
async def room(database_url: str) -> AsyncIterator[Room]:
    async with watched(database_url) as database:
        room = Room(database)
        await room.settle_in()
        yield room


def recounted(ledger: Ledger, level: str) -> dict[str, int]:
    """What was counted from the rows; and the proof that the counters say the same."""
    assert [check for check in ledger.checks if not check.holds] == []
    return {line.state: line.recounted for line in ledger.lines if line.level == level and line.recounted}


def counted_days(statements: Sequence[str]) -> int:
    """How often events were counted: once a day that has counters, once for what lies before and once for what lies
    behind."""
    return sum("FROM delivery_events WHERE id >= $1" in sql and "GROUP BY previous" in sql for sql in statements) - 2


# --- the ledger ---


async def test_every_state_is_counted_from_the_rows(room: Room) -> None:
    await room.accept(NOON)
    item = await room.accept(NOON, plan=7)
    ids = [delivery_id(item.id, i + 1) for i in range(7)]
    await room.begin(ids[1], 0, "waiting")
    ends: tuple[DeliveryState, ...] = ("sent", "unknown", "unknown", "unknown", "waiting")
    for delivery, state in zip(ids[2:], ends, strict=True):
        await room.begin(delivery, 0, "waiting")
        await room.step(delivery, 0, "in_flight", state)
    await room.begin(ids[4], 1, "unknown")
    await room.begin(ids[5], 1, "unknown")
    await room.step(ids[5], 1, "in_flight", "dead_lettered")
    await room.begin(ids[6], 1, "waiting")
    ledger = await room.ledger()
    assert recounted(ledger, "notification") == {"waiting": 1, "planned": 1}
    assert recounted(ledger, "delivery") == {
        "waiting": 1, "in_flight": 3, "sent": 1, "unknown": 1, "dead_lettered": 1,
    }  # fmt: skip
    assert (ledger.accepted, ledger.planned, ledger.imbalance) == (2, 7, 0)


async def test_a_delivery_that_two_intents_name_is_in_flight_once(room: Room) -> None:
    item = await room.accept(NOON, plan=1)
    delivery = delivery_id(item.id, 1)
    await room.begin(delivery, 0, "waiting")
    await room.step(delivery, 0, "in_flight", "unknown")
    await room.begin(delivery, 1, "unknown")
    assert recounted(await room.ledger(), "delivery") == {"in_flight": 1}


async def test_a_tenants_ledger_has_its_own_counters_and_is_not_recounted(room: Room) -> None:
    await room.accept(NOON, ACME)
    await room.accept(NOON, GLOBEX, plan=2)
    ledger = await room.insights.ledger(GLOBEX, NOON, True)
    assert (ledger.accepted, ledger.planned, list(ledger.checks)) == (1, 2, [])
    assert {line.recounted for line in ledger.lines} == {None}


async def test_counters_alone_are_read_without_counting_rows(room: Room) -> None:
    await room.accept(NOON, plan=1)
    room.database.statements.clear()
    ledger = await room.insights.ledger(None, NOON, False)
    assert (ledger.accepted, ledger.planned, [check.holds for check in ledger.checks]) == (1, 1, [True])
    assert not any("FROM notifications" in sql for sql in room.database.statements)


async def test_a_day_is_counted_again_only_when_its_counters_have_moved(room: Room) -> None:
    items = [await room.accept(NOON + i * DAY, plan=1) for i in range(3)]
    for moved, counted in ((None, 3), (None, 0), (items[1], 1), (None, 0)):
        if moved is not None:
            await room.step(delivery_id(moved.id, 1), 0, "waiting", "expired")
        room.database.statements.clear()
        ledger = await room.ledger()
        assert counted_days(room.database.statements) == counted
    assert recounted(ledger, "delivery") == {"waiting": 2, "expired": 1}


async def test_a_day_is_counted_again_when_its_counters_come_back_to_the_same_numbers(room: Room) -> None:
    item = await room.accept(NOON, plan=2)
    first, second = delivery_id(item.id, 1), delivery_id(item.id, 2)
    await room.begin(first, 0, "waiting")
    await room.step(first, 0, "in_flight", "unknown")
    await room.begin(second, 0, "waiting")
    assert recounted(await room.ledger(), "delivery") == {"in_flight": 1, "unknown": 1}
    await room.step(second, 0, "in_flight", "unknown")
    await room.begin(first, 1, "unknown")
    async with room.database.transaction() as connection:
        await fold(connection)
    assert recounted(await room.ledger(), "delivery") == {"in_flight": 1, "unknown": 1}


async def test_a_row_that_was_lost_is_an_imbalance(room: Room) -> None:
    item = await room.accept(NOON, plan=1)
    await room.accept(NOON + DAY)
    await room.database.run("DELETE FROM notifications WHERE id = $1", item.id)
    broken = [check.name for check in (await room.ledger()).checks if not check.holds]
    assert broken == ["accepted = stored notifications", "notifications waiting = counted from the rows"]


async def test_a_row_of_a_day_that_has_no_counters_is_an_imbalance(room: Room) -> None:
    await room.accept(NOON)
    await room.accept(NOON + 2 * DAY)
    for at in (NOON - DAY, NOON + DAY, NOON + 3 * DAY):
        stray = notification(ACME, room.numbers[ACME], at)
        await ensure(room.database, [day_of(stray.id)])
        await room.database.run("INSERT INTO notifications VALUES ($1, 1, $2)", stray.id, encode(stray))
    (check,) = [check for check in (await room.ledger()).checks if check.name == "accepted = stored notifications"]
    assert (check.left, check.right) == (2, 5)


# --- stories and lists ---


async def test_a_story_tells_what_is_being_sent_and_until_when_it_waits(room: Room) -> None:
    item = await room.accept(NOON, plan=2)
    await room.begin(delivery_id(item.id, 1), 0, "waiting")
    story = await room.insights.story(None, item.id)
    assert story is not None
    assert list(story.states.values()) == ["in_flight", "waiting"]
    assert story.waiting_until is None
    later = notification(ACME, room.numbers[ACME], NOON, ready_at=NOON + HOUR)
    await room.ingest.accept([acceptance(later)], NOON)
    story = await room.insights.story(ACME, later.id)
    assert story is not None
    assert (story.decision, story.waiting_until) == (None, NOON + HOUR)
    assert await room.insights.story(GLOBEX, later.id) is None


@pytest.mark.parametrize("chunk", [1, 3, 500])
async def test_a_list_goes_through_days_backwards_whatever_is_fetched_at_once(
    room: Room, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insights_module, "_CHUNK", chunk)
    items = [await room.accept(NOON + i * DAY // 2, (ACME, GLOBEX)[i % 3 == 1], plan=i % 2) for i in range(8)]
    mine = [item for item in reversed(items) if item.tenant == ACME]
    waiting = [item for item in mine if items.index(item) % 2 == 0]
    list_of = room.insights.list
    assert [item for item, _ in await list_of(ListQuery(ACME))] == mine
    assert [item for item, _ in await list_of(ListQuery(ACME, "u0"))] == mine
    assert [item for item, _ in await list_of(ListQuery(ACME, "u0", limit=2, before=mine[1].id))] == mine[2:4]
    assert await list_of(ListQuery(ACME, state="waiting")) == [(item, "waiting") for item in waiting]
    assert [state for _, state in await list_of(ListQuery(ACME, state="planned", limit=1))] == ["planned"]
    since = mine[2].received_at
    assert [item for item, _ in await list_of(ListQuery(ACME, since=since))] == mine[:3]
    assert [item for item, _ in await list_of(ListQuery(ACME, "u0", since=since))] == mine[:3]
    assert await list_of(ListQuery(ACME, type="other")) == []
    assert await list_of(ListQuery(ACME, "nobody")) == []


async def test_a_list_looks_at_a_bounded_number_of_rows(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insights_module, "_CHUNK", 2)
    monkeypatch.setattr(insights_module, "_SCAN", 4)
    await room.accept(NOON, ACME)
    for i in range(4):
        await room.accept(NOON + 1 + i, GLOBEX)
    assert await room.insights.list(ListQuery(ACME)) == []
    assert len(await room.insights.list(ListQuery(ACME, "u0"))) == 1


async def test_lists_open_only_the_days_and_the_index_that_they_need(room: Room) -> None:
    for i in range(3):
        await room.accept(NOON + i * DAY)
    room.database.statements.clear()
    await room.insights.list(ListQuery(ACME))
    await room.insights.list(ListQuery(ACME, "u0"))
    newest, own = [sql for sql in room.database.statements if "ORDER BY id DESC" in sql]
    low, high = (NOON + DAY - HOUR).to_bytes(6) + bytes(10), (NOON + DAY + HOUR).to_bytes(6) + bytes(10)
    for sql, index, values in ((newest, "pkey", []), (own, "_idx|pkey", [room.numbers[ACME]])):
        async with room.database.transaction() as connection:
            await connection.execute("SET LOCAL enable_seqscan = off")
            await connection.execute("SET LOCAL enable_sort = off")
            plan = [row[0] for row in await connection.fetch(f"EXPLAIN {sql}", high, low, 10, *values)]
        text = "\n".join(plan)
        assert len(set(re.findall(r"on (notifications_\d+)", text))) == 1, text
        assert re.search(index, text), text
        assert "Seq Scan" not in text
