"""SendGrid: the body, the answers, the signed events."""

import base64
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sendgrid.helpers import mail as vendor

from bellhouse.domain.attempt import Accepted, AccountFault, Permanent, Retry, Throttled, Unknown, Verdict
from bellhouse.domain.content import EmailContent
from bellhouse.domain.ids import to_text
from bellhouse.ports.provider import CallbackRefused, CallbackRequest, Exchange, News
from bellhouse.providers.sendgrid.callback import SendGridEvents
from bellhouse.providers.sendgrid.config import SendGridConfig
from bellhouse.providers.sendgrid.errors import verdict_of
from bellhouse.providers.sendgrid.send import SendGridProvider
from bellhouse.testing.clock import ManualClock

from .scripted import DELIVERY, HTML_502, NOW, REFUSED, RESET, Script, answer, callback, mail, push, sent

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()
CONFIG = SendGridConfig("SG.key", "bell@example.com", "Bell", verification_key=PUBLIC)
TAKEN = answer(202, b"", x_message_id="14c5d75ce93")


def errors(status: int, *messages: str, **headers: str) -> Exchange:
    return answer(status, {"errors": [{"message": text, "field": None, "help": None} for text in messages]}, **headers)


@pytest.mark.parametrize(
    ("exchange", "kind", "code"),
    [
        (TAKEN, Accepted, "202"),
        (answer(200, b""), Accepted, "200"),
        (errors(400, "Does not contain a valid address."), Permanent, "400"),
        (errors(413, "too large"), Permanent, "413"),
        (errors(404), Permanent, "404"),
        (errors(405), Permanent, "405"),
        (errors(406), Permanent, "406"),
        (errors(401, "The provided authorization grant is invalid"), AccountFault, "401"),
        (errors(401, "Maximum credits exceeded"), AccountFault, "401"),
        (errors(403, "The from address does not match a verified Sender Identity."), AccountFault, "403"),
        (errors(403, "Too many bad requests"), Throttled, "403 blocked"),
        (errors(429, "too many requests"), Throttled, "429"),
        (errors(500, "internal"), Retry, "500"),
        (errors(503, "unavailable"), Retry, "503"),
        (answer(500, b"<html>"), Unknown, "500"),
        (HTML_502, Unknown, "502"),
        (errors(504), Unknown, "504"),
        (errors(415), Permanent, "415"),
        (RESET, Unknown, "no_answer"),
        (REFUSED, Retry, "connect"),
    ],
)
def test_each_answer_has_its_verdict(exchange: Exchange, kind: type[Verdict], code: str) -> None:
    verdict = verdict_of(exchange, NOW)
    assert (type(verdict), verdict.code) == (kind, code)


def test_an_accepted_mail_is_known_by_its_header() -> None:
    assert verdict_of(TAKEN, NOW) == Accepted("14c5d75ce93", code="202")


def test_a_rate_limit_ends_at_its_reset() -> None:
    reset = verdict_of(errors(429, "too many requests", x_ratelimit_reset=str(NOW // 1000 + 12)), NOW)
    silent = verdict_of(errors(429, "too many requests"), NOW)
    assert isinstance(reset, Throttled)
    assert isinstance(silent, Throttled)
    assert reset.after_ms == 12_000
    assert 5000 <= silent.after_ms <= 7500


def test_an_error_names_its_field() -> None:
    verdict = verdict_of(answer(400, {"errors": [{"message": "bad", "field": "from.email"}, {"message": "also"}]}), NOW)
    assert isinstance(verdict, Permanent)
    assert verdict.reason == "from.email: bad; also"


async def test_a_body_is_what_sendgrids_own_package_would_write() -> None:
    script = Script(TAKEN)
    message = mail(attempt=2, data={"list_unsubscribe": "<https://bell.example/u/1>"})
    await sent(SendGridProvider(CONFIG, script, ManualClock(NOW)), message)
    theirs = vendor.Mail(
        vendor.From("bell@example.com", "Bell"),
        vendor.To("zoe@example.com"),
        "Your order",
        vendor.PlainTextContent("It is on its way.\n"),
        vendor.HtmlContent("<p>It is on its way.</p>\n"),
    )
    ours = {"delivery_id": to_text(DELIVERY), "notification_id": to_text(DELIVERY)[:-2] + "00", "attempt": "2"}
    for name, value in ours.items():
        theirs.personalizations[0].add_custom_arg(vendor.CustomArg(name, value))
    theirs.personalizations[0].add_header(vendor.Header("List-Unsubscribe", "<https://bell.example/u/1>"))
    theirs.personalizations[0].add_header(vendor.Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    (request,) = script.asked
    assert msgspec.json.decode(request.body) == theirs.get()
    assert (request.path, request.headers["authorization"]) == ("/v3/mail/send", "Bearer SG.key")


async def test_the_sandbox_a_reply_address_and_plain_text_alone_are_written() -> None:
    script = Script(TAKEN)
    config = SendGridConfig("SG.key", "bell@example.com", reply_to="help@example.com", sandbox=True)
    await sent(SendGridProvider(config, script, ManualClock(NOW)), mail(content=EmailContent("s", "t")))
    body = msgspec.json.decode(script.asked[0].body)
    assert body["mail_settings"] == {"sandbox_mode": {"enable": True}}
    assert body["reply_to"] == {"email": "help@example.com"}
    assert body["content"] == [{"type": "text/plain", "value": "t"}]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (mail("nobody"), "bad_address"),
        (mail(content=EmailContent("", "t")), "bad_content"),
        (mail(content=EmailContent("s", "")), "bad_content"),
        (mail(content=EmailContent("a\r\nBcc: x@y", "t")), "bad_content"),
        (mail(content=EmailContent("s", "t" * 20_000_001)), "too_large"),
        (push(), "wrong_content"),
    ],
)
def test_what_sendgrid_would_never_take_is_known_before(message: Any, code: str) -> None:
    provider = SendGridProvider(CONFIG, Script(TAKEN), ManualClock(NOW))
    refusal = provider.check(message)
    assert refusal is not None
    assert refusal.code == code
    assert provider.check(mail()) is None


async def test_what_cannot_be_written_is_refused_without_a_call() -> None:
    script = Script(TAKEN)
    provider = SendGridProvider(CONFIG, script, ManualClock(NOW))
    verdicts = await sent(provider, push(), mail(content=EmailContent("\ud800", "t")))
    assert [type(verdict) for verdict in verdicts] == [Permanent, Permanent]
    assert script.asked == []


def event(word: str, **changes: Any) -> dict[str, Any]:
    made = {
        "email": "zoe@example.com",
        "timestamp": NOW // 1000 - 60,
        "event": word,
        "sg_event_id": f"id-{word}",
        "sg_message_id": "14c5d75ce93.filter0001",
        "delivery_id": to_text(DELIVERY),
        "notification_id": to_text(DELIVERY)[:-2] + "00",
        "attempt": "2",
    }
    return made | changes


def signed(body: bytes, timestamp: int = NOW // 1000, key: ec.EllipticCurvePrivateKey = KEY) -> CallbackRequest:
    signature = key.sign(str(timestamp).encode() + body, ec.ECDSA(hashes.SHA256()))
    return callback(
        body,
        x_twilio_email_event_webhook_signature=base64.b64encode(signature).decode(),
        x_twilio_email_event_webhook_timestamp=str(timestamp),
    )


def news_of(*events: Any) -> list[News]:
    return SendGridEvents(CONFIG).read(signed(msgspec.json.encode(list(events))))


@pytest.mark.parametrize(
    ("made", "kind", "effect"),
    [
        (event("processed"), "accepted", "none"),
        (event("delivered", response="250 OK"), "delivered", "none"),
        (event("bounce", type="bounce", reason="550 5.1.1", status="5.1.1"), "failed", "suppress"),
        (event("bounce", type="blocked", reason="554 5.7.1", status="5.7.1"), "failed", "none"),
        (event("dropped", reason="Bounced Address"), "failed", "suppress"),
        (event("dropped", reason="Unsubscribed Address"), "failed", "opt_out"),
        (event("dropped", reason="Spam Reporting Address"), "failed", "suppress"),
        (event("dropped", reason="Invalid"), "failed", "suppress"),
        (event("dropped", reason="Invalid SMTPAPI header"), "failed", "none"),
        (event("dropped", reason="Spam Content (if Spam Checker app enabled)"), "failed", "none"),
        (event("dropped", reason="Recipient List over Package Quota"), "failed", "none"),
        (event("spamreport"), None, "suppress"),
        (event("unsubscribe"), None, "opt_out"),
        (event("group_unsubscribe", asm_group_id=1), None, "opt_out"),
        (event("open"), None, "none"),
    ],
)
def test_each_event_has_its_meaning(made: dict[str, Any], kind: str | None, effect: str) -> None:
    (news,) = news_of(made)
    assert (news.kind, news.effect) == (kind, effect)
    assert (news.delivery_id, news.attempt, news.address) == (DELIVERY, 2, "zoe@example.com")
    assert (news.event_id, news.at) == (f"sendgrid:id-{made['event']}", NOW - 60_000 - NOW % 1000)


def test_deferred_unlisted_and_foreign_events_are_no_news() -> None:
    assert news_of(event("deferred"), event("brand_new"), event("delivered", delivery_id=None), 5, "x", None, []) == []


def test_a_foreign_complaint_still_suppresses() -> None:
    (news,) = news_of(event("spamreport", delivery_id=None))
    assert (news.delivery_id, news.effect) == (None, "suppress")


def test_an_event_without_an_id_is_known_by_delivery_word_and_time() -> None:
    one, other = (news_of(event("delivered", sg_event_id=None, timestamp=at))[0].event_id for at in (1, 2))
    assert one != other
    assert one == news_of(event("delivered", sg_event_id=None, timestamp=1))[0].event_id


def test_one_callback_carries_many_events_in_their_order() -> None:
    assert [news.kind for news in news_of(event("delivered"), event("processed"))] == ["delivered", "accepted"]


@pytest.mark.parametrize(
    "request_",
    [
        signed(b"[]", key=ec.generate_private_key(ec.SECP256R1())),
        signed(b"[]", timestamp=NOW // 1000 - 2 * 86_400),
        signed(b"[]", timestamp=NOW // 1000 + 2 * 86_400),
        signed(b"["),
        signed(b"[" * 100_000),
        callback(b"[]"),
        msgspec.structs.replace(signed(b"[]"), body=b"[{}]"),
    ],
)
def test_a_callback_that_is_not_sendgrids_or_is_old_is_refused(request_: CallbackRequest) -> None:
    with pytest.raises(CallbackRefused):
        SendGridEvents(CONFIG).read(request_)


def test_a_days_old_repeat_is_still_read() -> None:
    assert SendGridEvents(CONFIG).read(signed(b"[]", timestamp=NOW // 1000 - 86_000)) == []
