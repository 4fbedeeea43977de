"""The rules for every HTTP provider, and the form of addresses."""

from email.utils import formatdate

import pytest

from bellhouse.domain.attempt import AccountFault, Permanent, Retry, Unknown, Verdict
from bellhouse.ports.provider import Exchange, Response
from bellhouse.providers import rules
from bellhouse.providers.addresses import is_e164, is_email
from bellhouse.providers.callbacks import attempt_of, choice_of, delivery_id_of

from .scripted import HTML_502, NOW, answer


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7000),
        ("1.5", 1500),
        ("0", 0),
        ("-3", 0),
        ("999999999", rules.LONGEST_WAIT_MS),
        (formatdate(NOW / 1000 + 20, usegmt=True), 20_000),
        (formatdate(NOW / 1000 - 20, usegmt=True), 0),
        ("soon", None),
        ("nan", None),
        ("Mon, 99 Foo 2026 00:00:00 GMT", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, wait: int | None) -> None:
    assert rules.retry_after_ms({"retry-after": value}, NOW) == wait


def test_a_rate_limits_reset_is_a_moment() -> None:
    assert rules.reset_ms({"x-ratelimit-reset": str(NOW // 1000 + 9)}, NOW) == 9000
    assert rules.reset_ms({}, NOW) is None


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (answer(500, {"error": 1}), Retry),
        (answer(503, {"error": 1}), Retry),
        (answer(500, b"<html>"), Unknown),
        (answer(503, b""), Unknown),
        (HTML_502, Unknown),
        (answer(502, {"error": 1}), Unknown),
        (answer(504, {"error": 1}), Unknown),
        (answer(521, b"Web server is down"), Unknown),
        (answer(307), AccountFault),
        (answer(409, {"error": 1}), Permanent),
    ],
)
def test_only_a_providers_own_500_or_503_promises_that_nothing_was_sent(
    response: Exchange, kind: type[Verdict]
) -> None:
    assert isinstance(response, Response)
    assert type(rules.unlisted(response, NOW)) is kind


def test_jitter_stays_between_the_wait_and_half_as_much_again() -> None:
    waits = [rules.jittered(1000) for _ in range(200)]
    assert 1000 <= min(waits) < max(waits) <= 1500


@pytest.mark.parametrize("text", ["+447700900123", "+1234567", "+123456789012345"])
def test_a_phone_number_with_its_country_is_one(text: str) -> None:
    assert is_e164(text)


@pytest.mark.parametrize(
    "text", ["", "+", "447700900123", "+0447700900123", "+44 7700 900123", "+1234567890123456", "+４４7700900123"]
)
def test_any_other_number_is_none(text: str) -> None:
    assert not is_e164(text)


@pytest.mark.parametrize("text", ["a@b.example", "first.last+tag@b.example", "x@ümlaut.example", "é@b.example"])
def test_an_address_is_one(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@b",
        "a@",
        "a@b@c",
        "a b@c",
        "a@b\r\nBcc: x@y",
        "<a@b>",
        '"a"@b',
        "a@[127.0.0.1]",
        "a@b,c@d",
        "a@b\u2028",
        "a" * 65 + "@b",
        "a@" + "b" * 254,
    ],
)
def test_what_would_need_quoting_is_no_address(text: str) -> None:
    assert not is_email(text)


def test_an_id_that_is_not_a_deliverys_is_none() -> None:
    assert delivery_id_of("01890a5d-ac96-774b-bcce-b302099a8001") is not None
    assert delivery_id_of("01890a5dac96774bbcceb302099a8001") is not None
    for other in ("01890a5d-ac96-774b-bcce-b302099a8000", "x", "", None, 5, "1" * 10_000):
        assert delivery_id_of(other) is None


def test_an_attempt_that_is_no_number_is_the_first() -> None:
    assert [attempt_of(text) for text in ("3", 4, "0", "-1", "x", None, "9" * 5000, 1 << 40)] == [
        3,
        4,
        1,
        1,
        1,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("STOP", "stop"),
        (" stop. ", "stop"),
        ("Unsubscribe", "stop"),
        ("Start", "start"),
        ("please stop", None),
        ("", None),
    ],
)
def test_only_the_bare_word_opts_out(text: str, choice: str | None) -> None:
    assert choice_of(text) == choice
