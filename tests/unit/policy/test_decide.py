"""Which deliveries a notification gets, and which reason each yes and no carries."""

import pytest

from bellhouse.domain.notification import Reason
from bellhouse.domain.recipient import Choice, ConsentProof, ContactPoint, Preferences, Profile, QuietHours
from bellhouse.policy.decide import decide
from bellhouse.policy.quiet import SPREAD_MS
from tests.unit.policy.facts import (
    HOUR,
    MAIL,
    MOBILE,
    NOON,
    PHONE,
    TABLET,
    WORK_MAIL,
    decided,
    kind,
    notification,
    profile,
    refused,
    taken,
)

CONSENT = Preferences(consent={"marketing": ConsentProof(given=True, at="2026-01-01", source="signup")})
NIGHT = QuietHours(start="22:00", end="08:00")
MIDNIGHT = NOON + 12 * HOUR


def test_push_goes_to_every_device_and_email_to_the_first_address() -> None:
    decision = decided()
    assert decision.state == "planned"
    assert taken(decision) == [PHONE.id, TABLET.id, MAIL.id]
    assert [plan.ordinal for plan in decision.deliveries] == [1, 2, 3]
    assert {plan.reason for plan in decision.deliveries} == {"chosen:type_channel"}
    assert decision.reasons == ()
    assert (decision.template, decision.template_version, decision.at) == ("order_shipped", 3, NOON)


def test_the_callers_channels_go_before_the_types_and_the_others_are_said_not_to_be_requested() -> None:
    decision = decided(notification(channels=("sms", "in_app", "sms")))
    assert taken(decision) == [MOBILE.id, "in_app"]
    assert {plan.reason for plan in decision.deliveries} == {"chosen:requested"}
    assert refused(decision) == [("suppressed:not_requested", "push"), ("suppressed:not_requested", "email")]


def test_mode_first_takes_the_first_channel_that_is_allowed_and_reachable() -> None:
    decision = decided(of=kind(channels=("sms", "push", "email"), mode="first"), who=profile(PHONE, MAIL))
    assert taken(decision) == [PHONE.id]
    assert decision.deliveries[0].reason == "chosen:first_reachable"
    assert refused(decision) == [("suppressed:no_contact_point", "sms"), ("suppressed:earlier_channel", "email")]


def test_in_app_needs_no_contact_point() -> None:
    assert taken(decided(of=kind(channels=("in_app",)), who=profile(MAIL))) == ["in_app"]


def test_a_channel_without_content_is_left_out() -> None:
    decision = decided(contents=("email",))
    assert taken(decision) == [MAIL.id]
    assert refused(decision) == [("suppressed:no_template_content", "push")]


def test_nothing_left_is_suppressed_with_a_reason_for_each_channel() -> None:
    decision = decided(who=profile(MOBILE))
    assert decision.state == "suppressed"
    assert refused(decision) == [("suppressed:no_contact_point", "push"), ("suppressed:no_contact_point", "email")]


def test_what_has_expired_is_not_decided() -> None:
    asked = notification(expires_at=NOON)
    assert decided(asked, now=NOON).state == "planned"
    late = decided(asked, now=NOON + 1)
    assert (late.state, refused(late)) == ("expired", [("expired:lifetime", None)])


def test_a_deleted_recipient_gets_nothing() -> None:
    decision = decide(notification(), kind("security"), None, (), ("push",), None, 0, NOON)
    assert (decision.state, refused(decision)) == ("suppressed", [("suppressed:recipient_deleted", None)])


def test_a_stopped_address_is_named_and_the_next_one_of_the_channel_is_taken() -> None:
    decision = decided(stops=frozenset({MAIL.address, TABLET.address}))
    assert taken(decision) == [PHONE.id, WORK_MAIL.id]
    assert decision.reasons == (
        Reason("suppressed:address", "push", TABLET.id),
        Reason("suppressed:address", "email", MAIL.id),
    )


def test_marketing_needs_consent() -> None:
    campaign = kind("marketing", channels=("email",))
    assert refused(decided(of=campaign)) == [("suppressed:no_consent", "email")]
    assert taken(decided(of=campaign, who=profile(preferences=CONSENT))) == [MAIL.id]
    withdrawn = Preferences(consent={"marketing": ConsentProof(given=False)})
    assert refused(decided(of=campaign, who=profile(preferences=withdrawn))) == [("suppressed:unsubscribed", "email")]


def test_security_cannot_be_opted_out_of() -> None:
    off = Choice(enabled=False)
    everything_off = Preferences(
        channels={"push": False, "email": False},
        categories={"security": off},
        types={"order_shipped": off},
        consent={"security": ConsentProof(given=False)},
        quiet_hours=NIGHT,
    )
    decision = decided(of=kind("security"), who=profile(preferences=everything_off), now=MIDNIGHT)
    assert taken(decision) == [PHONE.id, TABLET.id, MAIL.id]
    assert all(plan.not_before == 0 for plan in decision.deliveries)


def test_security_takes_another_channel_where_the_address_is_stopped() -> None:
    decision = decided(
        notification(channels=("sms",)), kind("security", channels=("sms",)), stops=frozenset({MOBILE.address})
    )
    assert taken(decision) == [PHONE.id, TABLET.id]
    assert decision.deliveries[0].reason == "chosen:security_fallback"
    assert refused(decision) == [("suppressed:address", "sms")]


def test_security_is_not_content_with_the_inbox_where_a_stop_took_the_rest() -> None:
    stops = frozenset({MOBILE.address, PHONE.address})
    decision = decided(of=kind("security", channels=("in_app", "sms")), who=profile(MOBILE, PHONE, MAIL), stops=stops)
    assert taken(decision) == ["in_app", MAIL.id]


def test_security_that_is_meant_for_the_inbox_alone_stays_there() -> None:
    assert taken(decided(of=kind("security", channels=("in_app",)))) == ["in_app"]


def test_security_ends_in_the_inbox_where_every_address_is_stopped() -> None:
    stops = frozenset({MOBILE.address, MAIL.address})
    assert taken(decided(of=kind("security", channels=("sms",)), who=profile(MOBILE, MAIL), stops=stops)) == ["in_app"]


def test_security_that_nothing_can_carry_is_suppressed() -> None:
    decision = decided(of=kind("security"), who=profile(MOBILE), contents=("push",))
    assert decision.state == "suppressed"


@pytest.mark.parametrize("category", ["product", "transactional", "marketing"])
def test_no_other_category_falls_back(category: str) -> None:
    who = profile(MOBILE, MAIL, preferences=CONSENT)
    assert (
        decided(of=kind(category, channels=("sms",)), who=who, stops=frozenset({MOBILE.address})).state == "suppressed"
    )


def test_quiet_hours_defer_to_their_end_but_not_the_inbox() -> None:
    who = profile(preferences=Preferences(quiet_hours=NIGHT))
    decision = decided(of=kind(channels=("email", "in_app")), who=who, now=MIDNIGHT)
    mail, inbox = decision.deliveries
    assert MIDNIGHT + 8 * HOUR <= mail.not_before < MIDNIGHT + 8 * HOUR + SPREAD_MS
    assert (mail.reason, inbox.reason, inbox.not_before) == ("deferred:quiet_hours", "chosen:type_channel", 0)


def test_quiet_hours_drop_where_the_type_says_so() -> None:
    who = profile(preferences=Preferences(quiet_hours=NIGHT))
    decision = decided(of=kind(channels=("email", "in_app"), quiet_hours="drop"), who=who, now=MIDNIGHT)
    assert taken(decision) == ["in_app"]
    assert refused(decision) == [("suppressed:quiet_hours", "email")]


def test_quiet_hours_that_outlast_its_lifetime_suppress_it() -> None:
    who = profile(preferences=Preferences(quiet_hours=NIGHT))
    decision = decided(notification(expires_at=MIDNIGHT + 8 * HOUR), who=who, now=MIDNIGHT)
    assert refused(decision) == [("suppressed:quiet_hours", "push"), ("suppressed:quiet_hours", "email")]


def test_quiet_hours_are_ignored_where_the_type_says_so() -> None:
    who = profile(preferences=Preferences(quiet_hours=NIGHT))
    assert decided(of=kind(quiet_hours="ignore"), who=who, now=MIDNIGHT).deliveries[0].not_before == 0


def test_a_decision_made_ahead_judges_the_moment_at_which_it_may_leave() -> None:
    asked = notification(ready_at=MIDNIGHT)
    who = profile(preferences=Preferences(quiet_hours=NIGHT))
    assert decided(asked, who=who).deliveries[0].not_before >= MIDNIGHT + 8 * HOUR
    assert decided(asked).deliveries[0].not_before == MIDNIGHT


def test_a_notification_makes_at_most_255_deliveries() -> None:
    many = tuple(ContactPoint(id=f"push:{i}", channel="push", address=f"token-{i}") for i in range(257))
    decision = decided(of=kind(channels=("push",)), who=Profile(user_id="ann", contacts=many))
    assert len(decision.deliveries) == 255
    assert [reason.contact for reason in decision.reasons] == ["push:255", "push:256"]
