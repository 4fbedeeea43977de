"""What retention takes from PostgreSQL, and what it leaves: a day goes whole, and keeps nobody waiting."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.postgres_houses import COMMIT, PUSH, House, Street, ended
from tests.postgres_room import until_waiting

from bellhouse.adapters.store.postgres import partitions, retention
from bellhouse.adapters.store.postgres.partitions import lowest_id
from bellhouse.adapters.store.standing import pack
from bellhouse.adapters.store.tally import DAY_MS
from bellhouse.domain.ids import DeliveryId
from bellhouse.ports.store.dead_letters import DeadLetterFilter
from bellhouse.ports.store.deliver import Claim, DeadLetter, Settlement
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.testing.records import HOUR, NOON, outcome

TODAY = NOON // DAY_MS
LATER = NOON + 20 * DAY_MS
KEPT = 10
"""Days of retention: at LATER the day of NOON is over, and the first that is kept is this one:"""
OLDEST = LATER // DAY_MS - KEPT


async def _died(street: Street, house: House, count: int = 1) -> list[Claim]:
    """Deliveries that have ended as open dead letters."""
    claims = await street.planned(count)
    known = await house.deliver.standings(claims)
    intent, _ = await house.deliver.begin(PUSH, claims, known.as_of, NOON)
    letters = [DeadLetter(claim.delivery, claim.notification, "dead_lettered:rejected", NOON) for claim in claims]
    await house.deliver.settle(
        Settlement([outcome(claim, "dead_lettered") for claim in claims], letters, (), (), [intent])
    )
    return claims


async def _round(house: House) -> list[str]:
    """What is said of the days when the tests' day is over."""
    said = await ended(house.upkeep.upkeep(LATER, KEPT))
    return [word for word in said if word.startswith(("dropped", "discarded", "kept"))]


async def _ledger(house: House) -> dict[str, int]:
    rows = await house.database.rows("SELECT state, count FROM ledger_closed WHERE level = 'delivery' AND count <> 0")
    return dict(rows)


def _id(day: int, number: int) -> bytes:
    return lowest_id(day)[:4] + number.to_bytes(12)


async def _put_letters(house: House, ids: Sequence[bytes], state: str = "open") -> None:
    sql = (
        "INSERT INTO dead_letters SELECT id, 7, 'push', '', 't', 'u', 'r', '', 1, $2, 0, '', '', ''"
        " FROM unnest($1::bytea[]) AS given (id)"
    )
    await house.database.run(sql, ids, state)


async def _left(house: House, table: str) -> int:
    return int(await house.database.value(f"SELECT count(*) FROM {table}"))


# --- days ---


async def test_a_day_with_open_dead_letters_is_dropped_and_they_are_discarded_as_by_an_operator(
    street: Street, one: House
) -> None:
    claims = await _died(street, one, 2)
    two = await street.house()
    async with two.database.connection() as reading, reading.transaction():
        await reading.fetch("SELECT FROM notifications")
        assert await _round(one) == [
            "discarded 2 open dead letters of day 20251123: its day is older than store.retention_days"
        ]
    letters = await one.dead_letters.dead_letters(DeadLetterFilter(state="discarded"), None, 10)
    assert [(row.by, row.why) for row in letters] == [("retention", "its day is older than store.retention_days")] * 2
    assert await one.counts() == {"cancelled": 2}
    story = await one.insights.story(None, claims[0].notification.id)
    assert story is not None
    assert [(event.state, event.source) for event in story.events][-1] == ("cancelled", "operator")
    assert await _round(one) == ["dropped day 20251123"]
    assert await _ledger(one) == {"cancelled": 2}
    assert await one.counts() == {}


async def test_open_dead_letters_of_a_day_in_which_something_waits_stay_open_and_that_is_said_once(
    street: Street, one: House
) -> None:
    (claim,) = await street.planned()
    await _died(street, one)
    assert await _round(one) == [
        "kept day 20251123, though it is older than store.retention_days: something in it still waits"
    ]
    assert await _round(one) == []
    assert await one.counts() == {"waiting": 1, "dead_lettered": 1}
    await one.ingest.cancel(street.tenant, claim.notification.id, NOON, "caller")
    assert [word.split()[0] for word in await _round(one)] == ["discarded", "dropped"]


async def test_open_dead_letters_of_days_that_are_kept_stay_open(street: Street, one: House) -> None:
    await _died(street, one)
    await one.upkeep.upkeep(NOON + KEPT * DAY_MS, KEPT)
    assert await one.counts() == {"dead_lettered": 1}


async def test_a_day_full_of_dead_letters_is_emptied_in_steps(
    street: Street, one: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_PAGES", 1)
    await _died(street, one)
    await _put_letters(one, [_id(TODAY, n) for n in range(400)])
    said = [await _round(one) for _ in range(3)]
    assert [[word.split(" open")[0] for word in words] for words in said] == [
        ["discarded 200"],
        ["discarded 200"],
        ["discarded 1", "dropped day 20251123"],
    ]


async def test_a_letter_that_is_sent_again_while_its_day_is_about_to_go_keeps_the_day(
    street: Street, one: House
) -> None:
    (claim,) = await _died(street, one)
    two = await street.house()
    gate = two.hold(COMMIT)
    replaying = asyncio.create_task(two.dead_letters.replay([claim.delivery.id], None, LATER, HOUR, "ops"))
    await gate.reached()
    going = asyncio.create_task(_round(one))
    await until_waiting(one.database)
    gate.open()
    assert await ended(replaying) == 1
    assert await ended(going) == []
    assert await one.due.next_due() == LATER
    assert await one.counts() == {"waiting": 1}


async def test_due_rows_of_a_day_go_before_the_day_and_those_of_other_days_stay(
    street: Street, one: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_PAGES", 1)
    (claim,) = await street.planned()
    held = outcome(claim, "waiting", previous="waiting", again_at=NOON + 10**9)
    await one.deliver.settle(Settlement([held]))
    await one.ingest.cancel(street.tenant, claim.notification.id, NOON, "caller")
    others = [_id(OLDEST, n) for n in range(250)]
    await one.database.run(
        "INSERT INTO due SELECT 1, id, 'x', 1, false, '' FROM unnest($1::bytea[]) AS row (id)", others
    )
    assert await _round(one) == []
    assert await _left(one, "due") == 251
    assert await _round(one) == ["dropped day 20251123"]
    assert await _left(one, "due") == 250


async def test_a_drop_does_not_look_at_what_is_due(street: Street, one: House) -> None:
    two = await street.house()
    async with two.database.transaction() as connection:
        await connection.execute("LOCK TABLE due IN ACCESS EXCLUSIVE MODE")
        await one.upkeep._ahead(TODAY)
        assert await ended(partitions.drop(one.database, TODAY))


async def test_a_day_that_another_has_dropped_is_not_dropped_again(street: Street, one: House) -> None:
    await partitions.ensure(one.database, [TODAY])
    assert await partitions.drop(one.database, TODAY)
    assert not await partitions.drop(one.database, TODAY)


async def test_counters_are_folded_also_while_no_day_can_be_dropped(
    street: Street, one: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*_: object) -> bool:
        raise StoreUnavailable("timeout", "wait")

    monkeypatch.setattr(partitions, "drop", slow)
    await _died(street, one)
    with pytest.raises(StoreUnavailable):
        await _round(one)
    assert await one.database.value("SELECT count(*) FROM ledger WHERE day = $1", TODAY) > 0


# --- what has no days ---


async def test_letters_that_were_dealt_with_go_with_their_day_and_open_ones_never_unseen(
    street: Street, one: House
) -> None:
    await _put_letters(one, [_id(OLDEST - 1, 1), _id(OLDEST, 1)], "replayed")
    await _put_letters(one, [_id(OLDEST - 1, 2)], "open")
    await _round(one)
    rows = await one.database.rows("SELECT id FROM dead_letters ORDER BY id")
    assert [row[0] for row in rows] == [_id(OLDEST - 1, 2), _id(OLDEST, 1)]


async def test_inbox_items_go_when_their_time_is_over_and_with_their_day_where_they_have_none(
    street: Street, one: House
) -> None:
    old, young = OLDEST - 1, OLDEST
    stays = [(old, LATER + 1), (young, LATER + 1), (young, 0)]
    goes = [(old, LATER), (young, LATER), (old, 0)]
    ids = {case: _id(case[0], number) for number, case in enumerate([*stays, *goes])}
    await one.database.run(
        "INSERT INTO inbox SELECT 1, id, 0, at, '' FROM unnest($1::bytea[], $2::bigint[]) AS given (id, at)",
        list(ids.values()),
        [at for _, at in ids],
    )
    await _round(one)
    left = {row[0] for row in await one.database.rows("SELECT id FROM inbox")}
    assert {case for case, identifier in ids.items() if identifier in left} == set(stays)


async def test_nothing_of_a_day_that_is_kept_longer_is_trimmed(street: Street, one: House) -> None:
    await street.planned()
    await _put_keys(one, [("same day", _id(TODAY, 1)), ("day before", _id(TODAY - 2, 1))])
    await _round(one)
    assert await one.database.value("SELECT collapse_key FROM collapse_keys") == "same day"


async def test_a_collapse_key_that_is_being_taken_anew_stays_and_is_not_waited_for(street: Street, one: House) -> None:
    two = await street.house()
    await _put_keys(one, [("a", _id(OLDEST - 1, 1)), ("b", _id(OLDEST - 1, 2))])
    async with two.database.transaction() as connection:
        await connection.execute("UPDATE collapse_keys SET id = $1 WHERE collapse_key = 'a'", _id(OLDEST, 3))
        await _round(one)
    await _round(one)
    assert await one.database.value("SELECT collapse_key FROM collapse_keys") == "a"


async def test_a_large_table_is_gone_through_page_by_page_and_quickly_where_much_is_old(
    street: Street, one: House
) -> None:
    await _put_keys(one, [(f"{n:04}", _id(OLDEST, n)) for n in range(400)])
    await _put_keys(one, [(f"{n:04}", _id(OLDEST - 1, n)) for n in range(400, 1000)])
    assert [await _left_after_a_round(one) for _ in range(3)] == [1000, 1000, 400]


async def _put_keys(house: House, keys: Sequence[tuple[str, bytes]]) -> None:
    await house.database.run(
        "INSERT INTO collapse_keys SELECT 1, name, id FROM unnest($1::text[], $2::bytea[]) AS given (name, id)",
        [name for name, _ in keys],
        [identifier for _, identifier in keys],
    )


async def _left_after_a_round(house: House) -> int:
    await _round(house)
    return await _left(house, "collapse_keys")


# --- the dead ---


async def test_intents_that_can_never_be_settled_keep_no_others_of_the_dead(street: Street, one: House) -> None:
    """Two hundred are looked at a round."""
    hopeless = [pack([(DeliveryId(_id(TODAY, n)), 0)]) for n in range(200)]
    await one.database.run(
        "INSERT INTO intents (lane, process, at, deliveries, taken_over)"
        " SELECT $1, 'dead', 1, packed, false FROM unnest($2::bytea[]) AS given (packed)",
        PUSH,
        hopeless,
    )
    dead = await street.house()
    claims = await street.planned()
    known = await dead.deliver.standings(claims)
    await dead.deliver.begin(PUSH, claims, known.as_of, NOON)
    await dead.members.leave()
    await one.deliver.settle(Settlement([outcome(claim, "unknown", again_at=NOON + 1) for claim in claims]))
    await one.upkeep.upkeep(NOON, 90)
    assert await _left(one, "intents") == 201
    assert "forgot 1 intents of processes that have died" in await one.upkeep.upkeep(NOON, 90)
    settled = "INSERT INTO delivery_events SELECT $1, 0, 0, 'sent', 'in_flight', 1, 'worker', $2"
    detail = await one.database.value("SELECT detail FROM delivery_events LIMIT 1")
    await one.database.run(settled, _id(TODAY, 0), detail)
    assert "forgot 1 intents of processes that have died" in await one.upkeep.upkeep(NOON, 90)


async def test_partitions_ahead_are_counted_up_to_the_first_gap(one: House) -> None:
    await ended(one.upkeep.upkeep(NOON, 400))
    assert await one.upkeep.days_ahead(NOON) == 7
    assert await one.upkeep.days_ahead(NOON + 5 * DAY_MS) == 2
    await partitions.ensure(one.database, [TODAY + 9])
    assert await one.upkeep.days_ahead(NOON) == 7
    assert await one.upkeep.days_ahead(NOON + 30 * DAY_MS) == -1
