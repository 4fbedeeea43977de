"""The generated day: deterministic, realistic, and of lawful values only."""

import re
from collections import Counter, defaultdict
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import phonenumbers
import pytest
from email_validator import validate_email

from bellhouse.demo.day import generate
from bellhouse.demo.script import Day, moment
from bellhouse.domain.catalogue import Template
from bellhouse.domain.words import CATEGORIES, PRIORITIES
from bellhouse.ingest.wire import NotificationRequest
from bellhouse.recipients.wire import RecipientRequest, profile_of
from bellhouse.templates.publish import check


@pytest.fixture(scope="module")
def day() -> Day:
    return generate(seed=3, recipients=800, events=6_000)


def _contacts(day: Day, channel: str) -> list[str]:
    return [
        contact["address"]
        for line in day.recipients
        for contact in line.recipient["contacts"]  # type: ignore[attr-defined]  # a list of objects, as generated
        if contact["channel"] == channel
    ]


def test_the_same_seed_gives_the_same_day_and_another_seed_another_day(day: Day) -> None:
    assert generate(seed=3, recipients=800, events=6_000) == day
    assert generate(seed=4, recipients=800, events=6_000) != day


def test_the_day_has_exactly_the_recipients_and_events_asked_for(day: Day) -> None:
    assert len(day.recipients) == 800
    assert len({line.user_id for line in day.recipients}) == 800
    assert len(day.events) == 6_000


def test_the_types_cover_every_category_and_priority_and_each_is_used(day: Day) -> None:
    assert {line.type["category"] for line in day.types} == set(CATEGORIES)
    assert {line.type.get("priority", "normal") for line in day.types} == set(PRIORITIES)
    assert {event.notification.type for event in day.events} == {line.name for line in day.types}
    assert len(day.types) >= 12


def test_every_type_has_a_template_for_each_of_its_channels_in_two_or_three_locales(day: Day) -> None:
    templates = {line.name: line.template for line in day.templates}
    for kind in day.types:
        locales = templates[kind.name]["locales"]
        assert isinstance(locales, dict)
        assert "en" in locales
        assert 2 <= len(locales) <= 3
        assert all(set(content) >= set(kind.type["channels"]) for content in locales.values())  # type: ignore[call-overload]  # a list of channels


def test_every_variable_of_a_template_is_in_its_sample_and_in_the_data_of_every_event(day: Day) -> None:
    needed = {line.name: set(re.findall(r"{{ (\w+) }}", str(line.template["locales"]))) for line in day.templates}
    samples = {line.name: set(line.template["sample"]) for line in day.templates}  # type: ignore[call-overload]  # an object
    assert needed == samples
    for event in day.events:
        assert needed[event.notification.type] <= set(event.notification.data)


def test_every_phone_number_is_a_valid_number_of_its_country_and_belongs_to_one_recipient(day: Day) -> None:
    numbers = _contacts(day, "sms")
    assert len(numbers) > 400
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        assert phonenumbers.is_valid_number(phonenumbers.parse(number)), number


def test_every_address_and_zone_is_valid(day: Day) -> None:
    for address in _contacts(day, "email"):
        assert validate_email(address, check_deliverability=False).normalized == address
    zones = {str(line.recipient["zone"]) for line in day.recipients}
    assert len(zones) > 25
    assert all(ZoneInfo(zone) for zone in zones)


def test_recipients_have_none_to_three_devices_and_some_have_none(day: Day) -> None:
    devices = Counter(
        sum(contact["channel"] == "push" for contact in line.recipient["contacts"])  # type: ignore[attr-defined]  # as above
        for line in day.recipients
    )
    assert set(devices) == {0, 1, 2, 3}
    tokens = _contacts(day, "push")
    assert len(set(tokens)) == len(tokens)


def test_consent_is_given_by_some_withdrawn_by_some_and_unknown_for_the_rest(day: Day) -> None:
    proofs = [dict(line.recipient.get("preferences", {})).get("consent") for line in day.recipients]  # type: ignore[call-overload]  # an object
    given = sum("'given': True" in str(proof) for proof in proofs)
    withdrawn = sum("'given': False" in str(proof) for proof in proofs)
    assert given > withdrawn > 0
    assert proofs.count(None) > withdrawn


def test_the_day_has_three_peaks(day: Day) -> None:
    hours = Counter(event.at[11:13] for event in day.events if event.notification.type == "payment_received")
    for peak, valley in (("08", "03"), ("12", "05"), ("20", "04")):
        assert hours[peak] > 3 * hours[valley]


def test_events_are_in_the_order_of_their_moments_within_one_day(day: Day) -> None:
    moments = [moment(event.at) for event in day.events]
    assert all(before <= after for before, after in pairwise(moments))
    assert moments[-1] - moments[0] < 86_400_000
    assert {event.at[:10] for event in day.events} == {"2026-11-23"}


def test_an_order_is_confirmed_then_shipped_then_announced(day: Day) -> None:
    orders: dict[object, list[str]] = defaultdict(list)
    for event in day.events:
        if "order" in event.notification.data and event.notification.type != "payment_failed":
            kinds = orders[event.notification.data["order"]]
            if event.notification.type not in kinds:
                kinds.append(event.notification.type)
    order = ["order_confirmed", "order_shipped", "delivery_eta"]
    whole = [kinds for kinds in orders.values() if len(kinds) == 3]
    assert len(whole) > 300
    assert all(kinds == order for kinds in whole)


def test_a_key_comes_again_with_the_same_body_and_seldom_with_another(day: Day) -> None:
    bodies: dict[str, list[object]] = defaultdict(list)
    for event in day.events:
        if event.notification.idempotency_key and event.notification.user_id.startswith("user-"):
            bodies[event.notification.idempotency_key].append(event.notification)
    repeats = [group for group in bodies.values() if len(group) > 1]
    misused = [group for group in repeats if group[-1] != group[0]]
    assert len(repeats) - len(misused) >= 60
    assert 1 <= len(misused) <= 3


def test_a_few_events_are_for_somebody_whom_nobody_knows(day: Day) -> None:
    known = {line.user_id for line in day.recipients}
    strangers = [event for event in day.events if event.notification.user_id not in known]
    assert 1 <= len(strangers) <= 12


def test_some_events_are_scheduled_some_expire_and_some_collapse(day: Day) -> None:
    asked = [event.notification for event in day.events]
    assert any(one.send_at for one in asked)
    assert any(one.expires_at for one in asked)
    assert any(one.priority for one in asked)
    assert any(one.channels for one in asked)
    collapsing = Counter(one.collapse_key for one in asked if one.collapse_key)
    assert max(collapsing.values()) > 1


def test_the_bodies_are_those_that_the_api_takes(day: Day) -> None:
    for line in day.recipients:
        profile_of(line.user_id, msgspec.convert(line.recipient, RecipientRequest), None, 0)
    for event in day.events:
        msgspec.json.decode(msgspec.json.encode(event.notification), type=NotificationRequest)


def test_the_templates_can_be_published(day: Day) -> None:
    for line in day.templates:
        assert check(msgspec.convert({"name": line.name, "version": 1, **line.template}, Template)) == []
