"""Processes that meet in the middle of their transactions: whoever comes when, the ports' promises hold and the ledger
balances.

Each test holds a process back at one of its statements, lets another one do something, and lets the first go on.
"""

import asyncio
from typing import Any

import msgspec
import pytest
from tests.postgres_houses import COMMIT, PUSH, House, Street, again, ended
from tests.postgres_room import until_waiting

from bellhouse.domain.delivery import Detail, NewsKind
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.store.confirm import NewsRow
from bellhouse.ports.store.deliver import Claim, DeadLetter, Settlement
from bellhouse.ports.store.errors import LeaseLost, StoreUnavailable
from bellhouse.ports.store.ingest import Accepted, Repeated
from bellhouse.testing.records import HOUR, NOON, acceptance, flight_of_two, notification, outcome, routed

_encode = msgspec.msgpack.Encoder().encode


@pytest.fixture
async def two(street: Street, one: House) -> House:
    return await street.house()


def _news(claim: Claim, kind: NewsKind = "delivered", n: int = 1, attempt: int = 1) -> NewsRow:
    return NewsRow(claim.delivery.id, n, attempt, kind, NOON, _encode(Detail(attempt=attempt, news=kind)))


async def _begun(house: House, claims: list[Claim]) -> int:
    known = await house.deliver.standings(claims)
    intent, ended = await house.deliver.begin(PUSH, claims, known.as_of, NOON)
    assert not ended
    return intent


async def _dead_letter(street: Street, house: House) -> Claim:
    (claim,) = await street.planned()
    intent = await _begun(house, [claim])
    letter = DeadLetter(claim.delivery, claim.notification, "dead_lettered:attempts_exhausted", NOON)
    await house.deliver.settle(Settlement([outcome(claim, "dead_lettered")], [letter], intents=[intent]))
    return claim


async def _sendable(house: House, claims: list[Claim]) -> list[str]:
    """What each claim comes to: `go`, `stale`, or who is sending it."""
    known = await house.deliver.standings(claims)
    return ["stale" if s.stale else s.sending if s.sending != "no" else "go" for s in known.standings]


# --- accept ---


async def test_of_two_that_accept_the_same_key_the_second_waits_and_is_answered_with_the_first(
    street: Street, one: House, two: House
) -> None:
    await street.accepted()
    first, second = (notification(street.tenant, street.recipients[0]) for _ in range(2))
    gate = one.hold(COMMIT)
    accepting = asyncio.create_task(one.ingest.accept([acceptance(first, "key")], NOON))
    await gate.reached()
    repeating = asyncio.create_task(two.ingest.accept([acceptance(second, "key")], NOON))
    await until_waiting(two.database)
    gate.open()
    assert await ended(accepting) == [Accepted(first.id)]
    assert await ended(repeating) == [Repeated(first.id)]
    assert (await one.insights.ledger(None, NOON, True)).accepted == 2
    await one.counts()


async def test_a_key_whose_first_holder_fails_is_the_seconds(street: Street, one: House, two: House) -> None:
    await street.accepted()
    first, second = (notification(street.tenant, street.recipients[0]) for _ in range(2))
    gate = one.hold(COMMIT)
    accepting = asyncio.create_task(one.ingest.accept([acceptance(first, "key")], NOON))
    await gate.reached()
    repeating = asyncio.create_task(two.ingest.accept([acceptance(second, "key")], NOON))
    await until_waiting(two.database)
    accepting.cancel()
    assert await ended(repeating) == [Accepted(second.id)]


async def test_batches_with_the_same_keys_in_another_order_do_not_wait_in_a_circle(
    street: Street, one: House, two: House
) -> None:
    await street.accepted()
    keys = [f"key-{i}" for i in range(40)]
    for turn in range(5):
        mine, theirs = (
            [acceptance(notification(street.tenant, street.recipients[0]), f"{key}-{turn}") for key in keys]
            for _ in range(2)
        )
        results = await ended(asyncio.gather(one.ingest.accept(mine, NOON), two.ingest.accept(theirs[::-1], NOON)))
        assert sum(isinstance(result, Accepted) for result in results[0] + results[1]) == 40


async def test_keys_that_are_taken_again_while_they_are_forgotten_are_not_waited_for_in_vain(
    street: Street, one: House, two: House
) -> None:
    """A nightly job uses its keys again just when they have lived their day; whoever forgets them comes back later."""
    await street.accepted()
    keys = [f"key-{i}" for i in range(60)]
    items = [notification(street.tenant, street.recipients[0]) for _ in keys]
    await one.ingest.accept([acceptance(item, key) for item, key in zip(items, keys, strict=True)], NOON)
    tomorrow = NOON + 24 * HOUR + 2
    later = [notification(street.tenant, street.recipients[0], tomorrow) for _ in keys]
    gate = two.hold("ingest.accept")
    taking = [acceptance(item, key) for item, key in zip(later[::2], keys[::2], strict=True)]
    retaken = asyncio.create_task(two.ingest.accept(taking, tomorrow))
    await gate.reached()
    with pytest.raises(StoreUnavailable, match="busy"):
        await ended(one.ingest.forget_keys(tomorrow, 1_000))
    gate.open()
    assert all(isinstance(result, Accepted) for result in await ended(retaken))
    assert await one.ingest.forget_keys(tomorrow, 1_000) == len(keys)
    repeat = notification(street.tenant, street.recipients[0], tomorrow)
    assert await one.ingest.accept([acceptance(repeat, keys[0])], tomorrow) == [Repeated(later[0].id)]


# --- relay, decide, due ---


async def test_two_relays_take_different_rows(street: Street, one: House, two: House) -> None:
    first = await street.accepted(3)
    gate = one.hold(COMMIT)
    relaying = asyncio.create_task(one.outbox.relay("normal", 1))
    await gate.reached()
    await street.accepted(2)
    assert await two.outbox.relay("normal", 100) == 2
    gate.open()
    assert await ended(relaying) == 3
    assert len(street.log.records) == len(first) + 2


async def test_a_relay_that_dies_after_it_has_appended_leaves_its_rows_to_the_next(
    street: Street, one: House, two: House
) -> None:
    await street.accepted(2)
    gate = one.hold(COMMIT)
    relaying = asyncio.create_task(one.outbox.relay("normal", 100))
    await gate.reached()
    relaying.cancel()
    await asyncio.wait([relaying])
    assert await two.outbox.relay("normal", 100) == 2
    assert await two.outbox.relay("normal", 100) == 0
    assert len(street.log.records) == 4


async def test_rows_stay_where_the_log_says_no(street: Street, one: House) -> None:
    await street.accepted(2)
    street.log.down = True
    with pytest.raises(LogUnavailable):
        await one.outbox.relay("normal", 100)
    assert (await one.outbox.pending())["normal"].records == 2
    street.log.down = False
    assert await one.outbox.relay("normal", 100) == 2


async def test_two_routers_that_decide_the_same_agree_on_one_decision(street: Street, one: House, two: House) -> None:
    items = await street.accepted(20)
    gate = one.hold(COMMIT)
    deciding = asyncio.create_task(one.route.decide([routed(item) for item in items], NOON, ()))
    await gate.reached()
    other = asyncio.create_task(two.route.decide([routed(item, 2) for item in reversed(items)], NOON, ()))
    await until_waiting(two.database)
    gate.open()
    assert await ended(deciding) == 20
    assert await ended(other) == 0
    assert await one.counts() == {"waiting": 20}
    assert len({record.value for record in street.log.of(PUSH)}) == 20


async def test_a_router_and_a_cancellation_that_meet_agree(street: Street, one: House, two: House) -> None:
    (item,) = await street.accepted()
    gate = one.hold(COMMIT)
    deciding = asyncio.create_task(one.route.decide([routed(item)], NOON, ()))
    await gate.reached()
    cancelling = asyncio.create_task(two.ingest.cancel(street.tenant, item.id, NOON, "caller"))
    await until_waiting(two.database)
    gate.open()
    await ended(deciding)
    assert await ended(cancelling) == "cancelled"
    (claim,) = await one.polled()
    assert await _sendable(one, [claim]) == ["stale"]
    assert await one.counts() == {"cancelled": 1}


async def test_a_cancellation_before_the_decision_leaves_nothing_to_publish(
    street: Street, one: House, two: House
) -> None:
    (item,) = await street.accepted()
    gate = two.hold(COMMIT)
    cancelling = asyncio.create_task(two.ingest.cancel(street.tenant, item.id, NOON, "caller"))
    await gate.reached()
    deciding = asyncio.create_task(one.route.decide([routed(item)], NOON, ()))
    await until_waiting(one.database)
    gate.open()
    assert await ended(cancelling) == "cancelled"
    assert await ended(deciding) == 0
    assert street.log.of(PUSH) == []
    await one.counts()


async def test_due_rows_are_released_once_by_two_that_release_side_by_side(
    street: Street, one: House, two: House
) -> None:
    await street.accepted(6, ready_at=NOON + HOUR)
    gate = one.hold(COMMIT)
    releasing = asyncio.create_task(one.due.release_due(NOON + HOUR, 4))
    await gate.reached()
    assert await two.due.release_due(NOON + HOUR, 4) == 2
    gate.open()
    assert await ended(releasing) == 4
    assert len(street.log.records) == 6


async def test_parked_rows_are_released_once_by_two_that_release_side_by_side(
    street: Street, one: House, two: House
) -> None:
    claims = await street.planned(5)
    parked = [outcome(claim, "waiting", previous="waiting", again_at=NOON + HOUR, park=True) for claim in claims]
    await one.deliver.settle(Settlement(parked))
    before = len(street.log.records)
    gate = one.hold(COMMIT)
    releasing = asyncio.create_task(one.due.release_parked("push", "normal", 3))
    await gate.reached()
    assert await two.due.release_parked("push", "normal", 10) == 2
    gate.open()
    assert await ended(releasing) == 3
    assert len(street.log.records) == before + 5


# --- begin, cancel ---


async def test_a_worker_that_begins_after_a_cancellation_has_begun_sees_it(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    known = await one.deliver.standings([claim])
    gate = two.hold(COMMIT)
    cancelling = asyncio.create_task(two.ingest.cancel(street.tenant, claim.notification.id, NOON, "caller"))
    await gate.reached()
    beginning = asyncio.create_task(one.deliver.begin(PUSH, [claim], known.as_of, NOON))
    await until_waiting(one.database)
    gate.open()
    assert await ended(cancelling) == "cancelled"
    assert await ended(beginning) == (0, {claim.delivery.id})
    assert await one.counts() == {"cancelled": 1}


async def test_a_cancellation_that_comes_while_a_worker_begins_is_too_late(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    known = await one.deliver.standings([claim])
    gate = one.hold(COMMIT)
    beginning = asyncio.create_task(one.deliver.begin(PUSH, [claim], known.as_of, NOON))
    await gate.reached()
    cancelling = asyncio.create_task(two.ingest.cancel(street.tenant, claim.notification.id, NOON, "caller"))
    await until_waiting(two.database)
    gate.open()
    intent, _ = await ended(beginning)
    assert await ended(cancelling) == "too_late"
    await one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent]))
    assert await one.counts() == {"sent": 1}


async def test_a_cancellation_does_not_undo_what_was_concluded_without_sending(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    gate = one.hold(COMMIT)
    refusing = asyncio.create_task(
        one.deliver.settle(Settlement([outcome(claim, "expired", previous="waiting")], intents=[]))
    )
    await gate.reached()
    cancelling = asyncio.create_task(two.ingest.cancel(street.tenant, claim.notification.id, NOON, "caller"))
    await until_waiting(two.database)
    gate.open()
    await ended(refusing)
    assert await ended(cancelling) == "too_late"
    assert await one.counts() == {"expired": 1}


# --- news ---


async def test_news_that_meets_the_settling_of_its_first_attempt_counts(street: Street, one: House, two: House) -> None:
    """Wherever the settling commits between what the news looks at, the delivery ends as delivered."""
    places = ("early.rows", "confirm.put_news", COMMIT)
    for n, place in enumerate(places):
        (claim,) = await street.planned()
        intent = await _begun(one, [claim])
        gate = two.hold(place)
        news = asyncio.create_task(two.confirm.news([_news(claim, n=n)]))
        await gate.reached()
        await ended(one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent])))
        gate.open()
        await ended(news)
        assert await one.counts() == {"delivered": n + 1}, place


async def test_news_that_comes_while_its_first_attempt_is_being_settled_counts(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    intent = await _begun(one, [claim])
    gate = one.hold(COMMIT)
    settling = asyncio.create_task(one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent])))
    await gate.reached()
    await ended(two.confirm.news([_news(claim)]))
    gate.open()
    await ended(settling)
    assert await one.counts() == {"delivered": 1}


async def test_news_of_an_earlier_attempt_and_a_retry_that_begins_do_not_pass_one_another(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    intent = await _begun(one, [claim])
    await one.deliver.settle(Settlement([outcome(claim, "waiting", again_at=NOON + 1)], intents=[intent]))
    assert await one.due.release_due(NOON + 1, 10) == 1
    retry = (await one.polled())[-1]
    known = await one.deliver.standings([retry])
    gate = two.hold(COMMIT)
    news = asyncio.create_task(two.confirm.news([_news(claim)]))
    await gate.reached()
    beginning = asyncio.create_task(one.deliver.begin(PUSH, [retry], known.as_of, NOON))
    await until_waiting(one.database)
    gate.open()
    assert len((await ended(news)).moved) == 1
    assert await ended(beginning) == (0, {claim.delivery.id})
    assert await one.counts() == {"delivered": 1}


async def test_news_of_an_earlier_attempt_waits_where_the_retry_has_begun(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    intent = await _begun(one, [claim])
    await one.deliver.settle(Settlement([outcome(claim, "waiting", again_at=NOON + 1)], intents=[intent]))
    await one.due.release_due(NOON + 1, 10)
    retry = (await one.polled())[-1]
    known = await one.deliver.standings([retry])
    gate = one.hold(COMMIT)
    beginning = asyncio.create_task(one.deliver.begin(PUSH, [retry], known.as_of, NOON))
    await gate.reached()
    news = asyncio.create_task(two.confirm.news([_news(claim)]))
    await until_waiting(two.database)
    gate.open()
    intent, _ = await ended(beginning)
    assert (await ended(news)).moved == () or (await one.counts()) == {"in_flight": 1}
    await one.deliver.settle(Settlement([outcome(retry, "sent")], intents=[intent]))
    assert await one.counts() == {"delivered": 1}


async def test_two_pieces_of_news_about_the_same_delivery_are_both_counted(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    intent = await _begun(one, [claim])
    await one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent]))
    gate = one.hold(COMMIT)
    first = asyncio.create_task(one.confirm.news([_news(claim, "delivered", 1)]))
    await gate.reached()
    second = asyncio.create_task(two.confirm.news([_news(claim, "failed", 2)]))
    await until_waiting(two.database)
    gate.open()
    await ended(first)
    await ended(second)
    assert await one.counts() == {"failed": 1}


async def test_the_same_news_twice_at_the_same_moment_counts_once(street: Street, one: House, two: House) -> None:
    (claim,) = await street.planned()
    intent = await _begun(one, [claim])
    await one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent]))
    gate = one.hold(COMMIT)
    first = asyncio.create_task(one.confirm.news([_news(claim)]))
    await gate.reached()
    second = asyncio.create_task(two.confirm.news([_news(claim)]))
    await until_waiting(two.database)
    gate.open()
    assert len((await ended(first)).moved) == 1
    assert (await ended(second)).repeated == 1
    assert await one.counts() == {"delivered": 1}


async def test_news_that_comes_while_earlier_news_of_its_delivery_is_merged_is_merged_too(
    street: Street, one: House, two: House
) -> None:
    """The second piece was taken for early as well, and is written just before the first one's merge forgets that any
    was early."""
    (claim,) = await street.planned()
    intent = await _begun(one, [claim])
    await two.confirm.news([_news(claim, "accepted", 1)])
    writing = two.hold("confirm.put_news")
    news = asyncio.create_task(two.confirm.news([_news(claim, "delivered", 2)]))
    await writing.reached()
    merging = one.hold("early.done")
    settling = asyncio.create_task(one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent])))
    await merging.reached()
    writing.open()
    await asyncio.wait([news], timeout=0.3)
    merging.open()
    await ended(settling)
    await ended(news)
    assert await one.counts() == {"delivered": 1}


async def test_merges_of_the_same_news_by_two_processes_count_once(street: Street, one: House, two: House) -> None:
    claims = await street.planned(3)
    intent = await _begun(one, claims)
    await two.confirm.news([_news(claim) for claim in claims])
    gate = one.hold("early.done")
    settling = asyncio.create_task(
        one.deliver.settle(Settlement([outcome(claim, "sent") for claim in claims], intents=[intent]))
    )
    await gate.reached()
    upkeep = asyncio.create_task(two.confirm.news([_news(claim, "failed", 2) for claim in reversed(claims)]))
    await until_waiting(two.database)
    gate.open()
    await ended(settling)
    await ended(upkeep)
    assert await one.counts() == {"failed": 3}


# --- the same work in two hands ---


async def test_a_record_that_is_in_the_log_twice_is_sent_once(street: Street, one: House) -> None:
    """A router that was killed after it had published publishes again; neither copy is marked."""
    (claim,) = await street.planned()
    intent = await _begun(one, [claim])
    assert await _sendable(one, [claim]) == ["elsewhere"]
    await one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent]))
    assert await _sendable(one, [claim]) == ["stale"]
    assert await one.counts() == {"sent": 1}


async def test_both_copies_of_a_record_in_one_batch_are_sent_once(street: Street, one: House) -> None:
    (claim,) = await street.planned()
    assert await _sendable(one, [claim, claim]) == ["go", "stale"]


async def test_a_copy_of_what_was_held_back_is_not_counted_twice(street: Street, one: House) -> None:
    """The first copy waits, which is not written yet; the second one is begun meanwhile."""
    (claim,) = await street.planned()
    intent = await _begun(one, [claim])
    held = outcome(claim, "waiting", previous="waiting", again_at=NOON + HOUR)
    await one.deliver.settle(Settlement([held]))
    assert await one.counts() == {"in_flight": 1}
    await one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent]))
    assert await one.counts() == {"sent": 1}
    assert await one.due.next_due() is None


async def test_two_outcomes_of_one_step_in_one_settlement_count_once(street: Street, one: House, two: House) -> None:
    """A killed process's record is answered for twice before the first answer is written."""
    (claim,) = await street.planned()
    await _begun(two, [claim])
    await two.members.leave()
    assert await _sendable(one, again([claim])) == ["interrupted"]
    unknown = outcome(claim, "unknown", again_at=NOON + 1)
    await one.deliver.settle(Settlement([unknown, unknown]))
    assert await one.counts() == {"unknown": 1}


async def test_a_copy_that_was_published_after_a_take_over_finds_the_dead_processs_intent(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    await _begun(two, [claim])
    assert await _sendable(one, again([claim])) == ["elsewhere"]
    assert await _sendable(one, [claim]) == ["elsewhere"]
    await two.members.leave()
    assert await _sendable(one, [claim]) == ["interrupted"]


async def test_of_two_that_hold_the_same_record_one_begins_it(street: Street, one: House, two: House) -> None:
    """Its partition went to the other between the polling and the beginning."""
    (claim,) = await street.planned()
    known = await one.deliver.standings([claim])
    taken = again([claim])
    theirs = await two.deliver.standings(taken)
    intent, _ = await two.deliver.begin(PUSH, taken, theirs.as_of, NOON)
    with pytest.raises(LeaseLost):
        await one.deliver.begin(PUSH, [claim], known.as_of, NOON)
    assert await one.counts() == {"in_flight": 1}
    await two.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent]))
    assert await one.deliver.begin(PUSH, [claim], known.as_of, NOON) == (0, {claim.delivery.id})
    assert await one.counts() == {"sent": 1}


async def test_who_takes_over_a_record_that_is_being_begun_waits_and_leaves_it(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    known = await one.deliver.standings([claim])
    gate = one.hold(COMMIT)
    beginning = asyncio.create_task(one.deliver.begin(PUSH, [claim], known.as_of, NOON))
    await gate.reached()
    taken = again([claim])
    theirs = await two.deliver.standings(taken)
    taking = asyncio.create_task(two.deliver.begin(PUSH, taken, theirs.as_of, NOON))
    await until_waiting(two.database)
    gate.open()
    intent, _ = await ended(beginning)
    with pytest.raises(LeaseLost):
        await ended(taking)
    assert await _sendable(two, taken) == ["elsewhere"]
    await one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent]))
    assert await _sendable(two, taken) == ["stale"]
    assert await one.counts() == {"sent": 1}


async def test_who_takes_over_a_record_that_was_sent_meanwhile_does_not_begin_it(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    theirs = await two.deliver.standings(again([claim]))
    intent = await _begun(one, [claim])
    await one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent]))
    assert await two.deliver.begin(PUSH, again([claim]), theirs.as_of, NOON) == (0, {claim.delivery.id})
    assert await one.counts() == {"sent": 1}


async def test_what_was_held_back_before_its_partition_went_is_left_to_who_has_begun_it(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    await one.deliver.standings([claim])
    intent = await _begun(two, again([claim]))
    held = outcome(claim, "waiting", previous="waiting", again_at=NOON + HOUR)
    await one.deliver.settle(Settlement([held]))
    assert await one.counts() == {"in_flight": 1}
    assert await one.due.next_due() is None
    await two.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent]))
    assert await one.counts() == {"sent": 1}


async def test_what_is_being_held_back_is_not_begun_by_who_takes_over(street: Street, one: House, two: House) -> None:
    (claim,) = await street.planned()
    taken = again([claim])
    theirs = await two.deliver.standings(taken)
    gate = one.hold(COMMIT)
    held = outcome(claim, "waiting", previous="waiting", again_at=NOON + HOUR)
    holding = asyncio.create_task(one.deliver.settle(Settlement([held])))
    await gate.reached()
    taking = asyncio.create_task(two.deliver.begin(PUSH, taken, theirs.as_of, NOON))
    await until_waiting(two.database)
    gate.open()
    await ended(holding)
    assert await ended(taking) == (0, {claim.delivery.id})
    assert await one.counts() == {"waiting": 1}


# --- settle ---


async def test_a_settlement_whose_answer_was_lost_is_repeated_and_changes_nothing(
    street: Street, one: House, two: House
) -> None:
    claims = await street.planned(4)
    intent = await _begun(one, claims)
    last = claims[3]
    letters = [DeadLetter(last.delivery, last.notification, "dead_lettered:attempts_exhausted", NOON)]
    settlement = Settlement(
        [
            outcome(claims[0], "sent"),
            outcome(claims[1], "waiting", again_at=NOON + 1),
            *flight_of_two(claims[2]),
            outcome(last, "dead_lettered"),
        ],
        letters,
        intents=[intent],
    )
    await one.deliver.settle(settlement)
    await two.dead_letters.replay([last.delivery.id], None, NOON, HOUR, "ops")
    expected = {"sent": 2, "waiting": 2}
    assert await one.counts() == expected
    await one.deliver.settle(settlement)
    assert await one.counts() == expected
    assert await one.dead_letters.depths() == {}
    assert await one.due.release_due(NOON + HOUR, 10) == 2
    story = await one.insights.story(None, claims[0].notification.id)
    assert story is not None
    assert [event.source for event in story.events] == ["worker"]


async def test_an_outcome_that_comes_after_the_attempt_was_called_interrupted_is_kept_as_news(
    street: Street, one: House, two: House
) -> None:
    (claim,) = await street.planned()
    intent = await _begun(one, [claim])
    await one.members.leave()
    assert await _sendable(two, again([claim])) == ["interrupted"]
    await two.deliver.settle(Settlement([outcome(claim, "unknown", again_at=NOON + 1)]))
    await one.deliver.settle(Settlement([outcome(claim, "sent")], intents=[intent]))
    assert await one.counts() == {"sent": 1}
    assert await two.due.release_due(NOON + 1, 10) == 1
    assert await _sendable(two, [(await two.polled())[-1]]) == ["stale"]


async def test_an_outcome_and_the_call_that_it_was_interrupted_meet_in_any_order(
    street: Street, one: House, two: House
) -> None:
    claims = await street.planned(10)
    intent = await _begun(one, claims)
    await one.members.leave()
    taken = again(claims)
    assert await _sendable(two, taken) == ["interrupted"] * 10
    gate = one.hold("deliver.settle")
    settling = asyncio.create_task(
        one.deliver.settle(Settlement([outcome(claim, "sent") for claim in claims[:5]], intents=[intent]))
    )
    await gate.reached()
    unknown = [outcome(claim, "unknown", again_at=NOON + 1) for claim in reversed(claims)]
    taking = asyncio.create_task(two.deliver.settle(Settlement(unknown)))
    await until_waiting(two.database)
    gate.open()
    await ended(settling)
    await ended(taking)
    assert await one.counts() == {"sent": 5, "unknown": 5}
    assert await two.due.release_due(NOON + 1, 10) == 5


async def test_outcomes_of_the_same_deliveries_in_another_order_do_not_wait_in_a_circle(
    street: Street, one: House, two: House
) -> None:
    for _ in range(3):
        claims = await street.planned(40)
        intent = await _begun(one, claims)
        await one.members.leave()
        await _sendable(two, again(claims))
        unknown = [outcome(claim, "unknown", again_at=NOON + 1) for claim in reversed(claims)]
        sent = [outcome(claim, "sent") for claim in claims]
        await ended(
            asyncio.gather(
                one.deliver.settle(Settlement(sent, intents=[intent])), two.deliver.settle(Settlement(unknown))
            )
        )
        await one.join()
    assert await one.counts() == {"sent": 120}


async def test_late_outcomes_and_news_of_the_same_deliveries_do_not_wait_in_a_circle(
    street: Street, one: House, two: House
) -> None:
    claims = await street.planned(30)
    intent = await _begun(one, claims)
    await one.members.leave()
    await _sendable(two, again(claims))
    await two.deliver.settle(Settlement([outcome(claim, "unknown", again_at=NOON + 1) for claim in claims]))
    late = Settlement([outcome(claim, "sent") for claim in reversed(claims)], intents=[intent])
    await ended(
        asyncio.gather(one.deliver.settle(late), two.confirm.news([_news(claim, attempt=2) for claim in claims]))
    )
    assert await one.counts() == {"delivered": 30}


# --- dead letters ---


async def test_a_letter_that_is_replayed_and_discarded_at_once_goes_one_way(
    street: Street, one: House, two: House
) -> None:
    claim = await _dead_letter(street, one)
    gate = one.hold(COMMIT)
    replaying = asyncio.create_task(one.dead_letters.replay([claim.delivery.id], None, NOON, HOUR, "ops"))
    await gate.reached()
    discarding = asyncio.create_task(two.dead_letters.discard([claim.delivery.id], None, NOON, "ops", "why"))
    await until_waiting(two.database)
    gate.open()
    assert (await ended(replaying), await ended(discarding)) == (1, 0)
    assert await one.counts() == {"waiting": 1}


async def test_a_replay_and_news_that_meet_leave_the_delivery_where_the_news_says(
    street: Street, one: House, two: House
) -> None:
    claim = await _dead_letter(street, one)
    gate = two.hold(COMMIT)
    news = asyncio.create_task(two.confirm.news([_news(claim)]))
    await gate.reached()
    replaying = asyncio.create_task(one.dead_letters.replay([claim.delivery.id], None, NOON, HOUR, "ops"))
    await until_waiting(one.database)
    gate.open()
    await ended(news)
    assert await ended(replaying) == 0
    assert await one.counts() == {"delivered": 1}


# --- the ledger ---


async def test_a_recount_while_others_write_is_of_one_moment(street: Street, one: House, two: House) -> None:
    async def busy() -> None:
        for _ in range(10):
            claims = await street.planned(5)
            intent = await _begun(one, claims)
            await one.deliver.settle(Settlement([outcome(claim, "sent") for claim in claims], intents=[intent]))

    async def looking(working: "asyncio.Task[None]") -> None:
        while not working.done():
            await two.upkeep.upkeep(NOON, 90)
            await two.counts()

    working = asyncio.create_task(busy())
    await ended(asyncio.gather(working, looking(working)))
    assert await two.counts() == {"sent": 50}


async def test_folding_by_two_processes_counts_every_move_once(street: Street, one: House, two: House) -> None:
    for _ in range(5):
        await street.planned(3)
        await ended(asyncio.gather(one.upkeep.upkeep(NOON, 90), two.upkeep.upkeep(NOON, 90)))
    assert await one.counts() == {"waiting": 15}


async def test_a_busy_statement_is_said_to_be_busy(street: Street, one: House, two: House) -> None:
    """Two that wait in a circle: one of them is told to try again, and has written nothing."""
    await street.accepted()
    moves: list[Any] = []

    async def moving(house: House, first: int, second: int) -> None:
        async with house.database.transaction() as connection:
            await connection.execute("UPDATE recipients SET updated_at = 1 WHERE recipient = $1", first)
            moves.append(first)
            while len(moves) < 2:
                await asyncio.sleep(0)
            await connection.execute("UPDATE recipients SET updated_at = 1 WHERE recipient = $1", second)

    a, b = street.recipients[:2]
    results = await ended(asyncio.gather(moving(one, a, b), moving(two, b, a), return_exceptions=True))
    refused = [result for result in results if result is not None]
    assert [getattr(error, "reason", error) for error in refused] == ["busy"]
    assert isinstance(refused[0], StoreUnavailable)
