"""What holds for every decision, whatever the facts."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.delivery import Delivery
from bellhouse.domain.ids import NotificationId, RecipientNo, TenantNo, delivery_id
from bellhouse.domain.notification import Notification
from bellhouse.domain.recipient import Choice, ConsentProof, ContactPoint, Preferences, Profile, QuietHours
from bellhouse.domain.words import CATEGORIES, CHANNELS
from bellhouse.policy.consent import refusal
from bellhouse.policy.decide import decide
from bellhouse.policy.reasons import REASON_CODES
from bellhouse.policy.recheck import recheck

NOW = 1_782_900_000_000
channels = st.sampled_from(CHANNELS)
categories = st.sampled_from(CATEGORIES)
lists = st.lists(channels, max_size=5).map(tuple)
choices = st.builds(Choice, enabled=st.none() | st.booleans(), channels=st.dictionaries(channels, st.booleans()))
clock = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda t: f"{t[0]:02}:{t[1]:02}")
preferences = st.builds(
    Preferences,
    channels=st.dictionaries(channels, st.booleans()),
    categories=st.dictionaries(categories, choices),
    types=st.dictionaries(st.sampled_from(["news", "other"]), choices),
    quiet_hours=st.none() | st.builds(QuietHours, start=clock, end=clock),
    consent=st.dictionaries(categories, st.builds(ConsentProof, given=st.booleans())),
)
contacts = st.lists(
    st.tuples(channels.filter(lambda c: c != "in_app"), st.integers(0, 5)), max_size=8, unique=True
).map(lambda rows: tuple(ContactPoint(id=f"{c}:{i}", channel=c, address=f"{c}-{i}") for c, i in rows))
profiles = st.builds(
    Profile,
    user_id=st.just("ann"),
    zone=st.sampled_from(["UTC", "Europe/Paris", "Pacific/Chatham"]),
    contacts=contacts,
    preferences=preferences,
)
kinds = st.builds(
    NotificationType,
    name=st.just("news"),
    category=categories,
    channels=lists,
    mode=st.sampled_from(["all", "first"]),
    quiet_hours=st.sampled_from(["defer", "drop", "ignore"]),
)
stops = st.frozensets(st.tuples(channels, st.integers(0, 5)).map(lambda t: f"{t[0]}-{t[1]}"))
contents = st.frozensets(channels)
asked = st.builds(
    Notification,
    id=st.just(NotificationId(bytes(16))),
    tenant=st.just(TenantNo(1)),
    recipient=st.integers(1, 10**9).map(RecipientNo),
    user_id=st.just("ann"),
    type=st.just("news"),
    priority=st.just("normal"),
    data=st.just(b"{}"),
    received_at=st.just(NOW),
    expires_at=st.integers(NOW - 10, NOW + 100_000_000),
    ready_at=st.integers(NOW - 10, NOW + 10),
    channels=st.none() | lists,
)
facts = st.tuples(asked, kinds, profiles, stops, contents)
Facts = Any


@given(facts)
def test_a_stopped_address_and_a_channel_without_content_are_never_planned(case: Facts) -> None:
    notification, kind, profile, stopped, content = case
    decision = decide(notification, kind, profile, stopped, content, "news", 1, NOW)
    addresses = {contact.id: contact.address for contact in profile.contacts}
    for plan in decision.deliveries:
        assert plan.channel in content
        assert plan.contact == "in_app" or addresses[plan.contact] not in stopped
        assert plan.not_before <= notification.expires_at


@given(facts)
def test_nobody_hears_what_she_refused_and_security_never_asks(case: Facts) -> None:
    notification, kind, profile, stopped, content = case
    decision = decide(notification, kind, profile, stopped, content, "news", 1, NOW)
    for plan in decision.deliveries:
        assert refusal(profile.preferences, kind, plan.channel) is None
        if kind.category == "marketing":
            assert profile.preferences.consent["marketing"].given
    if kind.category == "security" and decision.state == "suppressed":
        assert all(
            (channel not in content) or (channel != "in_app" and not _usable(profile, channel, stopped))
            for channel in CHANNELS
        )


def _usable(profile: Profile, channel: str, stopped: frozenset[str]) -> bool:
    return any(c.channel == channel and c.address not in stopped for c in profile.contacts)


@given(facts)
def test_every_yes_and_every_no_has_a_known_reason(case: Facts) -> None:
    notification, kind, profile, stopped, content = case
    decision = decide(notification, kind, profile, stopped, content, "news", 1, NOW)
    planned = {plan.channel for plan in decision.deliveries}
    refused = {reason.channel for reason in decision.reasons}
    assert {reason.code for reason in decision.reasons} <= set(REASON_CODES)
    assert {plan.reason for plan in decision.deliveries} <= set(REASON_CODES)
    assert (decision.state == "planned") == bool(decision.deliveries)
    if decision.state != "expired":
        assert set(notification.channels or ()) | set(kind.channels) <= planned | refused or notification.channels == ()


@given(facts)
def test_ordinals_count_from_one_and_no_contact_point_is_planned_twice(case: Facts) -> None:
    notification, kind, profile, stopped, content = case
    decision = decide(notification, kind, profile, stopped, content, "news", 1, NOW)
    assert [plan.ordinal for plan in decision.deliveries] == list(range(1, len(decision.deliveries) + 1))
    assert len({plan.contact for plan in decision.deliveries}) == len(decision.deliveries)
    assert decision == decide(notification, kind, profile, stopped, content, "news", 1, NOW)


@given(facts)
def test_what_was_decided_passes_the_recheck_at_its_moment_while_nothing_changed(case: Facts) -> None:
    notification, kind, profile, stopped, content = case
    for plan in decide(notification, kind, profile, stopped, content, "news", 1, NOW).deliveries:
        delivery = Delivery(
            id=delivery_id(notification.id, plan.ordinal),
            channel=plan.channel,
            priority="normal",
            contact=plan.contact,
            expires_at=notification.expires_at,
            template="news",
            template_version=1,
            notification=Raw(b""),
        )
        contact, reason, until = recheck(delivery, notification, kind, profile, stopped, max(NOW, plan.not_before))
        assert (reason, until) == (None, 0)
        assert contact is not None
        assert contact.id == plan.contact
