"""FCM: the body, the access token, the error table, the device app's receipts."""

import asyncio
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

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
from bellhouse.domain.content import PushContent
from bellhouse.domain.ids import to_text
from bellhouse.ports.provider import CallbackRefused, Exchange, Request
from bellhouse.providers.fcm.callback import FcmReceipts
from bellhouse.providers.fcm.config import FcmConfig
from bellhouse.providers.fcm.errors import verdict_of
from bellhouse.providers.fcm.send import FcmProvider
from bellhouse.security.signatures import ReceiptKey
from bellhouse.testing.clock import ManualClock

from .scripted import (
    DELIVERY,
    HTML_502,
    NOW,
    REFUSED,
    RESET,
    Script,
    answer,
    callback,
    private_key,
    push,
    sent,
    sms,
)

SECRET = b"0123456789abcdef"
GRANT = {"access_token": "ya29.first", "expires_in": 3599, "token_type": "Bearer"}
TAKEN = answer(200, {"name": "projects/p/messages/0:1500415314455276%31bd1c9631bd1c96"})
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
QUOTA = "type.googleapis.com/google.rpc.QuotaFailure"


def fault(code: int, status: str, *details: dict[str, Any], message: str = "went wrong", **headers: str) -> Exchange:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return answer(code, {"error": error if details else {k: v for k, v in error.items() if k != "details"}}, **headers)


def fcm_error(word: str) -> dict[str, Any]:
    return {"@type": FCM_ERROR, "errorCode": word}


def violation(field: str) -> dict[str, Any]:
    return {"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": "Invalid"}]}


def quota(text: str) -> dict[str, Any]:
    return {"@type": QUOTA, "violations": [{"subject": text, "description": "Exceeded"}]}


class World:
    """A provider, its clock, its FCM and its token endpoint."""

    def __init__(self, fcm: Any = TAKEN, oauth: Any = None, **config: Any) -> None:
        self.clock = ManualClock(NOW)
        self.fcm = Script(fcm)
        self.oauth = Script(oauth or answer(200, GRANT))
        self.config = FcmConfig("p", "bell@p.example", private_key(), "key-1", receipt_secret=SECRET, **config)
        self.provider = FcmProvider(self.config, self.fcm, self.oauth, self.clock)

    def body(self, place: int = 0) -> Any:
        return msgspec.json.decode(self.fcm.asked[place].body)


UNREGISTERED = fault(404, "NOT_FOUND", fcm_error("UNREGISTERED"))

TABLE: list[tuple[str, Exchange, type[Verdict], str]] = [
    ("accepted", TAKEN, Accepted, "200"),
    ("unregistered", UNREGISTERED, TokenInvalid, "404 UNREGISTERED"),
    (
        "token violation",
        fault(400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), violation("message.token")),
        TokenInvalid,
        "400 INVALID_ARGUMENT",
    ),
    (
        "details in the other order",
        fault(400, "INVALID_ARGUMENT", violation("message.token"), fcm_error("INVALID_ARGUMENT")),
        TokenInvalid,
        "400 INVALID_ARGUMENT",
    ),
    (
        "token by its message",
        fault(400, "INVALID_ARGUMENT", message="The registration token is not a valid FCM registration token"),
        TokenInvalid,
        "400 INVALID_ARGUMENT",
    ),
    ("bad ttl", fault(400, "INVALID_ARGUMENT", violation("message.android.ttl")), Permanent, "400 INVALID_ARGUMENT"),
    (
        "too large, no details",
        fault(400, "INVALID_ARGUMENT", message="Android message is too big"),
        Permanent,
        "400 INVALID_ARGUMENT",
    ),
    (
        "mismatch",
        fault(403, "PERMISSION_DENIED", fcm_error("SENDER_ID_MISMATCH")),
        TokenInvalid,
        "403 SENDER_ID_MISMATCH",
    ),
    ("permission", fault(403, "PERMISSION_DENIED"), AccountFault, "403 PERMISSION_DENIED"),
    ("wrong project", fault(404, "NOT_FOUND"), AccountFault, "404 NOT_FOUND"),
    ("wrong project, HTML", answer(404, b"<html>"), AccountFault, "404"),
    ("stale token", fault(401, "UNAUTHENTICATED"), AccountFault, "401 UNAUTHENTICATED"),
    (
        "bad APNs key",
        fault(401, "UNAUTHENTICATED", fcm_error("THIRD_PARTY_AUTH_ERROR")),
        AccountFault,
        "401 THIRD_PARTY_AUTH_ERROR",
    ),
    (
        "project quota",
        fault(429, "RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"), quota("project:p")),
        Throttled,
        "429 QUOTA_EXCEEDED",
    ),
    ("internal", fault(500, "INTERNAL", fcm_error("INTERNAL")), Retry, "500 INTERNAL"),
    ("unavailable", fault(503, "UNAVAILABLE", fcm_error("UNAVAILABLE")), Retry, "503 UNAVAILABLE"),
    ("gateway", HTML_502, Unknown, "502"),
    ("503 of a gateway", answer(503, b"<html>"), Unknown, "503"),
    ("504 with a JSON body", fault(504, "DEADLINE_EXCEEDED"), Unknown, "504"),
    ("success that cannot be read", answer(200, b"<html>"), Accepted, "200 unreadable"),
    ("unlisted", answer(418, {"error": {"status": "TEAPOT"}}), Permanent, "418 TEAPOT"),
    ("redirect", answer(302, b"", location="https://elsewhere.example"), AccountFault, "302"),
    ("cut", RESET, Unknown, "no_answer"),
    ("nobody there", REFUSED, Retry, "connect"),
]


@pytest.mark.parametrize(("exchange", "kind", "code"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_answer_has_its_verdict(exchange: Exchange, kind: type[Verdict], code: str) -> None:
    verdict = verdict_of(exchange, NOW)
    assert (type(verdict), verdict.code) == (kind, code)


def test_a_429_waits_as_long_as_it_says() -> None:
    verdict = verdict_of(fault(429, "RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"), retry_after="7"), NOW)
    assert isinstance(verdict, Throttled)
    assert (verdict.after_ms, verdict.scope) == (7000, "provider")


def test_a_429_that_says_nothing_waits_about_a_minute() -> None:
    verdict = verdict_of(fault(429, "RESOURCE_EXHAUSTED"), NOW)
    assert isinstance(verdict, Throttled)
    assert 60_000 <= verdict.after_ms <= 90_000


def test_a_devices_quota_holds_for_that_device_only() -> None:
    verdict = verdict_of(fault(429, "RESOURCE_EXHAUSTED", quota("device:abc")), NOW)
    assert isinstance(verdict, Throttled)
    assert verdict.scope == "contact"


def test_an_outage_names_its_own_wait() -> None:
    verdict = verdict_of(fault(503, "UNAVAILABLE", retry_after="30"), NOW)
    assert isinstance(verdict, Retry)
    assert verdict.after_ms == 30_000


async def test_a_message_carries_content_ids_and_a_tag_that_a_repeat_shares() -> None:
    world = World()
    first, second = push(), push(attempt=2, priority="low", ttl_s=0)
    await sent(world.provider, first, second)
    request, body, repeat = world.fcm.asked[0], world.body(0)["message"], world.body(1)["message"]
    assert (request.method, request.path) == ("POST", "/v1/projects/p/messages:send")
    assert request.headers["authorization"] == "Bearer ya29.first"
    assert body["token"] == "token-1"
    assert body["notification"] == {"title": "Your order", "body": "is on its way"}
    assert body["data"]["delivery_id"] == to_text(DELIVERY)
    assert body["data"]["notification_id"] == to_text(DELIVERY)[:-2] + "00"
    assert (body["data"]["attempt"], repeat["data"]["attempt"]) == ("1", "2")
    assert (body["android"]["priority"], repeat["android"]["priority"]) == ("high", "normal")
    assert (body["android"]["ttl"], repeat["android"]["ttl"]) == ("3600s", "0s")
    assert body["apns"]["headers"]["apns-priority"] == "10"
    assert body["apns"]["headers"]["apns-expiration"] == str(NOW // 1000 + 3600)
    assert repeat["apns"]["headers"] == {
        "apns-priority": "5",
        "apns-expiration": "0",
        "apns-collapse-id": to_text(DELIVERY),
    }
    assert body["android"]["notification"]["tag"] == repeat["android"]["notification"]["tag"] == to_text(DELIVERY)


async def test_a_collapse_key_an_image_a_link_and_data_find_their_places() -> None:
    world = World()
    content = PushContent('Say "hi"', "zoë\n\\", image="https://i.example/1.png", link="app://order/1")
    await sent(world.provider, push(content=content, collapse_key="order-1", data={"k": "v", "receipt": "forged"}))
    body = world.body()["message"]
    assert body["notification"] == {"title": 'Say "hi"', "body": "zoë\n\\", "image": "https://i.example/1.png"}
    assert body["android"]["collapse_key"] == body["android"]["notification"]["tag"] == "order-1"
    assert body["apns"]["headers"]["apns-collapse-id"] == "order-1"
    assert (body["data"]["k"], body["data"]["link"]) == ("v", "app://order/1")
    assert body["data"]["receipt"] == ReceiptKey(SECRET).token(DELIVERY, 1)


async def test_a_collapse_key_that_apns_does_not_take_is_digested() -> None:
    world = World()
    await sent(world.provider, push(collapse_key="x" * 65))
    assert len(world.body()["message"]["apns"]["headers"]["apns-collapse-id"]) == 32


async def test_the_access_token_is_minted_once_for_many_batches() -> None:
    world = World()
    await asyncio.gather(*(sent(world.provider, push()) for _ in range(5)))
    (request,) = world.oauth.asked
    form = parse_qs(request.body.decode())
    claims = jwt.decode(form["assertion"][0], RSAKey.import_key(private_key())).claims
    assert request.path == "/token"
    assert claims["iss"] == "bell@p.example"
    assert claims["aud"] == "https://oauth2.googleapis.com/token"
    assert claims["exp"] - claims["iat"] == 3600


async def test_a_token_near_its_end_is_renewed_while_it_still_serves() -> None:
    grants = iter([GRANT, GRANT | {"access_token": "ya29.second"}])
    world = World(oauth=lambda _request: answer(200, next(grants)))
    await sent(world.provider, push())
    await world.clock.advance(3599 - 200)
    await sent(world.provider, push())
    assert world.fcm.asked[1].headers["authorization"] == "Bearer ya29.first"
    await world.clock.advance(0)
    await sent(world.provider, push())
    assert world.fcm.asked[2].headers["authorization"] == "Bearer ya29.second"
    assert len(world.oauth.asked) == 2


async def test_a_refused_token_is_replaced_once_and_only_the_refused_calls_are_repeated() -> None:
    grants = iter([GRANT, GRANT | {"access_token": "ya29.second"}])

    def fcm(request: Request) -> Exchange:
        good = request.headers["authorization"] == "Bearer ya29.second" or b"token-0" in request.body
        return TAKEN if good else fault(401, "UNAUTHENTICATED")

    world = World(fcm, lambda _request: answer(200, next(grants)))
    verdicts = await sent(world.provider, push("token-0"), push("token-1"), push("token-2"))
    assert [type(verdict) for verdict in verdicts] == [Accepted] * 3
    assert (len(world.oauth.asked), len(world.fcm.asked)) == (2, 5)


async def test_a_token_that_stays_refused_is_an_account_fault() -> None:
    world = World(fault(401, "UNAUTHENTICATED"))
    (verdict,) = await sent(world.provider, push())
    assert isinstance(verdict, AccountFault)
    assert len(world.fcm.asked) == 2


@pytest.mark.parametrize(
    ("oauth", "kind"),
    [
        (REFUSED, Retry),
        (RESET, Retry),
        (HTML_502, Retry),
        (answer(429, b"", retry_after="3"), Retry),
        (answer(400, {"error": "invalid_grant"}), AccountFault),
        (answer(200, b"nonsense"), Retry),
    ],
)
async def test_without_an_access_token_nothing_was_sent(oauth: Exchange, kind: type[Verdict]) -> None:
    world = World(oauth=oauth)
    verdicts = await sent(world.provider, push(), push())
    assert [type(verdict) for verdict in verdicts] == [kind] * 2
    assert world.fcm.asked == []


MISMATCH = fault(403, "PERMISSION_DENIED", fcm_error("SENDER_ID_MISMATCH"))


async def test_a_mismatched_sender_is_the_accounts_fault_until_some_token_has_worked() -> None:
    world = World(MISMATCH)
    verdicts = await sent(world.provider, push(), push())
    assert [type(verdict) for verdict in verdicts] == [AccountFault] * 2


async def test_a_mismatched_sender_is_the_tokens_fault_where_others_work() -> None:
    world = World(lambda request: MISMATCH if b"token-1" in request.body else TAKEN)
    verdicts = await sent(world.provider, push("token-1"), push("token-2"))
    assert [type(verdict) for verdict in verdicts] == [TokenInvalid, Accepted]


async def test_what_is_no_push_message_is_refused_without_a_call() -> None:
    world = World()
    verdicts = await sent(world.provider, sms(), push(), push(content=PushContent("\ud800", "x")))
    assert [type(verdict) for verdict in verdicts] == [Permanent, Accepted, Permanent]
    assert len(world.fcm.asked) == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (push(""), "bad_address"),
        (push("a b"), "bad_address"),
        (push("x" * 5000), "bad_address"),
        (push(data={"google.x": "1"}), "reserved_key"),
        (push(content=PushContent("t", "b" * 4000)), "too_large"),
        (push(content=PushContent("t", "é" * 2000)), "too_large"),
        (push(data={"k": "v" * 4000}), "too_large"),
        (sms(), "wrong_content"),
    ],
)
def test_what_fcm_would_never_take_is_known_before(message: Any, code: str) -> None:
    refusal = World().provider.check(message)
    assert refusal is not None
    assert refusal.code == code


def test_a_message_within_the_limits_is_not_refused() -> None:
    check = World().provider.check
    assert check(push()) is None
    assert check(push(content=PushContent("t", "b" * 3800), data={"k": "v"})) is None


async def test_stop_closes_both_transports_and_may_be_repeated() -> None:
    world = World()
    await world.provider.start()
    await world.provider.stop()
    await world.provider.stop()
    assert world.fcm.closed
    assert world.oauth.closed


def receipt(**changes: Any) -> bytes:
    made = {
        "delivery_id": to_text(DELIVERY),
        "receipt": ReceiptKey(SECRET).token(DELIVERY, 3),
        "event": "delivered",
        "at": NOW - 5,
    }
    return msgspec.json.encode(made | changes)


def test_a_receipt_of_the_device_app_tells_delivery_attempt_and_time() -> None:
    (news,) = FcmReceipts(World().config).read(callback(receipt()))
    assert (news.delivery_id, news.attempt, news.kind, news.at) == (DELIVERY, 3, "delivered", NOW - 5)


def test_an_opening_says_nothing_of_the_state() -> None:
    (news,) = FcmReceipts(World().config).read(callback(receipt(event="opened")))
    assert (news.kind, news.reason) == (None, "opened")


def test_a_phones_clock_is_not_believed_beyond_reason() -> None:
    reader = FcmReceipts(World().config)
    assert reader.read(callback(receipt(at=NOW + 1)))[0].at == NOW
    assert reader.read(callback(receipt(at=5)))[0].at == NOW


@pytest.mark.parametrize(
    "body",
    [
        receipt(receipt="AAAA"),
        receipt(receipt=ReceiptKey(b"another secret 16").token(DELIVERY, 3)),
        receipt(delivery_id="01890a5d-ac96-774b-bcce-b302099a8001"),
        receipt(delivery_id="nonsense"),
        receipt(event="burned"),
        b"",
        b"[" * 100_000,
    ],
)
def test_a_receipt_that_is_not_ours_is_refused(body: bytes) -> None:
    with pytest.raises(CallbackRefused):
        FcmReceipts(World().config).read(callback(body))


def test_the_key_file_of_google_cloud_is_the_config() -> None:
    document = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k",
        "private_key": "pem",
        "client_email": "e",
        "token_uri": "http://127.0.0.1:1/token?x=1",
    }
    config = FcmConfig.from_service_account(msgspec.json.encode(document))
    assert (config.project_id, config.private_key_id, config.token_path) == ("p", "k", "/token?x=1")
