"""Firebase Cloud Messaging, HTTP v1: `messages:send` with Google's errors, and the devices' receipts."""

import secrets
from functools import partial

import msgspec

from bellhouse.simulator.callbacks import STUBBORN, Done, Letter, Office, Step
from bellhouse.simulator.clock import now_ms
from bellhouse.simulator.credentials import Secrets
from bellhouse.simulator.desk import Desk
from bellhouse.simulator.dials import Dials, FcmDials
from bellhouse.simulator.fcm_message import Message, Violation, read
from bellhouse.simulator.ids import Entry, notification_of, number, raw_id
from bellhouse.simulator.oauth import TokenDesk
from bellhouse.simulator.receipts import Verdict
from bellhouse.simulator.wire import (
    HTML_502,
    JSON_UTF8,
    Exchange,
    Handler,
    Reply,
    ReplyHead,
    RequestHead,
    json_reply,
)

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_QUOTA = "type.googleapis.com/google.rpc.QuotaFailure"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_OK = ReplyHead(200, JSON_UTF8, ("vary", "X-Origin"), ("x-content-type-options", "nosniff"))
_NOBODY = Entry(b"", b"", 0, "")

Detail = dict[str, object]


def _error(code: int, status: str, message: str, *details: Detail, retry_after: float = 0) -> Reply:
    fields = (("retry-after", str(max(1, round(retry_after)))),) if retry_after else ()
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return json_reply(code, {"error": error}, *fields)


def _fcm(code: str) -> Detail:
    return {"@type": _FCM_ERROR, "errorCode": code}


def _violation(field: str, description: str, *, fcm_first: bool) -> Reply:
    """Google lists the details in either order, so the simulator uses both."""
    bad: Detail = {"@type": _BAD_REQUEST, "fieldViolations": [{"field": field, "description": description}]}
    details = (_fcm("INVALID_ARGUMENT"), bad) if fcm_first else (bad, _fcm("INVALID_ARGUMENT"))
    return _error(400, "INVALID_ARGUMENT", description, *details)


_BAD_TOKEN = "The registration token is not a valid FCM registration token"
_UNREGISTERED = _error(404, "NOT_FOUND", "Requested entity was not found.", _fcm("UNREGISTERED"))
_UNAVAILABLE = _error(503, "UNAVAILABLE", "The service is currently unavailable.", _fcm("UNAVAILABLE"), retry_after=1)
_UNAUTHENTICATED = _error(
    401,
    "UNAUTHENTICATED",
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other"
    " valid authentication credential.",
    {"@type": _ERROR_INFO, "reason": "ACCESS_TOKEN_EXPIRED", "domain": "googleapis.com"},
)
_WRONG_PROJECT = _error(404, "NOT_FOUND", "Requested entity was not found.")
_INVALID_TOKEN = _violation("message.token", _BAD_TOKEN, fcm_first=False)


def _quota_exceeded(retry_after: float, subject: str = "project") -> Reply:
    quota: Detail = {"@type": _QUOTA, "violations": [{"subject": subject, "description": "Quota exceeded"}]}
    message = "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute'"
    return _error(429, "RESOURCE_EXHAUSTED", message, _fcm("QUOTA_EXCEEDED"), quota, retry_after=retry_after)


ERRORS: dict[str, tuple[Reply, Verdict]] = {
    "unavailable": (_UNAVAILABLE, "retry"),
    "internal": (_error(500, "INTERNAL", "Internal error encountered.", _fcm("INTERNAL")), "retry"),
    "html_502": (HTML_502, "unknown"),
    "unregistered": (_UNREGISTERED, "token_invalid"),
    "invalid_token": (_INVALID_TOKEN, "token_invalid"),
    "invalid_argument": (
        _violation("message.data", "Invalid value at 'message.data'", fcm_first=True),
        "permanent",
    ),
    "quota_exceeded": (_quota_exceeded(1), "throttled"),
    "device_quota_exceeded": (_quota_exceeded(1, "device"), "throttled"),
    "sender_id_mismatch": (
        _error(403, "PERMISSION_DENIED", "SenderId mismatch", _fcm("SENDER_ID_MISMATCH")),
        "token_invalid",
    ),
    "third_party_auth_error": (
        _error(
            401,
            "UNAUTHENTICATED",
            "Request is missing required authentication credential.",
            _fcm("THIRD_PARTY_AUTH_ERROR"),
        ),
        "permanent",
    ),
    "unauthenticated": (_UNAUTHENTICATED, "permanent"),
}
# What the device does after FCM took the message; without any of them it reports `delivered`.
FAILURES = ("silent", "opened")


class Fcm:
    """The counter of FCM."""

    def __init__(self, desk: Desk, office: Office, tokens: TokenDesk, known: Secrets) -> None:
        self._desk = desk
        self._office = office
        self._tokens = tokens
        self._project = known.project_id
        self._prefix = f'{{\n  "name": "projects/{known.project_id}/messages/'.encode()
        self._path = f"/v1/projects/{known.project_id}/messages:send"
        self._minute = 0
        self._used = 0
        self._serial = secrets.randbits(48)

    def tune(self, dials: Dials) -> None:
        """Take over what this provider has beyond the common dials."""
        assert isinstance(dials, FcmDials)
        self._tokens.lifetime_s = dials.token_lifetime_s
        self._quota = dials.quota_per_minute

    def route(self, method: str, path: str) -> Handler | None:
        """The handler of a path of this provider."""
        if method == "POST" and path == self._path:
            return self.send
        if method == "POST" and path == "/token":
            return self._token
        if path.startswith("/v1/projects/"):
            return self._elsewhere
        return None

    def _token(self, head: RequestHead, body: bytes, exchange: Exchange) -> None:
        if not self._desk.shut(exchange, _UNAVAILABLE):
            self._tokens.token(head, body, exchange)

    def _elsewhere(self, head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        known = self._tokens.valid(head.fields.get("authorization"))
        exchange.reply(_WRONG_PROJECT if known else _UNAUTHENTICATED)

    def send(self, head: RequestHead, body: bytes, exchange: Exchange) -> None:
        """`POST /v1/projects/{project}/messages:send`."""
        desk = self._desk
        if desk.dials.outage != "none" and desk.shut(exchange, _UNAVAILABLE, lambda: (_entry_in(body),)):
            return
        if not self._tokens.valid(head.fields.get("authorization")):
            desk.settle(exchange, _UNAUTHENTICATED, "permanent", (_entry_in(body),))
            return
        try:
            request = read(body)
        except Violation as problem:
            reply = _violation(problem.field, str(problem), fcm_first=bool(self._serial & 1))
            desk.settle(exchange, reply, "permanent", (_NOBODY,))
            return
        message = request.message
        entry = _entry(message)
        reply, verdict = self._judge(message, request.validate_only)
        if verdict == "accepted" and not request.validate_only:
            desk.settle(exchange, reply, verdict, (entry,), partial(self._news, message.data))
        else:
            desk.settle(exchange, reply, verdict, (entry,))

    def _judge(self, message: Message, validate_only: bool) -> tuple[Reply, Verdict]:
        desk = self._desk
        if (wait := self._throttled_for()) is not None:
            return _quota_exceeded(wait), "throttled"
        if message.token is not None and (refusal := self._bad_token(message.token)):
            return refusal, "token_invalid"
        error = desk.error()
        if error is not None:
            return ERRORS[error]
        if validate_only:
            return self._success(b"fake_message_id"), "accepted"
        self._serial += 1
        return self._success(b"0:%d%%%016x" % (now_ms() * 1000, self._serial)), "accepted"

    def _success(self, message_id: bytes) -> Reply:
        return Reply(_OK, b'%b%b"\n}\n' % (self._prefix, message_id))

    def _bad_token(self, token: str) -> Reply | None:
        if not token or not token.isascii() or " " in token:
            return _INVALID_TOKEN
        return _UNREGISTERED if self._desk.is_dead(token) else None

    def _throttled_for(self) -> float | None:
        """Seconds this call is told to wait; None when it may pass."""
        if not self._desk.admits():
            return self._desk.dials.throttle.retry_after_s
        if self._quota and not self._within_quota():
            return 60 - now_ms() // 1000 % 60
        return None

    def _within_quota(self) -> bool:
        minute = now_ms() // 60_000
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += 1
        return self._used <= self._quota

    def _news(self, data: dict[str, str]) -> None:
        desk = self._desk
        if self._office.base is None or not desk.dials.callbacks or "delivery_id" not in data:
            return
        fate = desk.failure()
        if fate == "silent":
            return
        events = ("delivered", "opened") if fate == "opened" else ("delivered",)
        steps: list[Step] = [partial(self._report, data, event) for event in events]
        self._office.follow(desk, steps)

    def _report(self, data: dict[str, str], event: str, done: Done) -> None:
        target = self._office.account_target("fcm")
        if target is None:
            done()
            return
        body = msgspec.json.encode(
            {
                "delivery_id": data["delivery_id"],
                "receipt": data.get("receipt", ""),
                "event": event,
                "at": now_ms(),
            }
        )
        fields = b"content-type: application/json\r\n"
        self._office.mail(Letter(self._desk, target, fields, body, STUBBORN), done)


def _entry(message: Message) -> Entry:
    data = message.data
    delivery = raw_id(data.get("delivery_id"))
    to = message.token or message.fid or message.topic or message.condition or ""
    notification = raw_id(data.get("notification_id")) or notification_of(delivery)
    return Entry(delivery, notification, number(data.get("attempt")), to)


def _entry_in(body: bytes) -> Entry:
    """The ids in a call that is refused anyway."""
    try:
        return _entry(read(body).message)
    except Violation:
        return _NOBODY
