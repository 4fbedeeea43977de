"""Addresses as they are stored: one spelling, and a clear word for what is none."""

import subprocess
import sys

import pytest

from bellhouse.recipients.contacts import contact_id, normalized, suppressed_form


@pytest.mark.parametrize(
    ("channel", "given", "stored"),
    [
        ("email", "ada@EXAMPLE.com", "ada@example.com"),
        ("email", "ada@bücher.example.com", "ada@bücher.example.com"),
        ("sms", "+33 6 12 34 56 78", "+33612345678"),
        ("sms", "+1 (415) 555-2671", "+14155552671"),
        ("push", "dGVzdA:APA91b-token_1", "dGVzdA:APA91b-token_1"),
        ("chat", "https://hooks.example.com/T0/B0", "https://hooks.example.com/T0/B0"),
        ("in_app", "", ""),
    ],
)
def test_an_address_has_one_spelling(channel, given: str, stored: str) -> None:
    assert normalized(channel, given) == stored
    assert normalized(channel, stored) == stored


@pytest.mark.parametrize(
    ("channel", "wrong", "word"),
    [
        ("sms", "0612345678", "country"),
        ("sms", "", "country"),
        ("sms", "+", "no phone number"),
        ("sms", "+999123456789", "no phone number"),
        ("sms", "+331", "no phone number"),
        ("sms", "+33" + "6" * 100, "no phone number"),
        ("email", "ada", "no email address"),
        ("email", "ada@", "no email address"),
        ("email", "ada@example.com\r\nBcc: eve@example.com", "no email address"),
        ("email", "a" * 300 + "@example.com", "no email address"),
        ("email", "Ada <ada@example.com>", "no email address"),
        ("push", "", "printable"),
        ("push", "to ken", "printable"),
        ("push", "tok\x00en", "printable"),
        ("push", "x" * 4_097, "printable"),
        ("in_app", "inbox", "no address"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(channel, wrong: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        normalized(channel, wrong)


def test_an_id_is_stable_and_tells_channels_and_addresses_apart() -> None:
    ids = {contact_id("push", "a"), contact_id("push", "b"), contact_id("chat", "a")}
    assert len(ids) == 3
    assert contact_id("push", "a") in ids
    assert all(identifier.partition("-")[2] != "a" for identifier in ids)


@pytest.mark.parametrize(
    ("given", "listed"),
    [("ada@EXAMPLE.com", "ada@example.com"), ("+33 6 12 34 56 78", "+33612345678"), ("a-token", "a-token")],
)
def test_a_suppressed_address_is_spelled_as_the_contact_point_is(given: str, listed: str) -> None:
    assert suppressed_form(given) == listed


def test_the_heavy_libraries_wait_for_the_first_address() -> None:
    look = "import sys, bellhouse.recipients.contacts; print({'phonenumbers', 'email_validator'} & set(sys.modules))"
    asked = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "set()"
