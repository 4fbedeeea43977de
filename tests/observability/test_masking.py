"""No address, number or token that a provider's error quotes reaches a log."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.observability.masking import LONGEST, MASK, mask, mask_id, mask_user

ERRORS = st.sampled_from(
    [
        "{}",
        "550 5.1.1 <{}>: Recipient address rejected",
        "550 5.1.1 {}... User unknown",
        '{{"error":{{"message":"not a valid token","to":"{}"}}}}',
        "POST /Messages.json?To={}&Body=x failed",
        "InvalidRegistration: {}",
        "refused '{}' at once",
        "({}), then [{}]",
        "to={};from=bell",
        "to:{},x",
        "a\n{}\tb",
    ]
)
QUOTED = st.text(string.ascii_letters + " .,;()<>:", min_size=1, max_size=20).map(
    lambda local: f'"zoe {local}"@example.com'
)
DIGITS = st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True)
WITH_PLUS = DIGITS.map(lambda digits: f"+{digits}")
ENCODED = DIGITS.map(lambda digits: f"%2B{digits}")
WORD = string.ascii_letters + string.digits + "_-"
LONG_TOKENS = st.text(WORD, min_size=32, max_size=200)
TOKENS_WITH_DIGITS = st.tuples(st.text(WORD, min_size=20, max_size=60), st.integers(0, 9), st.integers(0, 19)).map(
    lambda t: t[0][: t[2]] + str(t[1]) + t[0][t[2] :]
)
FCM = st.tuples(st.text(WORD, min_size=22, max_size=22), st.text(WORD, min_size=134, max_size=134)).map(
    lambda t: f"{t[0]}:APA91{t[1]}"
)
APNS = st.binary(min_size=32, max_size=32).map(bytes.hex)
BASE64 = st.text(string.ascii_letters + string.digits + "+/", min_size=60, max_size=120)


def windows(secret: str, size: int) -> set[str]:
    """Every run of `size` characters of a secret; the whole of a shorter one."""
    return {secret[i : i + size] for i in range(max(1, len(secret) - size + 1))}


@given(ERRORS, st.emails())
def test_no_email_address_remains(error: str, address: str) -> None:
    masked = mask(error.format(address, address))
    assert address not in masked
    assert "@" not in masked


@given(ERRORS, QUOTED)
def test_no_quoted_local_part_remains(error: str, address: str) -> None:
    local, _, _ = address.rpartition("@")
    assert local not in mask(error.format(address, address))


@given(ERRORS, WITH_PLUS | DIGITS | ENCODED)
def test_no_phone_number_remains(error: str, number: str) -> None:
    masked = mask(error.format(number, number))
    assert number.removeprefix("+").removeprefix("%2B") not in masked


@given(ERRORS, DIGITS, st.sampled_from([" ", "-", ".", " (", ") "]), st.integers(1, 4))
def test_no_phone_number_with_separators_remains(error: str, digits: str, separator: str, group: int) -> None:
    parts = [digits[i : i + group] for i in range(0, len(digits), group)]
    masked = mask(error.format("+" + separator.join(parts), ""))
    assert digits[-4:] not in masked.replace(separator, "")


@given(ERRORS, LONG_TOKENS | TOKENS_WITH_DIGITS | FCM | APNS | BASE64)
def test_no_token_remains_not_even_a_part(error: str, token: str) -> None:
    masked = mask(error.format(token, token))
    assert not [part for part in windows(token, 20) if part in masked]


@given(st.text(WORD, min_size=1, max_size=12), st.sampled_from(["Bearer {}", "basic {}", "token={}", 'api_key: "{}"']))
def test_no_credential_remains_however_short(secret: str, wording: str) -> None:
    assert mask(f"refused: {wording.format(secret)} here") == f"refused: {wording.format(MASK)} here"


@given(st.text(max_size=300))
def test_any_text_is_masked_without_an_error_and_masking_again_changes_nothing_more(text: str) -> None:
    masked = mask(text)
    assert len(masked) <= LONGEST
    assert "@" not in masked


@pytest.mark.parametrize(
    "text",
    [
        "UNREGISTERED",
        "421 4.7.0 Try again later, closing connection",
        "connect: Connection refused (127.0.0.1:8080)",
        "HTTP 503 after 1500 ms",
        "no record 0198aa11-2222-7333-8444-555566667701 in notifications.low",
        "database disk image is malformed",
        "Delivery attempted",
    ],
)
def test_what_names_nobody_stays_as_it_is(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize("length", [2_001, 100_000])
def test_a_very_long_error_is_cut_and_a_token_at_the_cut_does_not_shine_through(length: int) -> None:
    text = "why " * 100 + "a1" * length
    masked = mask(text)
    assert len(masked) <= LONGEST
    assert "a1a1" not in masked


def test_our_own_ids_and_trace_ids_stay() -> None:
    for identifier in ("0198aa11-2222-7333-8444-555566667701", "4bf92f3577b34da6a3ce929d0e0e4736"):
        assert mask_id(identifier) == identifier
    assert mask_id("bob@example.com") == MASK


@pytest.mark.parametrize("user", ["usr_01HXYZ0123456789ABCDEFGHJK", "12345678", "0198aa11-2222-7333-8444-555566667701"])
def test_a_callers_id_of_a_user_stays(user: str) -> None:
    assert mask_user(user) == user


@given(st.emails() | WITH_PLUS)
def test_a_user_whose_id_is_an_address_is_not_named(user: str) -> None:
    assert mask_user(user) == MASK
