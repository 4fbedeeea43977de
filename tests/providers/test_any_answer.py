"""Whatever anybody answers or posts: every message is reported once, and a reader refuses or reads, nothing else."""

import base64
from functools import cache
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bellhouse.ports.provider import (
    CallbackReader,
    CallbackRefused,
    CallbackRequest,
    Exchange,
    News,
    NoAnswer,
    NotSent,
    Provider,
    Response,
)
from bellhouse.providers.fcm.callback import FcmReceipts
from bellhouse.providers.fcm.config import FcmConfig
from bellhouse.providers.fcm.send import FcmProvider
from bellhouse.providers.sendgrid.callback import SendGridEvents
from bellhouse.providers.sendgrid.config import SendGridConfig
from bellhouse.providers.sendgrid.send import SendGridProvider
from bellhouse.providers.smtp.callback import SmtpReports
from bellhouse.providers.smtp.config import SmtpConfig
from bellhouse.providers.twilio.callback import TwilioCallbacks
from bellhouse.providers.twilio.config import TwilioConfig
from bellhouse.providers.twilio.send import TwilioProvider
from bellhouse.providers.vonage.callback import VonageCallbacks
from bellhouse.providers.vonage.config import VonageConfig
from bellhouse.providers.vonage.send import VonageProvider
from bellhouse.security.signatures import twilio_signature, vonage_signature
from bellhouse.testing.clock import ManualClock

from .scripted import DELIVERY, NOW, Script, answer, callback, mail, numbered, private_key, push, sent, sms

KEYS = ["error", "code", "status", "message", "details", "errors", "field", "messages", "sid", "name", "price"]
KEYS += [
    "@type",
    "errorCode",
    "fieldViolations",
    "violations",
    "subject",
    "message-price",
    "message-id",
    "num_segments",
]
KEYS += ["event", "timestamp", "delivery_id", "attempt", "reason", "type", "err-code", "client-ref", "sg_event_id"]
WORDS = [
    "0",
    "1",
    "5",
    "7",
    "33",
    "UNREGISTERED",
    "QUOTA_EXCEEDED",
    "google.rpc.QuotaFailure",
    "FcmError",
    "NaN",
    "1e400",
]
WORDS += ["bounce", "dropped", "delivered", "failed", DELIVERY.hex(), f"{DELIVERY.hex()}-1"]

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(WORDS),
    st.sampled_from([20429, 21610, 21211, 10**30]),
)
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
)
bodies = st.one_of(
    st.binary(max_size=50),
    documents.map(msgspec.json.encode),
    st.sampled_from([b"[" * 50_000, b'{"a":' * 50_000, b'{"code":' + b"9" * 6000 + b"}", b'{"price":1e999}', b"{}"]),
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "x-ratelimit-reset", "x-message-id", "content-type"]),
    st.text(max_size=20) | st.sampled_from(["1e999", "-1", "9" * 400, "Thu, 01 Jan 1970 00:00:00 GMT"]),
)
exchanges: st.SearchStrategy[Exchange] = st.one_of(
    st.builds(Response, st.integers(200, 599) | st.sampled_from([200, 401, 403, 404, 429, 500]), headers, bodies),
    st.builds(NotSent, st.text(max_size=5)),
    st.builds(NoAnswer, st.text(max_size=5)),
)
lax = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)


@given(st.lists(exchanges, min_size=1, max_size=6), st.lists(exchanges, min_size=1, max_size=3))
@lax
async def test_fcm_reports_every_message_once(answers: list[Exchange], grants: list[Exchange]) -> None:
    granted = answer(200, {"access_token": "t", "expires_in": 3600})
    oauth = Script(_in_turn([granted, *grants]))
    config = FcmConfig("p", "e", private_key(), receipt_secret=b"x" * 16)
    await sent(FcmProvider(config, Script(_in_turn(answers)), oauth, ManualClock(NOW)), *numbered(push(), 4), sms())


@pytest.mark.parametrize("name", ["sendgrid", "twilio", "vonage"])
@given(answers=st.lists(exchanges, min_size=1, max_size=6))
@lax
async def test_the_others_report_every_message_once(name: str, answers: list[Exchange]) -> None:
    script, clock = Script(_in_turn(answers)), ManualClock(NOW)
    providers: dict[str, Provider] = {
        "sendgrid": SendGridProvider(SendGridConfig("k", "a@b.example"), script, clock),
        "twilio": TwilioProvider(TwilioConfig("AC1", "t", "+15005550006"), script, clock),
        "vonage": VonageProvider(VonageConfig("k", "s", "x"), script, clock),
    }
    await sent(providers[name], *numbered(mail() if name == "sendgrid" else sms(), 4), push())


@given(exchanges)
@lax
async def test_a_lookup_at_twilio_finds_or_does_not(listing: Exchange) -> None:
    provider = TwilioProvider(TwilioConfig("AC1", "t"), Script(listing), ManualClock(NOW))
    assert await provider.lookup(sms()) is None


def _in_turn(answers: list[Exchange]) -> Any:
    turn = iter(range(10**9))
    return lambda _request: answers[next(turn) % len(answers)]


def _read(reader: CallbackReader, request: CallbackRequest) -> list[News]:
    try:
        return reader.read(request)
    except CallbackRefused:
        return []


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def _readers() -> dict[str, CallbackReader]:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public = base64.b64encode(_key().public_key().public_bytes(serialization.Encoding.DER, spki)).decode()
    return {
        "fcm": FcmReceipts(FcmConfig("p", "e", "", receipt_secret=b"x" * 16)),
        "sendgrid": SendGridEvents(SendGridConfig("k", "a@b.example", verification_key=public)),
        "smtp": SmtpReports(SmtpConfig("h", "a@b.example", "b.example", dsn_secret="s")),
        "twilio": TwilioCallbacks(TwilioConfig("AC1", "t")),
        "vonage": VonageCallbacks(VonageConfig("k", "s", "x", "signing")),
    }


@pytest.mark.parametrize("name", ["fcm", "sendgrid", "smtp", "twilio", "vonage"])
@given(
    body=bodies,
    url=st.text(max_size=30),
    method=st.sampled_from(["GET", "POST"]),
    given_headers=st.dictionaries(st.sampled_from(["authorization", "x-twilio-signature", "content-type"]), st.text()),
)
@lax
def test_no_post_makes_a_reader_raise_anything_else(
    name: str, body: bytes, url: str, method: str, given_headers: dict[str, str]
) -> None:
    assert _read(_readers()[name], CallbackRequest(method, url, given_headers, body, NOW)) == []


@given(bodies)
@lax
def test_no_signed_body_makes_sendgrids_reader_raise(body: bytes) -> None:
    at = str(NOW // 1000)
    signature = base64.b64encode(_key().sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    request = callback(
        body, x_twilio_email_event_webhook_signature=signature, x_twilio_email_event_webhook_timestamp=at
    )
    _read(_readers()["sendgrid"], request)


fields = st.dictionaries(
    st.sampled_from([*KEYS, "MessageStatus", "SmsStatus", "ErrorCode", "Body", "msisdn", "text", "message-timestamp"]),
    st.text(max_size=20) | st.sampled_from(WORDS),
    max_size=6,
)


@given(fields, st.text(max_size=30))
@lax
def test_no_signed_form_makes_twilios_reader_raise(form: dict[str, str], query: str) -> None:
    url = f"https://bell.example/callbacks/twilio?delivery_id={DELIVERY.hex()}&{query}"
    signature = twilio_signature("t", url.partition("#")[0], form.items())
    _read(_readers()["twilio"], callback(urlencode(form).encode(), url, x_twilio_signature=signature))


@given(fields)
@lax
def test_no_signed_receipt_makes_vonages_reader_raise(form: dict[str, str]) -> None:
    stamped = form | {"timestamp": str(NOW // 1000)}
    signed = stamped | {"sig": vonage_signature("signing", stamped, "sha256")}
    _read(_readers()["vonage"], callback(msgspec.json.encode(signed)))


REPORT_LINES = [
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b",
    b"Content-Type: multipart/report; report-type=feedback-report; boundary=b",
    b"Content-Type: message/delivery-status",
    b"Content-Type: text/rfc822-headers; charset=nonsense",
    b"Content-Type: message/rfc822",
    b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: uuencode",
    b"--b",
    b"--b--",
    b"",
    b"Action: failed",
    b"Status: 5.1.1",
    b"Final-Recipient: rfc822; a@b",
    b"To: bounce+" + DELIVERY.hex().encode() + b"@b.example",
    b"Original-Envelope-Id: " + DELIVERY.hex().encode() + b"-2",
    b"To: \xff\xfe",
    b" folded",
]


@given(st.lists(st.sampled_from(REPORT_LINES) | st.binary(max_size=20), max_size=20))
@lax
def test_no_mail_makes_the_bounce_reader_raise(lines: list[bytes]) -> None:
    _read(_readers()["smtp"], callback(b"\r\n".join(lines), authorization="Bearer s"))
