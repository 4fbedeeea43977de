"""Twilio: the form, the error codes, callbacks, and the question after an unknown outcome."""

from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from twilio.request_validator import RequestValidator

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
from bellhouse.domain.ids import to_text
from bellhouse.ports.provider import CallbackRefused, CallbackRequest, Exchange, News
from bellhouse.providers.twilio.callback import TwilioCallbacks
from bellhouse.providers.twilio.config import TwilioConfig
from bellhouse.providers.twilio.errors import verdict_of
from bellhouse.providers.twilio.send import TwilioProvider
from bellhouse.testing.clock import ManualClock

from .scripted import DELIVERY, HTML_502, NOW, REFUSED, RESET, Script, answer, callback, mail, push, sent, sms

CONFIG = TwilioConfig("AC1", "tok", "+15005550006", callback_url="https://bell.example/callbacks/twilio")
TAKEN = answer(
    201,
    {"sid": "SM1", "status": "queued", "num_segments": "2", "price": None, "price_unit": "USD", "error_code": None},
)


def fault(status: int, code: int, **headers: str) -> Exchange:
    body = {"code": code, "message": "no", "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}
    return answer(status, body, **headers)


CODES: list[tuple[int, int, type[Verdict]]] = [
    *((400, code, TokenInvalid) for code in (21211, 21217, 21614, 21401)),
    *((400, code, Permanent) for code in (21612, 21214, 21602, 21604, 21617, 21620, 21623, 21624, 21654, 21656, 21609)),
    *((400, code, AccountFault) for code in (21408, 21212, 21603, 21606, 21703, 21704, 21705, 21709)),
    *((400, code, AccountFault) for code in (21608, 21219, 20005, 30002)),
    (401, 20003, AccountFault),
    (404, 20404, AccountFault),
    *((400, code, Throttled) for code in (21611, 14107, 63018, 63038)),
    (429, 20429, Throttled),
    (503, 20503, Retry),
    (500, 20500, Unknown),
    (400, 99999, Permanent),
]


@pytest.mark.parametrize(("status", "code", "kind"), CODES)
def test_each_error_code_has_its_verdict(status: int, code: int, kind: type[Verdict]) -> None:
    verdict = verdict_of(fault(status, code), NOW, 0.01)
    assert (type(verdict), verdict.code) == (kind, f"{status} {code}")


@pytest.mark.parametrize(
    ("exchange", "kind", "code"),
    [
        (TAKEN, Accepted, "201"),
        (answer(201, b"<html>"), Accepted, "201 unreadable"),
        (answer(201, {"status": "queued"}), Accepted, "201 unreadable"),
        (answer(403, b""), AccountFault, "403"),
        (answer(429, b""), Throttled, "429"),
        (HTML_502, Unknown, "502"),
        (answer(503, b"<html>"), Unknown, "503"),
        (answer(400, b"<html>"), Permanent, "400"),
        (RESET, Unknown, "no_answer"),
        (REFUSED, Retry, "connect"),
    ],
)
def test_other_answers_have_theirs(exchange: Exchange, kind: type[Verdict], code: str) -> None:
    verdict = verdict_of(exchange, NOW, 0.01)
    assert (type(verdict), verdict.code) == (kind, code)


def test_a_stop_at_twilio_is_an_opt_out() -> None:
    verdict = verdict_of(fault(400, 21610), NOW, 0.01)
    assert isinstance(verdict, Permanent)
    assert verdict.suppress


def test_a_throttle_waits_half_a_minute_unless_told() -> None:
    silent, told = verdict_of(fault(429, 20429), NOW, 0), verdict_of(fault(429, 20429, retry_after="2"), NOW, 0)
    assert isinstance(silent, Throttled)
    assert isinstance(told, Throttled)
    assert 30_000 <= silent.after_ms <= 45_000
    assert told.after_ms == 2000


def test_every_segment_is_paid() -> None:
    taken = verdict_of(TAKEN, NOW, 0.01)
    priced = verdict_of(answer(201, {"sid": "SM1", "num_segments": "2", "price": "-0.00750"}), NOW, 0.01)
    assert isinstance(taken, Accepted)
    assert isinstance(priced, Accepted)
    assert (taken.message_id, taken.price, priced.price) == ("SM1", 0.02, 0.0075)


async def test_a_message_is_a_form_whose_callback_names_our_delivery() -> None:
    script = Script(TAKEN)
    provider = TwilioProvider(CONFIG, script, ManualClock(NOW))
    await sent(provider, sms(attempt=2))
    (request,) = script.asked
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    called = urlsplit(form.pop("StatusCallback"))
    assert request.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert request.headers["authorization"] == "Basic QUMxOnRvaw=="
    expected = {"To": "+447700900123", "From": "+15005550006", "Body": "Your code is 123456", "ValidityPeriod": "3600"}
    assert form == expected
    assert called.path == "/callbacks/twilio"
    assert parse_qs(called.query) == {"delivery_id": [to_text(DELIVERY)], "attempt": ["2"]}
    assert called.fragment == "rc=3&rp=all"


async def test_a_service_and_an_api_key_take_the_place_of_number_and_token() -> None:
    script = Script(TAKEN)
    config = TwilioConfig("AC1", "tok", messaging_service_sid="MG1", api_key_sid="SK1", api_key_secret="s")
    await sent(TwilioProvider(config, script, ManualClock(NOW)), sms(ttl_s=10**6))
    form = parse_qs(script.asked[0].body.decode())
    assert (form["MessagingServiceSid"], form["ValidityPeriod"]) == (["MG1"], ["36000"])
    assert "From" not in form
    assert "StatusCallback" not in form
    assert script.asked[0].headers["authorization"] == "Basic U0sxOnM="


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (sms("447700900123"), "bad_address"),
        (sms(content=SmsContent("")), "too_large"),
        (sms(content=SmsContent("x" * 1601)), "too_large"),
        (mail(), "wrong_content"),
    ],
)
def test_what_twilio_would_never_take_is_known_before(message: Any, code: str) -> None:
    provider = TwilioProvider(CONFIG, Script(TAKEN), ManualClock(NOW))
    refusal = provider.check(message)
    assert refusal is not None
    assert refusal.code == code
    assert provider.check(sms()) is None


async def test_what_cannot_be_written_is_refused_without_a_call() -> None:
    script = Script(TAKEN)
    verdicts = await sent(TwilioProvider(CONFIG, script, ManualClock(NOW)), push(), sms(content=SmsContent("\ud800")))
    assert [type(verdict) for verdict in verdicts] == [Permanent, Permanent]
    assert script.asked == []


def listed(**changes: Any) -> Exchange:
    found = {"sid": "SM7", "body": "Your code is 123456", "date_created": formatdate(NOW / 1000), "status": "sent"}
    return answer(200, {"messages": [{"sid": "SM6", "body": "another"}, found | changes]})


async def test_an_unknown_outcome_is_settled_by_the_list_of_messages() -> None:
    script = Script(listed(price="-0.0075"))
    found = await TwilioProvider(CONFIG, script, ManualClock(NOW)).lookup(sms())
    asked = parse_qs(urlsplit(script.asked[0].path).query)
    assert found == Accepted("SM7", price=0.0075)
    assert (asked["To"], asked["From"]) == (["+447700900123"], ["+15005550006"])


@pytest.mark.parametrize(
    "listing",
    [
        listed(body="other"),
        listed(date_created="Wed, 18 Nov 2020 09:00:00 +0000"),
        listed(date_created=None),
        listed(status="failed"),
        answer(200, b"<html>"),
        answer(500),
        RESET,
    ],
)
async def test_a_message_that_is_not_listed_stays_unknown(listing: Exchange) -> None:
    assert await TwilioProvider(CONFIG, Script(listing), ManualClock(NOW)).lookup(sms()) is None


async def test_the_list_is_asked_for_both_days_around_midnight() -> None:
    script = Script(answer(200, {"messages": []}))
    await TwilioProvider(CONFIG, script, ManualClock(NOW + 86_400_000)).lookup(sms())
    days = [parse_qs(urlsplit(request.path).query)["DateSent"][0] for request in script.asked]
    assert len(set(days)) == 2


URL = f"https://bell.example/callbacks/twilio?delivery_id={to_text(DELIVERY)}&attempt=2"


def signed(url: str = URL, called: str | None = None, **form: str) -> CallbackRequest:
    fields = {"MessageSid": "SM1", "AccountSid": "AC1", "To": "+447700900123", "From": "+15005550006"} | form
    signature = RequestValidator("tok").compute_signature(url, fields)
    body = urlencode(fields).encode()
    return callback(body, called or url, x_twilio_signature=signature)


def news_of(request: CallbackRequest) -> list[News]:
    return TwilioCallbacks(CONFIG).read(request)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "accepted") for status in ("accepted", "scheduled", "queued", "sending", "sent")),
        *((status, "delivered") for status in ("delivered", "read")),
        *((status, "failed") for status in ("undelivered", "failed", "canceled")),
    ],
)
def test_each_status_has_its_meaning(status: str, kind: str) -> None:
    (news,) = news_of(signed(MessageStatus=status, SmsStatus=status))
    assert (news.delivery_id, news.attempt, news.kind, news.reason) == (DELIVERY, 2, kind, status)
    assert news.event_id == f"twilio:SM1:{status}"


@pytest.mark.parametrize(
    ("code", "kind", "effect"),
    [
        ("30003", "failed", "none"),
        ("30410", None, "none"),
        ("30005", "failed", "retire"),
        ("30006", "failed", "retire"),
        ("30004", "failed", "suppress"),
        ("30007", "failed", "none"),
    ],
)
def test_each_failure_has_its_effect(code: str, kind: str | None, effect: str) -> None:
    (news,) = news_of(signed(MessageStatus="undelivered", ErrorCode=code))
    assert (news.kind, news.effect, news.code) == (kind, effect, code)


def test_a_stop_from_the_recipient_opts_her_number_out() -> None:
    (news,) = news_of(signed(SmsStatus="received", Body="Stop", From="+447700900123"))
    assert (news.kind, news.effect, news.address, news.reason) == (None, "opt_out", "+447700900123", "opt_out")


def test_a_start_is_news_without_an_effect() -> None:
    (news,) = news_of(signed(SmsStatus="received", Body="x", OptOutType="START", From="+447700900123"))
    assert (news.kind, news.effect, news.reason) == (None, "none", "opt_in")


def test_other_words_and_other_senders_messages_are_no_news() -> None:
    assert news_of(signed(SmsStatus="received", Body="hello")) == []
    assert news_of(signed(url="https://bell.example/callbacks/twilio", MessageStatus="sent")) == []
    assert news_of(signed(MessageStatus="partially_delivered")) == []


@pytest.mark.parametrize(
    ("made", "called"),
    [
        ("https://bell.example:443/callbacks/twilio", "https://bell.example/callbacks/twilio"),
        ("http://bell.example:80/callbacks/twilio", "http://bell.example/callbacks/twilio"),
        ("https://bell.example/callbacks/twilio", "https://bell.example:443/callbacks/twilio"),
    ],
)
def test_the_port_may_be_written_or_not(made: str, called: str) -> None:
    query = URL.partition("?")[2]
    assert len(news_of(signed(f"{made}?{query}", f"{called}?{query}", MessageStatus="sent"))) == 1


def test_a_callback_under_a_shared_key_is_proved_by_sha256() -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": "sent"}
    signature = RequestValidator("shared").compute_signature(URL, fields, "HMAC_SHA256")
    settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    request = callback(
        urlencode(fields).encode(),
        URL,
        x_twilio_signature=signature,
        x_twilio_webhooks_signature_settings=settings,
    )
    config = TwilioConfig("AC1", "tok", "+1", shared_key="shared")
    assert len(TwilioCallbacks(config).read(request)) == 1
    with pytest.raises(CallbackRefused):
        TwilioCallbacks(CONFIG).read(request)


@pytest.mark.parametrize(
    "request_",
    [
        signed(called="https://evil.example/", MessageStatus="sent"),
        callback(b"MessageStatus=delivered", URL),
        callback(b"MessageStatus=delivered", URL, x_twilio_signature="nonsense"),
        callback(b"\xff\xfe", URL, x_twilio_signature="x"),
        callback(b"a=1&" * 1000, URL, x_twilio_signature="x"),
        callback(b"a" * (2 << 20), URL, x_twilio_signature="x"),
    ],
)
def test_a_callback_that_is_not_twilios_is_refused(request_: CallbackRequest) -> None:
    with pytest.raises(CallbackRefused):
        news_of(request_)
