"""Vonage: the form, the status of each part, receipts by POST and GET."""

from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec
import pytest

from bellhouse.domain.attempt import (
    Accepted,
    AccountFault,
    Permanent,
    Retry,
    Throttled,
    TokenInvalid,
    Unknown,
    Verdict,
)
from bellhouse.domain.content import SmsContent
from bellhouse.ports.provider import CallbackRefused, CallbackRequest, Exchange, News
from bellhouse.providers.vonage.callback import VonageCallbacks
from bellhouse.providers.vonage.config import VonageConfig
from bellhouse.providers.vonage.errors import verdict_of
from bellhouse.providers.vonage.send import VonageProvider
from bellhouse.security.signatures import vonage_signature
from bellhouse.testing.clock import ManualClock

from .scripted import DELIVERY, HTML_502, NOW, REFUSED, RESET, Script, answer, callback, mail, push, sent, sms

CONFIG = VonageConfig("key", "secret", "447700900000", "signing", callback_url="https://bell.example/callbacks/vonage")
REFERENCE = f"{DELIVERY.hex()}-2"


def part(status: str = "0", **changes: Any) -> dict[str, Any]:
    if status != "0":
        return {"status": status, "error-text": "no"}
    made = {"to": "447700900123", "message-id": "0A01", "status": "0", "remaining-balance": "15.1", "network": "12345"}
    return made | {"message-price": "0.03330000"} | changes


def parts(*statuses: str) -> Exchange:
    return answer(200, {"message-count": str(len(statuses)), "messages": [part(status) for status in statuses]})


STATUSES: list[tuple[str, type[Verdict]]] = [
    ("0", Accepted),
    ("1", Throttled),
    ("5", Retry),
    ("10", Throttled),
    *((status, Permanent) for status in ("2", "3", "12", "22", "23", "6", "7", "77")),
    ("33", TokenInvalid),
    *((status, AccountFault) for status in ("4", "8", "11", "14", "15", "29", "32", "9")),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_each_status_has_its_verdict_inside_a_200(status: str, kind: type[Verdict]) -> None:
    verdict = verdict_of(parts(status), NOW)
    assert (type(verdict), verdict.code) == (kind, f"200 {status}")


@pytest.mark.parametrize(
    ("exchange", "kind", "code"),
    [
        (answer(200, b"<html>"), Accepted, "200 unreadable"),
        (answer(200, {"messages": []}), Accepted, "200 unreadable"),
        (answer(401, {}), AccountFault, "401"),
        (answer(429, {}), Throttled, "429"),
        (answer(500, {}), Unknown, "500"),
        (answer(503, {}), Retry, "503"),
        (answer(503, b"<html>"), Unknown, "503"),
        (HTML_502, Unknown, "502"),
        (answer(420, {}), Permanent, "420"),
        (RESET, Unknown, "no_answer"),
        (REFUSED, Retry, "connect"),
    ],
)
def test_other_answers_have_theirs(exchange: Exchange, kind: type[Verdict], code: str) -> None:
    verdict = verdict_of(exchange, NOW)
    assert (type(verdict), verdict.code) == (kind, code)


def test_a_barred_number_is_an_opt_out() -> None:
    verdict = verdict_of(parts("7"), NOW)
    assert isinstance(verdict, Permanent)
    assert verdict.suppress


def test_the_prices_of_all_parts_add_up() -> None:
    verdict = verdict_of(parts("0", "0"), NOW)
    assert isinstance(verdict, Accepted)
    assert verdict.message_id == "0A01"
    assert verdict.price == pytest.approx(0.0666)


def test_a_message_of_which_some_parts_were_taken_is_unknown() -> None:
    verdict = verdict_of(parts("0", "1"), NOW)
    assert isinstance(verdict, Unknown)
    assert verdict.code == "200 1"


def test_the_gravest_part_speaks_for_a_message_that_was_not_taken() -> None:
    assert isinstance(verdict_of(parts("1", "9", "5"), NOW), AccountFault)
    assert isinstance(verdict_of(parts("5", "1"), NOW), Throttled)


async def test_a_message_is_a_form_with_our_reference() -> None:
    script = Script(parts("0"))
    provider = VonageProvider(CONFIG, script, ManualClock(NOW))
    await sent(provider, sms(attempt=2), sms(content=SmsContent("Žluť"), ttl_s=1))
    first, second = (
        {name: values[0] for name, values in parse_qs(request.body.decode()).items()} for request in script.asked
    )
    assert script.asked[0].path == "/sms/json"
    assert script.asked[0].headers["authorization"] == "Basic a2V5OnNlY3JldA=="
    assert first == {
        "from": "447700900000",
        "to": "447700900123",
        "text": "Your code is 123456",
        "type": "text",
        "ttl": "3600000",
        "client-ref": REFERENCE,
        "status-report-req": "1",
        "callback": "https://bell.example/callbacks/vonage",
    }
    assert len(first["client-ref"]) <= 40
    assert (second["type"], second["ttl"]) == ("unicode", "20000")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (sms("12"), "bad_address"),
        (sms(content=SmsContent("")), "too_large"),
        (sms(content=SmsContent("x" * 1601)), "too_large"),
        (mail(), "wrong_content"),
    ],
)
def test_what_vonage_would_never_take_is_known_before(message: Any, code: str) -> None:
    provider = VonageProvider(CONFIG, Script(parts("0")), ManualClock(NOW))
    refusal = provider.check(message)
    assert refusal is not None
    assert refusal.code == code
    assert provider.check(sms()) is None


async def test_what_cannot_be_written_is_refused_without_a_call() -> None:
    script = Script(parts("0"))
    verdicts = await sent(VonageProvider(CONFIG, script, ManualClock(NOW)), push(), sms(content=SmsContent("\ud800")))
    assert [type(verdict) for verdict in verdicts] == [Permanent, Permanent]
    assert script.asked == []


def test_a_callback_url_that_vonage_does_not_take_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="100"):
        VonageProvider(
            VonageConfig("k", "s", "x", callback_url="https://" + "x" * 100), Script(parts()), ManualClock(NOW)
        )


def fields(**changes: str) -> dict[str, str]:
    made = {
        "msisdn": "447700900123",
        "to": "447700900000",
        "network-code": "12345",
        "messageId": "0A01",
        "price": "0.02000000",
        "status": "delivered",
        "scts": "2011180900",
        "err-code": "0",
        "api-key": "key",
        "client-ref": REFERENCE,
        "timestamp": str(NOW // 1000),
        "nonce": "abc",
    }
    made |= {name.replace("_", "-") if name != "messageId" else name: value for name, value in changes.items()}
    return made | {"sig": vonage_signature("signing", made, "sha256")}


def receipt(**changes: str) -> CallbackRequest:
    return callback(msgspec.json.encode(fields(**changes)), content_type="application/json")


def news_of(request: CallbackRequest) -> list[News]:
    return VonageCallbacks(CONFIG).read(request)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("accepted", "accepted"),
        ("buffered", "accepted"),
        ("delivered", "delivered"),
        ("expired", "failed"),
        ("failed", "failed"),
        ("rejected", "failed"),
    ],
)
def test_each_status_of_a_receipt_has_its_meaning(status: str, kind: str) -> None:
    (news,) = news_of(receipt(status=status, message_timestamp="2026-11-18 09:00:00"))
    assert (news.delivery_id, news.attempt, news.kind) == (DELIVERY, 2, kind)
    assert (news.at, news.price, news.address) == (1_794_992_400_000, 0.02, "+447700900123")


def test_an_unknown_status_is_no_news() -> None:
    assert news_of(receipt(status="unknown", err_code="1")) == []


@pytest.mark.parametrize(
    ("code", "effect"),
    [
        ("3", "retire"),
        ("12", "retire"),
        ("4", "suppress"),
        ("9", "suppress"),
        ("14", "suppress"),
        ("5", "none"),
        ("2", "none"),
    ],
)
def test_each_error_of_a_receipt_has_its_effect(code: str, effect: str) -> None:
    (news,) = news_of(receipt(status="failed", err_code=code))
    assert (news.kind, news.effect, news.code) == ("failed", effect, code)


def test_a_receipt_may_come_by_get_or_as_a_form() -> None:
    query = urlencode(fields())
    by_get = callback(url=f"https://bell.example/callbacks/vonage?{query}", method="GET")
    assert news_of(by_get) == news_of(callback(query.encode())) == news_of(receipt())


def test_a_stop_is_ours_to_honour() -> None:
    inbound = {
        "msisdn": "447700900123",
        "to": "447700900000",
        "messageId": "B1",
        "text": "Stop",
        "type": "text",
        "timestamp": str(NOW // 1000),
    }
    signed = inbound | {"sig": vonage_signature("signing", inbound, "sha256")}
    (news,) = news_of(callback(msgspec.json.encode(signed)))
    assert (news.kind, news.effect, news.address) == (None, "opt_out", "+447700900123")


@pytest.mark.parametrize(
    "request_",
    [
        callback(msgspec.json.encode(fields() | {"status": "failed"})),
        callback(msgspec.json.encode({"status": "delivered", "client-ref": REFERENCE})),
        receipt(timestamp=str(NOW // 1000 - 2 * 86_400)),
        receipt(timestamp="x"),
        callback(b"{"),
        callback(b"{" + b'"a":[' * 50_000),
        callback(b"\xff"),
    ],
)
def test_a_receipt_that_is_not_vonages_or_is_old_is_refused(request_: CallbackRequest) -> None:
    with pytest.raises(CallbackRefused):
        news_of(request_)


def test_receipts_that_nobody_signs_are_not_read() -> None:
    with pytest.raises(ValueError, match="sign"):
        VonageCallbacks(VonageConfig("k", "s", "x"))
