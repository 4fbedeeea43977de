"""Signatures against the vendors' own packages, and our receipt token."""

import base64
from typing import get_args

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from sendgrid.helpers.eventwebhook import EventWebhook
from twilio.request_validator import RequestValidator

from bellhouse.security.signatures import (
    ReceiptKey,
    SendGridKey,
    VonageMethod,
    same_secret,
    twilio_signature,
    twilio_signed,
    vonage_signature,
    vonage_signed,
)

TWILIO_FORM = [("MessageSid", "SM1"), ("MessageStatus", "delivered"), ("To", "+15005550006")]
TWILIO_URL = "https://h.example/cb?d=1"
VONAGE = {"api_key": "abcd1234", "text": "a&b=c", "timestamp": "1700000000", "to": "447700900000"}


def test_twilios_known_answers() -> None:
    assert twilio_signature("tok", TWILIO_URL, TWILIO_FORM) == "7elx47uMm0v53+h+ks7et+1LDYM="
    assert twilio_signature("tok", TWILIO_URL, TWILIO_FORM, "sha256") == "IGtUmuu2BTgqK1HseZqmSWYU5bgfD1heJVT3U+Fpd9s="


@given(st.dictionaries(st.text(), st.text()), st.sampled_from(["sha1", "sha256"]))
def test_twilios_own_package_signs_as_we_do(form: dict[str, str], algorithm: str) -> None:
    theirs = RequestValidator("tok").compute_signature(TWILIO_URL, form, f"HMAC_{algorithm.upper()}")
    assert twilio_signature("tok", TWILIO_URL, form.items(), algorithm) == theirs  # type: ignore[arg-type]  # sampled


def test_a_repeated_name_counts_with_its_distinct_values_sorted() -> None:
    form = [("a", "2"), ("a", "1"), ("a", "2")]
    assert twilio_signature("tok", "u", form) == twilio_signature("tok", "u", [("a", "1"), ("a", "2")])


def test_a_signature_of_another_secret_url_or_form_is_refused() -> None:
    good = twilio_signature("tok", TWILIO_URL, TWILIO_FORM)
    assert twilio_signed("tok", ["https://x", TWILIO_URL], TWILIO_FORM, good)
    assert not twilio_signed("tak", [TWILIO_URL], TWILIO_FORM, good)
    assert not twilio_signed("tok", ["https://x"], TWILIO_FORM, good)
    assert not twilio_signed("tok", [TWILIO_URL], TWILIO_FORM[1:], good)
    assert not twilio_signed("tok", [TWILIO_URL], TWILIO_FORM, "")


def test_vonages_known_answers() -> None:
    assert vonage_signature("sec", VONAGE, "md5hash") == "65cc923733d4bdd9623313ecdca9454b"
    sha256 = "28abf5e159ec196c0ddab203e89633444e6639f7ba926cdd37434d5794acb0ec"
    assert vonage_signature("sec", VONAGE, "sha256") == sha256
    assert vonage_signed("sec", VONAGE | {"sig": sha256.upper()}, "sha256")


@pytest.mark.parametrize("method", get_args(VonageMethod))
def test_every_method_of_vonage_notices_a_change(method: VonageMethod) -> None:
    signed = VONAGE | {"sig": vonage_signature("sec", VONAGE, method)}
    assert vonage_signed("sec", signed, method)
    assert not vonage_signed("sec", signed | {"text": "other"}, method)
    assert not vonage_signed("sec", VONAGE, method)
    assert not vonage_signed("cse", signed, method)


def sendgrid_key() -> tuple[ec.EllipticCurvePrivateKey, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.DER, spki)
    return key, base64.b64encode(public).decode()


def test_sendgrids_own_package_takes_what_we_take() -> None:
    key, public = sendgrid_key()
    signature = base64.b64encode(key.sign(b"1700000000[]", ec.ECDSA(hashes.SHA256()))).decode()
    webhook = EventWebhook(public)
    for body, timestamp, expected in ((b"[]", "1700000000", True), (b"[ ]", "1700000000", False), (b"[]", "1", False)):
        assert SendGridKey(public).signed(signature, timestamp, body) is expected
        assert webhook.verify_signature(body.decode(), signature, timestamp) is expected


@given(st.text(), st.text(), st.binary())
def test_nonsense_is_not_signed_by_sendgrid(signature: str, timestamp: str, body: bytes) -> None:
    assert SendGridKey(_PUBLIC).signed(signature, timestamp, body) is False


_PUBLIC = sendgrid_key()[1]


def test_a_key_that_is_not_sendgrids_kind_is_refused() -> None:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public = rsa.generate_private_key(65537, 1024).public_key().public_bytes(serialization.Encoding.DER, spki)
    with pytest.raises(ValueError, match="elliptic"):
        SendGridKey(base64.b64encode(public).decode())
    with pytest.raises(ValueError, match=r".+"):
        SendGridKey("nonsense")


@given(st.binary(min_size=16, max_size=16), st.integers(1, 65535))
def test_a_receipt_token_gives_back_its_attempt(delivery: bytes, attempt: int) -> None:
    key = ReceiptKey(b"k" * 16)
    token = key.token(delivery, attempt)
    assert len(token) == 24
    assert key.attempt_of(delivery, token) == attempt
    assert ReceiptKey(b"j" * 16).attempt_of(delivery, token) is None
    assert key.attempt_of(bytes([delivery[0] ^ 1]) + delivery[1:], token) is None


@given(st.text())
def test_no_other_text_is_a_receipt_token(text: str) -> None:
    assert ReceiptKey(b"k" * 16).attempt_of(b"d" * 16, text) is None


def test_a_receipt_secret_has_16_to_64_bytes() -> None:
    for secret in (b"", b"x" * 15, b"x" * 65):
        with pytest.raises(ValueError, match="16 to 64"):
            ReceiptKey(secret)


@given(st.text(), st.text())
def test_secrets_are_the_same_only_when_equal(one: str, other: str) -> None:
    assert same_secret(one, other) is (one == other)
    assert same_secret(one, one)
