"""Why it was sent or not, why then and why by this provider, in words that need no other page."""

from typing import Any

import msgspec
import pytest

from bellhouse.domain.delivery import Detail, PassedOver
from bellhouse.domain.ids import RecipientNo, TenantNo, delivery_id, new_notification_ids
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery, Reason
from bellhouse.domain.words import DeliveryState
from bellhouse.ops.story import view_of
from bellhouse.ops.why import why_of
from bellhouse.ports.store.insights import Story, StoryEvent
from bellhouse.testing.records import HOUR, NOON

ID = new_notification_ids(NOON, 1)[0]
FIRST: Any = {"attempt": 1}
SMS = PlannedDelivery(1, "sms", "sms-1", 0, "chosen:type_channel")


def note(ready_at: int = NOON) -> Notification:
    who = (TenantNo(1), RecipientNo(2), "ada")
    return Notification(ID, *who, "order", "high", b"{}", NOON, NOON + 2 * HOUR, ready_at)


def event(n: int, state: DeliveryState, source: Any = "worker", ordinal: int = 1, **detail: Any) -> StoryEvent:
    packed = msgspec.msgpack.encode(Detail(**detail))
    return StoryEvent(delivery_id(ID, ordinal), source, n, state, NOON + 1_000 * (n + 1), packed)


def why(
    events: list[StoryEvent], state: DeliveryState, plans: tuple[PlannedDelivery, ...] = (SMS,), **given: Any
) -> list[str]:
    decision = Decision("planned", NOON, plans, given.pop("reasons", ()))
    states = {delivery_id(ID, plan.ordinal): state for plan in plans}
    return why_of(view_of(Story(note(**given), decision, events, states))).sentences


def test_what_waits_to_be_routed_says_so_and_what_is_scheduled_says_until_when() -> None:
    assert why_of(view_of(Story(note(), None, [], {}))).sentences == ["It has been accepted and waits to be routed."]
    (scheduled,) = why_of(view_of(Story(note(NOON + HOUR), None, [], {}))).sentences
    assert scheduled == "It waits for the moment that the caller asked for. That is 2025-11-23T13:00:00.000Z."


def test_a_failover_says_which_provider_failed_with_which_code_and_who_was_asked_then() -> None:
    told = why(
        [
            event(
                0, "in_flight", reason="in_flight:failover", provider="twilio", attempt=1, verdict="retry", code="503"
            ),
            event(1, "sent", reason="sent:accepted", provider="vonage", attempt=2, verdict="accepted", code="0"),
            event(2, "delivered", "news", provider="vonage", attempt=2, news="delivered"),
        ],
        "delivered",
    )
    assert told == [
        "sms: delivered by vonage. Planned: The notification's type names this channel. "
        "Now: The provider confirmed that it arrived.",
        "sms, 2025-11-23T12:00:01.000Z: attempt 1 went to twilio, the first in the order that can reach her. It "
        "answered 503. This provider did not take it, and the next one was asked at once.",
        "sms, 2025-11-23T12:00:02.000Z: attempt 2 went to vonage, since twilio had just failed. "
        "The provider accepted it.",
        "sms, vonage reported, at 2025-11-23T12:00:03.000Z by its own clock: The provider confirmed that it arrived.",
    ]


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("breaker", "its breaker was open"),
        ("silent", "it had taken messages and confirmed none, so its breaker was open"),
        ("rate", "it was at its rate"),
    ],
)
def test_a_provider_that_was_passed_over_is_named_with_what_kept_it(kept: PassedOver, words: str) -> None:
    passed = {"twilio": kept}
    told = why(
        [
            event(
                0, "sent", reason="sent:accepted", provider="vonage", attempt=1, verdict="accepted", passed_over=passed
            )
        ],
        "sent",
    )
    assert f"went to vonage, since twilio ({words}) could not be asked. The provider accepted it." in told[1]
    assert told[2] == "sms, next: The provider's confirmation is awaited, where it gives one."


def test_waits_for_the_same_reason_are_told_once_and_what_comes_next_has_its_time() -> None:
    waits = [event(n, "waiting", reason="waiting:throttled", retry_at=NOON + 60_000 + n) for n in range(5)]
    told = why(waits, "waiting")
    assert told[1:] == [
        "sms, 2025-11-23T12:00:01.000Z (5 times until 2025-11-23T12:00:05.000Z): The provider or our own limit asked "
        "for a slower pace. Until 2025-11-23T12:01:00.004Z.",
        "sms, next: It goes on at 2025-11-23T12:01:00.004Z.",
    ]


def test_an_outage_says_what_it_waits_for_and_when_it_ends_at_the_latest() -> None:
    told = why([event(0, "waiting", reason="waiting:outage")], "waiting")
    assert told[-1] == (
        "sms, next: It goes on when a provider recovers; at 2025-11-23T14:00:00.000Z its lifetime ends."
    )


def test_channels_that_were_left_out_come_first_and_contact_points_are_numbered_not_named_by_id() -> None:
    plans = (PlannedDelivery(1, "push", "push-a1b2", 0, "chosen"), PlannedDelivery(2, "push", "push-c3d4", 0, "chosen"))
    told = why([], "waiting", plans, reasons=(Reason("suppressed:unsubscribed", "email"),), ready_at=NOON + HOUR)
    assert told[0].startswith("The caller asked for it to leave at 2025-11-23T13:00:00.000Z")
    assert told[1] == "email: not sent. She has withdrawn her consent to this category."
    assert told[2].startswith("push (1 of 2): waiting.")
    assert told[4].startswith("push (2 of 2): waiting.")
    assert "push-a1b2" not in " ".join(told)


def test_quiet_hours_say_until_when() -> None:
    plan = PlannedDelivery(1, "push", "p", NOON + HOUR, "deferred:quiet_hours")
    told = why([], "waiting", (plan,))
    assert "quiet hours" in told[0]
    assert "It was not to leave before 2025-11-23T13:00:00.000Z." in told[0]
    assert told[1] == "push, next: It goes on at 2025-11-23T13:00:00.000Z."


def test_an_operators_act_is_told_with_the_reason_that_was_given() -> None:
    told = why(
        [event(0, "cancelled", "operator", reason="cancelled:discarded", by="ops", why="Returned.")], "cancelled"
    )
    assert told[1].endswith("An operator discarded it from the dead letters. Returned.")
