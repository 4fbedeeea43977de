"""What every store must do for an operator's levers, his acts, and what waits under his brakes.

A test class inherits LeverSuite beside StoreSuite; the fixture `house` has the part `levers` as well.
"""

import asyncio
from typing import Any

import msgspec

from bellhouse.domain.levers import Act, ActWord, Lever, Selector
from bellhouse.domain.recipient import ContactPoint, Profile
from bellhouse.ports.levers import ActFilter, Held
from bellhouse.ports.store.deliver import Settlement
from bellhouse.testing.records import HOUR, NOON, found_tenant, open_claim, outcome, routed
from bellhouse.testing.store_suite import PUSH, StoreSuite

SMS = Selector(channel="sms")
SCOPE = SMS.text


def lever(why: str = "a bad link", until: int = 0) -> Lever:
    """A pulled brake on text messages."""
    return Lever("pause", SCOPE, "", SMS, "ops", NOON, why, until)


def act(word: ActWord = "pause", at: int = NOON, why: str = "") -> Act:
    """An operator's act."""
    return Act(word, SCOPE, "ops", "k1", at, why, "", "paused")


class LeverSuite(StoreSuite):
    """The conformance suite of the ports of `ports/levers.py`."""

    async def test_a_pulled_lever_is_seen_by_every_process_and_outlives_them(self, house: Any) -> None:
        other = await house.reopen()
        before = await other.levers.levers()
        assert await house.levers.change_lever("pause", SCOPE, None, lever(), act())
        assert await other.levers.levers(before) == await (await house.reopen()).levers.levers()
        assert (await other.levers.levers(before)).find("pause", SCOPE) == lever()

    async def test_what_has_not_changed_is_answered_as_the_object_that_is_known(self, house: Any) -> None:
        await house.levers.change_lever("pause", SCOPE, None, lever(), act())
        known = await house.levers.levers()
        await house.levers.record(act("breaker_open"))
        assert await house.levers.levers(known) is known

    async def test_a_lever_that_somebody_else_has_moved_is_not_moved_and_no_act_is_recorded(self, house: Any) -> None:
        await house.levers.change_lever("pause", SCOPE, None, lever(), act())
        known = await house.levers.levers()
        assert not await house.levers.change_lever("pause", SCOPE, None, lever("mine"), act())
        assert not await house.levers.change_lever("pause", SCOPE, lever("mine"), None, act("resume"))
        assert await house.levers.levers(known) is known
        assert len(await house.levers.acts(ActFilter(), 10)) == 1

    async def test_a_lever_that_is_let_go_is_gone(self, house: Any) -> None:
        await house.levers.change_lever("pause", SCOPE, None, lever(), act())
        assert await house.levers.change_lever("pause", SCOPE, lever(), None, act("resume"))
        assert (await house.levers.levers()).rows == ()

    async def test_of_two_who_pull_at_once_one_wins(self, house: Any) -> None:
        other = await house.reopen()
        pulling = [each.levers.change_lever("pause", SCOPE, None, lever(), act()) for each in (house, other)]
        assert sorted(await asyncio.gather(*pulling)) == [False, True]

    async def test_acts_are_kept_in_their_order_and_found_by_kind_and_moment(self, house: Any) -> None:
        words: tuple[ActWord, ...] = ("pause", "resume", "pause")
        for hour, word in enumerate(words):
            await house.levers.record(act(word, NOON + hour * HOUR))
        found = await house.levers.acts(ActFilter(), 10)
        assert [each.at for each in found] == [NOON + 2 * HOUR, NOON + HOUR, NOON]
        assert msgspec.structs.replace(found[2], number=0) == act("pause", NOON)
        assert [each.act for each in await house.levers.acts(ActFilter(act="pause"), 10)] == ["pause", "pause"]
        assert await house.levers.acts(ActFilter(since=NOON + HOUR), 10) == found[:2]
        assert await house.levers.acts(ActFilter(before=found[0].number), 1) == found[1:2]

    # --- what is held ---

    async def _held(self, house: Any, count: int, scope: str = SCOPE) -> None:
        claims = await self._claims(house, count)
        held = [outcome(c, "waiting", previous="waiting", again_at=NOON + HOUR, held_by=scope) for c in claims]
        await house.deliver.settle(Settlement(held))

    async def test_held_deliveries_wait_until_they_are_released_in_their_order(self, house: Any) -> None:
        await self._held(house, 3)
        assert await house.levers.held() == [Held(SCOPE, "push", "normal")]
        assert await house.due.parked() == []
        assert await house.due.release_due(NOON + HOUR - 1, 10) == 0
        assert await house.levers.release_held(Held(SCOPE, "push", "normal"), 2) == 2
        assert await house.levers.release_held(Held(SCOPE, "push", "normal"), 2) == 1
        assert await house.levers.held() == []
        ids = [open_claim(record).delivery.id for record in await house.records(PUSH)]
        assert ids[3:] == sorted(ids[:3])
        assert await self._counts(house) == {"waiting": 3}
        assert await house.due.next_due() is None

    async def test_held_deliveries_come_back_at_the_end_of_their_lifetime_whatever_is_pulled(self, house: Any) -> None:
        await self._held(house, 2)
        assert await house.due.release_due(NOON + HOUR, 10) == 2
        before = await house.records(PUSH)
        await house.levers.release_held(Held(SCOPE, "push", "normal"), 10)
        assert await house.levers.held() == []
        assert await house.records(PUSH) == before
        assert len(before) == 4

    async def test_what_is_held_under_one_brake_is_not_released_with_another(self, house: Any) -> None:
        await self._held(house, 1)
        await self._held(house, 1, "platform")
        found = await house.levers.held()
        assert {each.scope for each in found} == {SCOPE, "platform"}
        await house.levers.release_held(Held("platform", "push", "normal"), 10)
        assert await house.levers.held() == [Held(SCOPE, "push", "normal")]

    async def test_a_brake_on_a_campaign_is_kept_with_its_words_and_what_it_holds_says_its_campaign(
        self, house: Any
    ) -> None:
        spring = Selector(campaign="spring", tenant="acme")
        pulled = Lever("pause", spring.text, "", spring, "ops", NOON, "a wrong price")
        await house.levers.change_lever("pause", spring.text, None, pulled, act())
        assert (await (await house.reopen()).levers.levers()).find("pause", spring.text) == pulled
        _, (item,) = await self._accepted(house, campaign="spring")
        await house.route.decide([routed(item)], NOON, ())
        (claim,) = await self._polled(house)
        held = outcome(claim, "waiting", previous="waiting", again_at=NOON + HOUR, held_by=spring.text)
        await house.deliver.settle(Settlement([held]))
        assert await house.levers.held() == [Held(spring.text, "push", "normal")]
        await house.levers.release_held(Held(spring.text, "push", "normal"), 10)
        assert (await self._polled(house))[-1].notification == item

    # --- what has expired ---

    async def test_what_waits_is_ended_as_expired_once_and_its_record_is_dropped(self, house: Any) -> None:
        claims = await self._claims(house, 3)
        late = claims[0].delivery.expires_at + 1
        known = await house.deliver.standings(claims)
        assert [c.delivery.id for c in await house.expiry.waiting(claims)] == [c.delivery.id for c in claims]
        assert await house.expiry.expire(claims, late, "ops") == 3
        assert await house.expiry.waiting(claims) == []
        assert await house.expiry.expire(claims, late, "ops") == 0
        assert [standing.stale for standing in (await house.deliver.standings(claims)).standings] == [True] * 3
        # Whoever had looked before does not send them.
        _, gone = await house.deliver.begin(PUSH, claims, known.as_of, late)
        assert gone == {claim.delivery.id for claim in claims}
        assert await self._counts(house) == {"expired": 3}

    async def test_what_is_being_sent_or_has_been_moved_is_not_ended(self, house: Any) -> None:
        claims = await self._claims(house, 3)
        await house.deliver.begin(PUSH, claims[:1], 0, NOON)
        item = claims[1].notification
        await house.ingest.cancel(item.tenant, item.id, NOON, "caller")
        assert await house.expiry.waiting(claims) == claims[2:]
        assert await house.expiry.expire(claims, claims[0].delivery.expires_at + 1, "ops") == 1
        assert await self._counts(house) == {"in_flight": 1, "cancelled": 1, "expired": 1}

    async def test_notifications_without_a_decision_are_known(self, house: Any) -> None:
        _, items = await self._accepted(house, 2)
        await house.route.decide([routed(items[0])], NOON, ())
        assert await house.expiry.undecided([item.id for item in items]) == {items[1].id}

    # --- dead tokens ---

    async def test_contact_points_of_profiles_that_nobody_has_stored_for_long_go(self, house: Any) -> None:
        tenant, numbers = await found_tenant(house.catalogue, house.recipients)
        other, _ = await found_tenant(house.catalogue, house.recipients, "globex")
        contacts = (ContactPoint("p", "push", "token"), ContactPoint("e", "email", "a@example.com"))
        for user, at in (("u0", NOON - 2 * HOUR), ("u1", NOON)):
            await house.recipients.put_recipient(tenant, Profile(user, contacts=contacts), at)
        await house.recipients.put_recipient(other, Profile("u0", contacts=contacts), NOON - 2 * HOUR)
        asked = ("push", NOON - HOUR, tenant, 0, 10)
        tried = await house.recipients.retire_unseen(*asked, True)
        assert tried == await house.recipients.retire_unseen(*asked, False)
        assert (tried.contacts, tried.last) == (1, numbers[0])
        assert (await house.recipients.retire_unseen(*asked, False)).contacts == 0
        left = [(await house.recipients.get_recipient(tenant, user))[1].contacts for user in ("u0", "u1")]
        assert left == [contacts[1:], contacts]
        assert (await house.recipients.retire_unseen("push", NOON - HOUR, None, 0, 10, True)).contacts == 1
