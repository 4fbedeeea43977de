"""What every store with its log must do, whatever stands behind the ports: one suite, run on each adapter.

A test class inherits StoreSuite and provides the fixture `house`: an object with one attribute for each part
(`ingest`, `route`, `deliver`, `due`, `confirm`, `recipients`, `catalogue`, `dead_letters`, `insights`) on an empty
store; `records(topic)`, which answers everything that has come into the log's topic by now, in order; and `reopen()`,
which gives the same store as a new process would see it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import TenantNo, delivery_id
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import Priority
from bellhouse.ports.log import GROUP_OF, Position, deliveries_topic, notifications_topic
from bellhouse.ports.store.confirm import NewsRow
from bellhouse.ports.store.dead_letters import DeadLetterFilter
from bellhouse.ports.store.deliver import Claim, DeadLetter, Retirement, Settlement, Suppression
from bellhouse.ports.store.ingest import Accepted, KeyReused, Repeated
from bellhouse.ports.store.insights import ListQuery, Recent
from bellhouse.ports.store.providers import BreakerRow, Sign
from bellhouse.testing.records import (
    HOUR,
    NOON,
    acceptance,
    flight_of_two,
    found_tenant,
    notification,
    open_claim,
    outcome,
    routed,
)

PUSH = deliveries_topic("push", "normal")
NORMAL = notifications_topic("normal")


def _done(topic: str, offset: int) -> tuple[Position, ...]:
    return (Position(GROUP_OF[topic], topic, offset),)


class StoreSuite:
    """The conformance suite of the store and log ports."""

    # --- what the tests are made of ---

    async def _accepted(self, house: Any, count: int = 1, **words: Any) -> tuple[TenantNo, list[Notification]]:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        items = [notification(tenant, numbers[0], NOON, **words) for _ in range(count)]
        await house.ingest.accept([acceptance(item) for item in items], NOON)
        return tenant, items

    async def _claims(self, house: Any, count: int = 1) -> list[Claim]:
        """Deliveries that have been accepted, routed and polled."""
        _, items = await self._accepted(house, count)
        await house.route.decide([routed(item) for item in items], NOON, _done(NORMAL, count))
        return await self._polled(house)

    async def _polled(self, house: Any) -> list[Claim]:
        return [open_claim(record) for record in await house.records(PUSH)]

    async def _sent(self, house: Any, claims: Sequence[Claim]) -> None:
        intent, _ = await house.deliver.begin(PUSH, claims, 0, NOON)
        outcomes = [outcome(claim, "sent") for claim in claims]
        await house.deliver.settle(Settlement(outcomes, intents=[intent]))

    async def _counts(self, house: Any) -> dict[str, int]:
        """The ledger's delivery level, and the proof that it is what counting the rows gives."""
        ledger = await house.insights.ledger(None, NOON, True)
        assert [check for check in ledger.checks if not check.holds] == []
        return {line.state: line.counted for line in ledger.lines if line.level == "delivery" and line.counted}

    # --- ingest ---

    async def test_what_is_accepted_is_in_the_log_of_its_priority(self, house: Any) -> None:
        _, items = await self._accepted(house, 3)
        records = await house.records(NORMAL)
        assert [msgspec.msgpack.decode(record, type=Notification) for record in records] == items

    async def test_a_repeat_of_a_key_is_answered_with_the_first_notification(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        first, second = (notification(tenant, numbers[0]) for _ in range(2))
        assert await house.ingest.accept([acceptance(first, "k")], NOON) == [Accepted(first.id)]
        assert await house.ingest.accept([acceptance(second, "k")], NOON) == [Repeated(first.id)]
        assert len(await house.records(NORMAL)) == 1

    async def test_a_key_with_another_body_is_refused(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        items = [notification(tenant, numbers[0]) for _ in range(2)]
        await house.ingest.accept([acceptance(items[0], "k", "one")], NOON)
        assert await house.ingest.accept([acceptance(items[1], "k", "two")], NOON) == [KeyReused()]

    async def test_equal_keys_within_a_batch_are_folded_in_their_order(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        items = [notification(tenant, numbers[0]) for _ in range(3)]
        keys = [("k", "one"), ("k", "one"), ("k", "two")]
        given = [acceptance(item, key, body) for item, (key, body) in zip(items, keys, strict=True)]
        assert await house.ingest.accept(given, NOON) == [Accepted(items[0].id), Repeated(items[0].id), KeyReused()]

    async def test_a_key_lives_for_24_hours_across_midnight_and_a_restart(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        first = notification(tenant, numbers[0])
        await house.ingest.accept([acceptance(first, "k")], NOON)
        house = await house.reopen()
        soon, later = NOON + 23 * HOUR, NOON + 25 * HOUR
        repeat = notification(tenant, numbers[0], soon)
        assert await house.ingest.accept([acceptance(repeat, "k")], soon) == [Repeated(first.id)]
        again = notification(tenant, numbers[0], later)
        assert await house.ingest.accept([acceptance(again, "k")], later) == [Accepted(again.id)]

    async def test_keys_are_forgotten_when_they_have_lived_their_day_and_not_before(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        items = [notification(tenant, numbers[0]) for _ in range(3)]
        await house.ingest.accept([acceptance(item, str(i)) for i, item in enumerate(items)], NOON)
        assert await house.ingest.forget_keys(NOON + 23 * HOUR, 10) == 0
        assert await house.ingest.forget_keys(NOON + 25 * HOUR, 2) == 2
        assert await house.ingest.forget_keys(NOON + 25 * HOUR, 2) == 1

    async def test_keys_of_two_tenants_have_nothing_to_do_with_one_another(self, house: Any) -> None:
        given = []
        for name in ("acme", "globex"):
            tenant, numbers = await found_tenant(house.catalogue, house.recipients, name)
            given.append(acceptance(notification(tenant, numbers[0]), "k"))
        results = await house.ingest.accept(given, NOON)
        assert [type(result) for result in results] == [Accepted, Accepted]

    async def test_what_is_to_be_sent_later_is_not_in_the_log_before_its_moment(self, house: Any) -> None:
        await self._accepted(house, ready_at=NOON + HOUR)
        assert await house.due.next_due() == NOON + HOUR
        assert await house.due.next_due(NOON + HOUR) is None
        assert await house.due.release_due(NOON + HOUR - 1, 10) == 0
        assert not await house.records(NORMAL)
        assert await house.due.release_due(NOON + HOUR, 10) == 1
        assert len(await house.records(NORMAL)) == 1
        assert await house.due.next_due() is None

    async def test_what_is_overdue_is_known_by_priority_and_since_when(self, house: Any) -> None:
        tenant, items = await self._accepted(house, ready_at=NOON + HOUR)
        words: tuple[tuple[Priority, int], ...] = (("normal", HOUR + 1), ("low", HOUR), ("high", HOUR + 2))
        later = [notification(tenant, items[0].recipient, NOON, priority, NOON + after) for priority, after in words]
        await house.ingest.accept([acceptance(item) for item in later], NOON)
        assert await house.due.overdue(NOON + HOUR - 1) == {}
        assert await house.due.overdue(NOON + HOUR + 1) == {"normal": NOON + HOUR, "low": NOON + HOUR}
        await house.due.release_due(NOON + HOUR, 10)
        assert await house.due.overdue(NOON + HOUR + 1) == {"normal": NOON + HOUR + 1}

    async def test_only_recipients_that_exist_are_known(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        known = await house.ingest.known_recipients(tenant, ["u1", "nobody", "u0"])
        assert known == {"u0": numbers[0], "u1": numbers[1]}

    async def test_a_deleted_recipient_is_unknown_at_once_in_every_process(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        other = await house.reopen()
        assert await house.ingest.known_recipients(tenant, ["u0", "u1"]) == {"u0": numbers[0], "u1": numbers[1]}
        assert await other.recipients.delete_recipient(tenant, "u0")
        assert await house.ingest.known_recipients(tenant, ["u0", "u1"]) == {"u1": numbers[1]}
        profile = (await house.recipients.get_recipient(tenant, "u1"))[1]
        await other.recipients.put_recipient(tenant, msgspec.structs.replace(profile, user_id="u0"), NOON)
        assert (await house.ingest.known_recipients(tenant, ["u0"]))["u0"] not in numbers

    # --- cancel ---

    async def test_a_waiting_notification_is_cancelled_and_never_routed(self, house: Any) -> None:
        tenant, items = await self._accepted(house)
        assert await house.ingest.cancel(tenant, items[0].id, NOON, "caller") == "cancelled"
        assert await house.route.decide([routed(items[0])], NOON, ()) == 0
        assert await self._polled(house) == []
        assert await house.ingest.cancel(tenant, items[0].id, NOON, "caller") == "already_cancelled"

    async def test_planned_deliveries_are_cancelled_until_they_are_being_sent(self, house: Any) -> None:
        claims = await self._claims(house, 2)
        item = claims[0].notification
        assert await house.ingest.cancel(item.tenant, item.id, NOON, "caller") == "cancelled"
        _, cancelled = await house.deliver.begin(PUSH, claims, 0, NOON)
        assert cancelled == {claims[0].delivery.id}
        other = claims[1].notification
        assert await house.ingest.cancel(other.tenant, other.id, NOON, "caller") == "too_late"
        assert await self._counts(house) == {"cancelled": 1, "in_flight": 1}

    async def test_another_tenant_can_cancel_nothing(self, house: Any) -> None:
        _, items = await self._accepted(house)
        other = await house.catalogue.tenant("globex", "test")
        assert await house.ingest.cancel(other, items[0].id, NOON, "caller") == "unknown"

    # --- route ---

    async def test_a_notification_is_decided_once_however_often_its_record_comes(self, house: Any) -> None:
        _, items = await self._accepted(house)
        done = _done(NORMAL, 1)
        assert await house.route.decide([routed(items[0])], NOON, done) == 1
        assert await house.route.decide([routed(items[0], 3)], NOON, done) == 0
        assert {claim.delivery.id for claim in await self._polled(house)} == {delivery_id(items[0].id, 1)}
        assert await self._counts(house) == {"waiting": 1}

    async def test_a_deferred_delivery_waits_as_a_due_row(self, house: Any) -> None:
        _, items = await self._accepted(house)
        await house.route.decide([routed(items[0], ready_at=NOON + HOUR)], NOON, ())
        assert await self._polled(house) == []
        assert await house.due.release_due(NOON + HOUR, 10) == 1
        assert len(await self._polled(house)) == 1

    async def test_facts_are_those_of_the_moment(self, house: Any) -> None:
        tenant, items = await self._accepted(house)
        await house.recipients.put_suppression(Suppression(tenant, "u0@example.com", "bounce", NOON))
        facts = await house.route.facts(items)
        assert facts.profiles[items[0].recipient].user_id == "u0"
        assert facts.suppressed[tenant] == {"u0@example.com"}
        await house.recipients.delete_suppression(tenant, "u0@example.com")
        assert "u0@example.com" not in (await house.route.facts(items)).suppressed.get(tenant, frozenset())

    # --- deliver ---

    async def test_a_settled_delivery_is_stale_when_its_record_comes_again(self, house: Any) -> None:
        claims = await self._claims(house)
        await self._sent(house, claims)
        known = await house.deliver.standings(claims)
        assert [standing.stale for standing in known.standings] == [True]
        assert await self._counts(house) == {"sent": 1}

    async def test_a_retry_is_due_in_its_time_and_not_stale(self, house: Any) -> None:
        claims = await self._claims(house)
        intent, _ = await house.deliver.begin(PUSH, claims, 0, NOON)
        retry = outcome(claims[0], "waiting", again_at=NOON + 5_000)
        await house.deliver.settle(Settlement([retry], intents=[intent]))
        assert await house.due.release_due(NOON + 5_000, 10) == 1
        first, again = await self._polled(house)
        known = await house.deliver.standings([first, again])
        assert [standing.stale for standing in known.standings] == [True, False]
        assert again.delivery.calls == 1
        assert await self._counts(house) == {"waiting": 1}

    async def test_an_unknown_outcome_is_counted_as_such_until_it_is_settled(self, house: Any) -> None:
        claims = await self._claims(house)
        intent, _ = await house.deliver.begin(PUSH, claims, 0, NOON)
        unknown = outcome(claims[0], "unknown", again_at=NOON + 5_000)
        await house.deliver.settle(Settlement([unknown], intents=[intent]))
        assert await self._counts(house) == {"unknown": 1}
        await house.due.release_due(NOON + 5_000, 10)
        again = (await self._polled(house))[1:]
        await house.deliver.begin(PUSH, again, 0, NOON + 5_000)
        assert await self._counts(house) == {"in_flight": 1}
        await house.deliver.settle(Settlement([outcome(again[0], "sent")], intents=[intent + 1]))
        assert await self._counts(house) == {"sent": 1}

    async def test_an_outcome_of_what_was_never_sent_does_not_undo_a_cancellation(self, house: Any) -> None:
        claims = await self._claims(house, 2)
        item = claims[0].notification
        await house.ingest.cancel(item.tenant, item.id, NOON, "caller")
        held = outcome(claims[0], "waiting", previous="waiting", again_at=NOON + 1)
        letter = DeadLetter(claims[0].delivery, item, "dead_lettered:not_rendered", NOON)
        done = _done(PUSH, 2)
        await house.deliver.settle(
            Settlement([held, outcome(claims[1], "expired", previous="waiting")], [letter], done=done)
        )
        assert await house.due.next_due() is None
        assert await house.dead_letters.depths() == {}
        assert await self._counts(house) == {"cancelled": 1, "expired": 1}

    async def test_an_outcome_of_what_was_never_sent_does_not_undo_what_news_has_moved(self, house: Any) -> None:
        claims = await self._claims(house)
        intent, _ = await house.deliver.begin(PUSH, claims, 0, NOON)
        retry = outcome(claims[0], "waiting", again_at=NOON + 1)
        await house.deliver.settle(Settlement([retry], intents=[intent]))
        await house.due.release_due(NOON + 1, 10)
        again = (await self._polled(house))[1]
        await house.confirm.news([self._news(again, "delivered")])
        expired = outcome(again, "expired", previous="waiting")
        await house.deliver.settle(Settlement([expired]))
        assert await self._counts(house) == {"delivered": 1}

    async def test_a_parked_delivery_comes_back_by_release_or_when_it_expires(self, house: Any) -> None:
        claims = await self._claims(house, 2)
        parked = [outcome(c, "waiting", previous="waiting", again_at=NOON + HOUR, park=True) for c in claims]
        await house.deliver.settle(Settlement(parked))
        assert await house.due.parked() == [("push", "normal")]
        assert await house.due.release_parked("push", "normal", 1) == 1
        assert await house.due.release_due(NOON + HOUR, 10) == 1
        assert await house.due.parked() == []
        assert len(await self._polled(house)) == 4
        assert await self._counts(house) == {"waiting": 2}

    async def test_parked_deliveries_are_released_in_turn(self, house: Any) -> None:
        claims = await self._claims(house, 3)
        parked = [outcome(c, "waiting", previous="waiting", again_at=NOON + HOUR, park=True) for c in claims]
        await house.deliver.settle(Settlement(parked))
        probed = []
        for _ in range(4):
            before = len(await self._polled(house))
            assert await house.due.release_parked("push", "normal", 1) == 1
            (probe,) = (await self._polled(house))[before:]
            probed.append(probe.delivery.id)
            again = outcome(probe, "waiting", previous="waiting", again_at=NOON + HOUR, park=True)
            await house.deliver.settle(Settlement([again]))
        first, second, third = sorted(claim.delivery.id for claim in claims)
        assert probed == [first, second, third, first]
        assert await house.due.release_parked("push", "normal", 10) == 3

    async def test_the_newest_of_a_collapse_key_supersedes_the_others(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        items = [notification(tenant, numbers[0], NOON + i, collapse_key="score") for i in range(2)]
        await house.ingest.accept([acceptance(item) for item in items], NOON + 1)
        await house.route.decide([routed(item) for item in items], NOON + 1, ())
        known = await house.deliver.standings(await self._polled(house))
        assert [standing.superseded for standing in known.standings] == [True, False]

    async def test_a_retired_contact_point_is_gone_from_the_profile(self, house: Any) -> None:
        claims = await self._claims(house)
        item = claims[0].notification
        retirement = Retirement(item.recipient, "push:1", "unregistered")
        await house.deliver.settle(Settlement(retirements=[retirement]))
        _, profile = await house.recipients.get_recipient(item.tenant, "u0")
        assert [contact.id for contact in profile.contacts] == ["email:1"]

    # --- dead letters ---

    async def _dead(self, house: Any) -> Claim:
        (claim,) = await self._claims(house)
        intent, _ = await house.deliver.begin(PUSH, [claim], 0, NOON)
        letter = DeadLetter(claim.delivery, claim.notification, "dead_lettered:attempts_exhausted", NOON, "fcm", "503")
        dead = outcome(claim, "dead_lettered")
        await house.deliver.settle(Settlement([dead], [letter], intents=[intent]))
        return claim

    async def test_a_dead_letter_is_replayed_once_however_often_it_is_asked(self, house: Any) -> None:
        claim = await self._dead(house)
        assert await house.dead_letters.depths() == {"push": 1}
        ids = [claim.delivery.id]
        assert await house.dead_letters.replay(ids, None, NOON, HOUR, "ops") == 1
        assert await house.dead_letters.replay(ids, None, NOON, HOUR, "ops") == 0
        (again,) = (await self._polled(house))[1:]
        known = await house.deliver.standings([again])
        assert not known.standings[0].stale
        assert await self._counts(house) == {"waiting": 1}
        await self._sent(house, [again])
        assert await self._counts(house) == {"sent": 1}

    async def test_a_discarded_dead_letter_ends_as_cancelled_with_its_reason(self, house: Any) -> None:
        claim = await self._dead(house)
        assert await house.dead_letters.discard([claim.delivery.id], None, NOON, "ops", "test data") == 1
        rows = await house.dead_letters.dead_letters(DeadLetterFilter(state="discarded"), None, 10)
        assert [(row.by, row.why) for row in rows] == [("ops", "test data")]
        assert await self._counts(house) == {"cancelled": 1}

    async def test_dead_letters_of_another_tenant_are_not_touched(self, house: Any) -> None:
        claim = await self._dead(house)
        other = await house.catalogue.tenant("globex", "test")
        assert await house.dead_letters.replay([claim.delivery.id], other, NOON, HOUR, "ops") == 0
        assert not await house.dead_letters.dead_letters(DeadLetterFilter(tenant=other), None, 10)

    # --- confirm ---

    def _news(self, claim: Claim, kind: Any, n: int = 1, attempt: int = 1) -> NewsRow:
        detail = msgspec.msgpack.encode(Detail(attempt=attempt, news=kind, provider="fcm"))
        return NewsRow(claim.delivery.id, n, attempt, kind, NOON, detail)

    async def test_news_moves_a_delivery_and_a_repeat_moves_nothing(self, house: Any) -> None:
        claims = await self._claims(house)
        await self._sent(house, claims)
        news = self._news(claims[0], "delivered")
        result = await house.confirm.news([news, news])
        assert [(moved.before, moved.after) for moved in result.moved] == [("sent", "delivered")]
        assert result.repeated == 1
        assert (await house.confirm.news([news])).repeated == 1
        assert await self._counts(house) == {"delivered": 1}

    async def test_news_in_any_order_comes_to_the_same_end(self, house: Any) -> None:
        claims = await self._claims(house, 2)
        await self._sent(house, claims)
        forth = [self._news(claims[0], kind, n) for n, kind in enumerate(("accepted", "delivered", "failed"))]
        back = [self._news(claims[1], kind, n) for n, kind in enumerate(("failed", "delivered", "accepted"))]
        for row in (*forth, *back):
            await house.confirm.news([row])
        assert await self._counts(house) == {"failed": 2}

    async def test_news_that_overtakes_its_attempt_counts_when_the_attempt_is_settled(self, house: Any) -> None:
        claims = await self._claims(house)
        intent, _ = await house.deliver.begin(PUSH, claims, 0, NOON)
        told = await house.confirm.news([self._news(claims[0], "delivered")])
        assert (told.moved, [one.delivery for one in told.early]) == ([], [claims[0].delivery.id])
        assert await self._counts(house) == {"in_flight": 1}
        await house.deliver.settle(Settlement([outcome(claims[0], "sent")], intents=[intent]))
        assert await self._counts(house) == {"delivered": 1}

    async def test_early_news_counts_once_where_a_flight_has_several_events(self, house: Any) -> None:
        claims = await self._claims(house)
        intent, _ = await house.deliver.begin(PUSH, claims, 0, NOON)
        await house.confirm.news([self._news(claims[0], "delivered", attempt=2)])
        failover, sent = flight_of_two(claims[0])
        await house.deliver.settle(Settlement([failover, sent], intents=[intent]))
        assert await self._counts(house) == {"delivered": 1}

    async def test_all_news_of_what_is_in_flight_waits_for_its_outcome(self, house: Any) -> None:
        again = await self._unknown(house)
        intent, _ = await house.deliver.begin(PUSH, [again], 0, NOON + 1)
        await house.confirm.news([self._news(again, "accepted", 1)])
        await house.confirm.news([self._news(again, "delivered", 2)])
        assert await self._counts(house) == {"in_flight": 1}
        await house.deliver.settle(Settlement([outcome(again, "sent")], intents=[intent]))
        assert await self._counts(house) == {"delivered": 1}

    async def test_an_unknown_outcome_that_news_has_settled_is_not_tried_again(self, house: Any) -> None:
        again = await self._unknown(house)
        known = await house.deliver.standings([again])
        await house.confirm.news([self._news(again, "accepted")])
        assert await self._counts(house) == {"sent": 1}
        assert (await house.deliver.begin(PUSH, [again], known.as_of, NOON))[1] == {again.delivery.id}
        assert (await house.deliver.standings([again])).standings[0].stale
        assert await self._counts(house) == {"sent": 1}

    async def _unknown(self, house: Any) -> Claim:
        """A delivery whose outcome is unknown, polled again for its retry."""
        claims = await self._claims(house)
        intent, _ = await house.deliver.begin(PUSH, claims, 0, NOON)
        unknown = outcome(claims[0], "unknown", again_at=NOON + 1)
        await house.deliver.settle(Settlement([unknown], intents=[intent]))
        await house.due.release_due(NOON + 1, 10)
        return (await self._polled(house))[1]

    async def test_news_settles_an_unknown_outcome_and_its_retry_is_stale(self, house: Any) -> None:
        claims = await self._claims(house)
        intent, _ = await house.deliver.begin(PUSH, claims, 0, NOON)
        unknown = outcome(claims[0], "unknown", again_at=NOON + 1)
        await house.deliver.settle(Settlement([unknown], intents=[intent]))
        await house.confirm.news([self._news(claims[0], "delivered")])
        assert await self._counts(house) == {"delivered": 1}
        await house.due.release_due(NOON + 1, 10)
        again = (await self._polled(house))[1:]
        assert (await house.deliver.standings(again)).standings[0].stale

    async def test_news_about_nothing_we_planned_is_counted_and_kept_out(self, house: Any) -> None:
        claims = await self._claims(house)
        stranger = msgspec.structs.replace(self._news(claims[0], "delivered"), delivery=bytes(15) + b"\x01")
        assert (await house.confirm.news([stranger])).unmatched == 1

    # --- tenants, catalogue, recipients ---

    async def test_a_change_in_one_process_is_seen_by_the_other_at_once(self, house: Any) -> None:
        tenant, _ = await found_tenant(house.catalogue, house.recipients)
        other = await house.reopen()
        assert (await other.catalogue.template(tenant, "greeting")).version == 1
        template = await house.catalogue.template(tenant, "greeting")
        assert await house.catalogue.put_template(tenant, template) == 2
        assert (await other.catalogue.template(tenant, "greeting")).version == 2
        assert (await other.catalogue.template(tenant, "greeting", 1)).version == 1

    async def test_a_put_keeps_the_preferences_of_an_existing_recipient(self, house: Any) -> None:
        tenant, _ = await found_tenant(house.catalogue, house.recipients)
        chosen = msgspec.msgpack.encode({"channels": {"push": False}})
        assert await house.recipients.update_preferences(tenant, "u0", chosen, NOON)
        _, profile = await house.recipients.get_recipient(tenant, "u0")
        assert not await house.recipients.put_recipient(tenant, msgspec.structs.replace(profile, locale="fr"), NOON)
        _, profile = await house.recipients.get_recipient(tenant, "u0")
        assert (profile.locale, profile.preferences.channels) == ("fr", {"push": False})

    async def test_a_breaker_is_changed_by_one_of_two_that_try(self, house: Any) -> None:
        other = await house.reopen()
        row = BreakerRow("fcm", "push", "open", changed_at=NOON, version=1)
        assert await house.catalogue.change_breaker(row, 0)
        assert not await other.catalogue.change_breaker(row, 0)
        assert await other.catalogue.breakers() == [row]

    # --- signs of life ---

    async def test_what_is_accepted_adds_up_from_the_first_until_somebody_is_heard(self, house: Any) -> None:
        other = await house.reopen()
        await house.signs.note_accepted({"twilio": 3, "fcm": 1}, NOON)
        await other.signs.note_accepted({"twilio": 4}, NOON + 500)
        signs = await house.signs.signs()
        assert (signs["twilio"], signs["fcm"]) == (Sign(0, 7, NOON), Sign(0, 1, NOON))
        await other.signs.note_heard(["twilio", "vonage"], NOON + 900)
        signs = await house.signs.signs()
        assert signs == {"twilio": Sign(NOON + 900), "fcm": Sign(0, 1, NOON), "vonage": Sign(NOON + 900)}
        await house.signs.note_accepted({"twilio": 2}, NOON + 1_000)
        assert (await other.signs.signs())["twilio"] == Sign(NOON + 900, 2, NOON + 1_000)

    async def test_what_was_accepted_before_somebody_was_heard_is_not_added_afterwards(self, house: Any) -> None:
        await house.signs.note_heard(["twilio"], NOON)
        await house.signs.note_accepted({"twilio": 50, "vonage": 5}, NOON - 1)
        signs = await house.signs.signs()
        assert (signs["twilio"], signs["vonage"]) == (Sign(NOON), Sign(0, 5, NOON - 1))

    # --- readers ---

    async def test_a_story_tells_the_notification_its_decision_and_its_events(self, house: Any) -> None:
        claims = await self._claims(house)
        await self._sent(house, claims)
        item = claims[0].notification
        story = await house.insights.story(item.tenant, item.id)
        assert story.notification == item
        assert story.decision.state == "planned"
        assert [event.state for event in story.events] == ["sent"]
        assert story.states == {claims[0].delivery.id: "sent"}
        other = await house.catalogue.tenant("globex", "test")
        assert await house.insights.story(other, item.id) is None

    async def test_a_story_tells_news_after_the_attempt_whatever_the_provider_s_clock_said(self, house: Any) -> None:
        (claim, *_) = await self._claims(house)
        await self._sent(house, [claim])
        early = [msgspec.structs.replace(self._news(claim, "delivered"), at=NOON - 900)]
        early.append(msgspec.structs.replace(self._news(claim, "accepted", n=2), at=NOON - 901))
        await house.confirm.news(early)
        story = await house.insights.story(claim.notification.tenant, claim.notification.id)
        assert [event.at for event in story.events] == [NOON, NOON - 901, NOON - 900]

    async def test_lists_are_newest_first_and_go_on_from_a_cursor(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        items = [notification(tenant, numbers[i % 2], NOON + i, user_id=f"u{i % 2}") for i in range(6)]
        for item in items:
            await house.ingest.accept([acceptance(item)], NOON + 10)
        mine = [item for item, _ in await house.insights.list(ListQuery(tenant, "u0", limit=2))]
        assert mine == [items[4], items[2]]
        rest = await house.insights.list(ListQuery(tenant, "u0", before=mine[-1].id))
        assert rest == [(items[0], "waiting")]
        assert len(await house.insights.list(ListQuery(tenant, since=NOON + 3))) == 3

    async def test_a_list_may_be_of_one_campaign(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        names = (None, "spring", "summer")
        items = [notification(tenant, numbers[0], NOON, campaign=name) for name in names]
        await house.ingest.accept([acceptance(item) for item in items], NOON)
        assert await house.insights.list(ListQuery(tenant, campaign="spring")) == [(items[1], "waiting")]
        assert await house.insights.list(ListQuery(tenant, "u0", campaign="summer")) == [(items[2], "waiting")]

    async def test_the_newest_rows_are_counted_in_groups(self, house: Any) -> None:
        claims = await self._claims(house, 3)
        tenant = claims[0].notification.tenant
        ends = [outcome(claims[0], "sent"), outcome(claims[1], "failed")]
        ends.append(outcome(claims[2], "waiting", again_at=NOON + HOUR))
        intent, _ = await house.deliver.begin(PUSH, claims, 0, NOON)
        await house.deliver.settle(Settlement(ends, intents=[intent]))
        recent = await house.insights.recent(NOON - HOUR, NOON + HOUR, 100)
        (came,) = recent.arrivals
        assert (came.count, came.tenant, came.type, came.priority) == (3, tenant, "greeting", "normal")
        (bad,) = recent.failures
        assert (bad.count, bad.tenant, bad.type, bad.reason) == (1, tenant, "greeting", "test")
        assert (bad.provider, bad.template, bad.template_version) == ("fcm", "greeting", 1)
        assert [(wait.count, wait.tenant, wait.reason) for wait in recent.waits] == [(1, tenant, "test")]

    async def test_what_is_older_and_what_is_beyond_the_limit_is_not_counted(self, house: Any) -> None:
        await self._accepted(house, 3)
        recent = await house.insights.recent(NOON - HOUR, NOON + HOUR, 2)
        assert [came.count for came in recent.arrivals] == [2]
        for since, until in ((NOON + HOUR, NOON + 2 * HOUR), (NOON - HOUR, NOON)):
            assert await house.insights.recent(since, until, 100) == Recent()

    async def test_open_dead_letters_are_counted_by_the_template_that_made_them(self, house: Any) -> None:
        claims = await self._claims(house, 2)
        letters = [DeadLetter(c.delivery, c.notification, "dead_lettered:not_rendered", NOON) for c in claims]
        intent, _ = await house.deliver.begin(PUSH, claims, 0, NOON)
        dead = [outcome(c, "dead_lettered") for c in claims]
        await house.deliver.settle(Settlement(dead, letters, intents=[intent]))
        (found,) = (await house.insights.recent(NOON - HOUR, NOON + HOUR, 100)).letters
        assert (found.count, found.reason, found.channel) == (2, "dead_lettered:not_rendered", "push")
        assert (found.template, found.template_version, found.type) == ("greeting", 1, "greeting")
        await house.dead_letters.discard([claims[0].delivery.id], None, NOON, "op", "over")
        (left,) = (await house.insights.recent(NOON - HOUR, NOON + HOUR, 100)).letters
        assert left.count == 1
