"""Who is alive, and what only one may do: on a server whose clock alone counts, whatever meets whatever."""

import asyncio

import pytest
from tests.half_said import stand_still
from tests.postgres_houses import PUSH, House, Street, again, ended
from tests.postgres_room import until, until_waiting

from bellhouse.adapters.store.postgres import ledger, members, partitions
from bellhouse.adapters.store.postgres.database import session_name
from bellhouse.ports.store.deliver import Settlement
from bellhouse.ports.store.errors import LeaseLost
from bellhouse.testing.records import NOON, outcome, routed

SOON_S = 0.05
LOCK = 4_711


async def _has_expired(house: House, process: str) -> None:
    sql = "SELECT expires_at <= clock_timestamp() FROM processes WHERE process = $1"
    await until(lambda: house.database.value(sql, process))


async def _alive(house: House) -> set[str]:
    return {member.process for member in await house.members.members()}


async def _expire(house: House, other: House) -> None:
    """Let a process have been silent for too long."""
    await other.members.renew(SOON_S)
    await _has_expired(house, other.process)


# --- members ---


async def test_members_see_one_another_until_one_leaves(street: Street) -> None:
    one, two = await street.house(), await street.house()
    assert await _alive(one) == await _alive(two) == {one.process, two.process}
    await two.members.leave()
    await two.members.leave()
    assert await _alive(one) == {one.process}


async def test_a_silent_process_is_no_member_but_may_come_back_while_nobody_took_anything_over(street: Street) -> None:
    one, two = await street.house(), await street.house()
    await _expire(one, two)
    assert await _alive(one) == {one.process}
    assert await two.members.renew(60.0)
    assert await _alive(one) == {one.process, two.process}


async def test_a_silent_process_begins_nothing_until_it_has_renewed(street: Street) -> None:
    one, two = await street.house(), await street.house()
    claims = await street.planned()
    known = await two.deliver.standings(claims)
    await _expire(one, two)
    with pytest.raises(LeaseLost):
        await two.deliver.begin(PUSH, claims, known.as_of, NOON)
    await two.members.renew(60.0)
    assert (await two.deliver.begin(PUSH, claims, known.as_of, NOON))[0]


async def test_a_process_that_has_left_can_renew_nothing(street: Street) -> None:
    one = await street.house()
    await one.members.leave()
    assert not await one.members.renew(60.0)


# --- take-over ---


async def test_a_silent_process_with_work_in_hand_is_given_up_for_good(street: Street) -> None:
    one, two = await street.house(), await street.house()
    claims = await street.planned()
    known = await two.deliver.standings(claims)
    await two.deliver.begin(PUSH, claims, known.as_of, NOON)
    await _expire(one, two)
    assert [s.sending for s in (await one.deliver.standings(again(claims))).standings] == ["interrupted"]
    assert not await two.members.renew(60.0)
    await two.join()
    assert await _alive(one) == {one.process}
    with pytest.raises(LeaseLost):
        await two.deliver.begin(PUSH, claims, known.as_of, NOON)


async def test_a_process_that_renews_at_the_moment_it_would_be_given_up_stays(street: Street) -> None:
    one, two = await street.house(), await street.house()
    claims = await street.planned()
    known = await two.deliver.standings(claims)
    await two.deliver.begin(PUSH, claims, known.as_of, NOON)
    await _expire(one, two)
    async with two.database.transaction() as connection:
        await connection.execute(
            "UPDATE processes SET expires_at = clock_timestamp() + interval '1 minute' WHERE process = $1", two.process
        )
        looking = asyncio.create_task(one.deliver.standings(again(claims)))
        await until_waiting(one.database)
    assert [s.sending for s in (await ended(looking)).standings] == ["elsewhere"]
    assert await two.members.renew(60.0)


async def test_a_process_that_renews_at_the_moment_it_has_been_given_up_is_refused(street: Street) -> None:
    one, two = await street.house(), await street.house()
    claims = await street.planned()
    known = await two.deliver.standings(claims)
    await two.deliver.begin(PUSH, claims, known.as_of, NOON)
    await _expire(one, two)
    async with one.database.transaction() as connection:
        await connection.execute("UPDATE processes SET given_up = true WHERE process = $1", two.process)
        renewing = asyncio.create_task(two.members.renew(60.0))
        await until_waiting(one.database)
    assert not await ended(renewing)


async def test_two_that_find_the_same_dead_process_call_its_work_interrupted_once(street: Street) -> None:
    one, two, dead = [await street.house() for _ in range(3)]
    claims = await street.planned(20)
    known = await dead.deliver.standings(claims)
    await dead.deliver.begin(PUSH, claims, known.as_of, NOON)
    await _expire(one, dead)
    taken = again(claims)
    looks = await ended(asyncio.gather(one.deliver.standings(taken), two.deliver.standings(taken[::-1])))
    assert all(standing.sending == "interrupted" for look in looks for standing in look.standings)
    unknown = Settlement([outcome(claim, "unknown", again_at=NOON + 1) for claim in taken])
    backwards = Settlement([outcome(claim, "unknown", again_at=NOON + 1) for claim in taken[::-1]])
    await ended(asyncio.gather(one.deliver.settle(unknown), two.deliver.settle(backwards)))
    assert await one.counts() == {"unknown": 20}
    assert await one.due.release_due(NOON + 1, 100) == 20


async def test_what_a_silent_process_has_locked_in_the_middle_of_a_statement_is_free_soon_after(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "IDLE_IN_TRANSACTION_S", 0.1)
    one, two = await street.house(), await street.house()
    lock = f"SELECT pg_advisory_xact_lock({LOCK})"
    hung = await stand_still(one.database.config.url, session_name(two.process), lock)

    async def has_ended_one() -> bool:
        return await one.members.end_silent_sessions() == 1

    try:
        assert not await has_ended_one(), "while it is a member"
        await _expire(one, two)
        assert await two.members.end_silent_sessions() == 0, "it looks after nobody itself"
        await until(has_ended_one)
        await until(lambda: one.database.value(f"SELECT pg_try_advisory_xact_lock({LOCK})"))
    finally:
        hung.close()


async def test_a_silent_process_that_does_nothing_keeps_its_sessions(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "IDLE_IN_TRANSACTION_S", 0.0)
    one, two = await street.house(), await street.house()
    (session,) = await two.database.rows("SELECT pg_backend_pid()")
    await _expire(one, two)
    assert await one.members.end_silent_sessions() == 0
    assert await two.database.rows("SELECT pg_backend_pid()") == [session]


async def test_a_paused_process_that_wakes_before_it_was_given_up_goes_on(street: Street) -> None:
    one, two = await street.house(), await street.house()
    claims = await street.planned()
    known = await two.deliver.standings(claims)
    intent, _ = await two.deliver.begin(PUSH, claims, known.as_of, NOON)
    await _expire(one, two)
    assert await two.members.renew(60.0)
    assert [s.sending for s in (await one.deliver.standings(again(claims))).standings] == ["elsewhere"]
    await two.deliver.settle(Settlement([outcome(claim, "sent") for claim in claims], intents=[intent]))
    assert [s.stale for s in (await one.deliver.standings(again(claims))).standings] == [True]
    assert await one.counts() == {"sent": 1}


async def test_intents_of_the_dead_are_forgotten_when_all_of_their_work_is_settled(street: Street) -> None:
    one, dead = await street.house(), await street.house()
    claims = await street.planned(2)
    known = await dead.deliver.standings(claims)
    await dead.deliver.begin(PUSH, claims, known.as_of, NOON)
    await dead.members.leave()
    await one.deliver.standings(again(claims))
    settled = [outcome(claim, "unknown", again_at=NOON + 1) for claim in claims]
    await one.deliver.settle(Settlement(settled[:1]))
    await one.upkeep.upkeep(NOON, 90)
    assert await one.database.value("SELECT count(*) FROM intents") == 1
    assert await one.counts() == {"unknown": 1, "in_flight": 1}
    await one.deliver.settle(Settlement(settled[1:]))
    assert "forgot 1 intents of processes that have died" in await one.upkeep.upkeep(NOON, 90)
    assert await one.database.value("SELECT count(*) FROM intents") == 0
    assert await one.counts() == {"unknown": 2}


# --- leases ---


async def test_of_two_that_take_a_free_lease_at_once_one_has_it(street: Street) -> None:
    one, two = await street.house(), await street.house()
    for name in ("a", "b", "c", "d"):
        tokens = await ended(asyncio.gather(one.members.take(name, 60.0), two.members.take(name, 60.0)))
        assert sorted(tokens) == [0, 1]


async def test_a_lease_that_has_ended_goes_to_one_of_those_who_wait_with_a_higher_token(street: Street) -> None:
    one, two, three = [await street.house() for _ in range(3)]
    assert await one.members.take("upkeep", SOON_S) == 1
    ended_ = "SELECT expires_at <= clock_timestamp() FROM leases WHERE name = 'upkeep'"
    await until(lambda: one.database.value(ended_))
    tokens = await ended(asyncio.gather(two.members.take("upkeep", 60.0), three.members.take("upkeep", 60.0)))
    assert sorted(tokens) == [0, 2]
    assert await one.members.take("upkeep", 60.0) == 0


async def test_a_holder_renews_under_the_same_token_also_after_it_has_ended(street: Street) -> None:
    one = await street.house()
    assert await one.members.take("upkeep", SOON_S) == 1
    assert await one.members.take("upkeep", SOON_S) == 1
    await until(lambda: one.database.value("SELECT expires_at <= clock_timestamp() FROM leases"))
    assert await one.members.take("upkeep", 60.0) == 1


async def test_a_lease_that_is_given_back_is_free_at_once_and_only_its_holder_can_give_it(street: Street) -> None:
    one, two = await street.house(), await street.house()
    await one.members.take("upkeep", 60.0)
    await two.members.release("upkeep")
    assert await two.members.take("upkeep", 60.0) == 0
    await one.members.release("upkeep")
    await one.members.release("upkeep")
    assert await two.members.take("upkeep", 60.0) == 2


async def test_a_renewal_and_a_take_over_of_an_ended_lease_do_not_both_succeed(street: Street) -> None:
    one, two = await street.house(), await street.house()
    await one.members.take("upkeep", SOON_S)
    await until(lambda: one.database.value("SELECT expires_at <= clock_timestamp() FROM leases"))
    async with two.database.transaction() as connection:
        await connection.execute(
            "UPDATE leases SET process = $1, token = 2, expires_at = clock_timestamp() + interval '1 minute'",
            two.process,
        )
        renewing = asyncio.create_task(one.members.take("upkeep", 60.0))
        await until_waiting(two.database)
    assert await ended(renewing) == 0


# --- upkeep beside everything else ---


async def test_a_day_is_dropped_with_everything_that_could_come_back_of_it(street: Street) -> None:
    one = await street.house()
    claims = await street.planned(3)
    held = [outcome(claim, "waiting", previous="waiting", again_at=NOON + 10**9) for claim in claims]
    await one.deliver.settle(Settlement(held))
    assert await _dropped(one) == []
    for claim in claims:
        assert await one.ingest.cancel(street.tenant, claim.notification.id, NOON, "caller") == "cancelled"
    assert len(await _dropped(one)) == 1
    assert await one.due.next_due() is None
    assert await one.counts() == {}


async def test_a_day_that_somebody_reads_is_dropped_later_and_nobody_waits_for_it(street: Street) -> None:
    one, two = await street.house(), await street.house()
    claims = await street.planned()
    await one.ingest.cancel(street.tenant, claims[0].notification.id, NOON, "caller")
    async with two.database.connection() as reading, reading.transaction():
        await reading.fetch("SELECT FROM notifications")
        assert await _dropped(one) == []
    assert len(await _dropped(one)) == 1


async def test_a_fold_and_a_drop_of_the_same_day_leave_nothing_of_it(street: Street) -> None:
    one, two = await street.house(), await street.house()
    claims = await street.planned()
    await one.ingest.cancel(street.tenant, claims[0].notification.id, NOON, "caller")
    await one.upkeep.upkeep(NOON, 90)
    await street.planned()
    await one.ingest.cancel(street.tenant, (await one.polled())[-1].notification.id, NOON, "caller")
    folding = two.database.transaction()
    connection = await folding.__aenter__()
    await partitions.alone(connection)
    await ledger.fold(connection)
    dropping = asyncio.create_task(_dropped(one))
    await until_waiting(one.database)
    await folding.__aexit__(None, None, None)
    assert "dropped day 20251123" in await ended(dropping)
    assert await one.counts() == {}
    assert (await one.insights.ledger(None, NOON, True)).accepted == 0


async def test_records_of_a_day_that_was_dropped_hold_nothing_up(street: Street) -> None:
    """The log may keep them for longer."""
    one = await street.house()
    claims = await street.planned(2)
    known = await one.deliver.standings(again(claims))
    for claim in claims:
        await one.ingest.cancel(street.tenant, claim.notification.id, NOON, "caller")
    await one.database.run("DELETE FROM operator_acts")
    assert len(await _dropped(one)) == 1
    assert await one.route.decide([routed(claim.notification) for claim in claims], NOON, ()) == 0
    number, gone = await one.deliver.begin(PUSH, again(claims), known.as_of, NOON)
    assert (number, len(gone)) == (0, 2)
    await one.deliver.settle(Settlement([outcome(claim, "expired", previous="waiting") for claim in claims]))
    assert await one.counts() == {}


async def test_early_news_of_a_day_that_was_dropped_is_forgotten(street: Street) -> None:
    one = await street.house()
    claims = await street.planned()
    await one.ingest.cancel(street.tenant, claims[0].notification.id, NOON, "caller")
    await one.database.run("INSERT INTO early_news VALUES ($1, now() - interval '1 hour')", claims[0].delivery.id)
    await _dropped(one)
    await one.upkeep.upkeep(NOON, 90)
    assert await one.database.value("SELECT count(*) FROM early_news") == 0


async def test_partitions_that_two_make_at_once_are_made_once(street: Street) -> None:
    one, two = await street.house(), await street.house()
    made = await ended(asyncio.gather(one.upkeep.upkeep(NOON, 90), two.upkeep.upkeep(NOON, 90)))
    assert sorted(len([word for word in words if word.startswith("made")]) for words in made) == [0, 9]


async def _dropped(house: House) -> list[str]:
    """What is dropped when the tests' day is over."""
    days_later = NOON + 20 * 86_400_000
    return [word for word in await house.upkeep.upkeep(days_later, 10) if word.startswith("dropped")]
