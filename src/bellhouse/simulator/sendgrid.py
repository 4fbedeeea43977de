"""SendGrid v3 `mail/send` and the signed, batched Event Webhook."""

import secrets
import uuid
from base64 import b64encode
from functools import partial

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bellhouse.simulator.callbacks import STUBBORN, Done, Letter, Office, Step
from bellhouse.simulator.clock import now_ms
from bellhouse.simulator.credentials import Secrets
from bellhouse.simulator.desk import Desk
from bellhouse.simulator.dials import SendgridDials
from bellhouse.simulator.ids import Entry, notification_of, number, raw_id
from bellhouse.simulator.receipts import Verdict
from bellhouse.simulator.sendgrid_message import FieldError, Mail, Personalization, read
from bellhouse.simulator.wire import HTML_502, JSON, Exchange, Handler, Reply, ReplyHead, RequestHead, json_reply

_SIZE_LIMIT = 30 * 1024 * 1024
_NOBODY = Entry(b"", b"", 0, "")

Event = dict[str, object]


def _error(status: int, message: str, field: str | None = None, *fields: tuple[str, str]) -> Reply:
    return json_reply(status, {"errors": [{"message": message, "field": field, "help": None}]}, *fields)


_UNAVAILABLE = _error(503, "service unavailable")
_UNAUTHORIZED = _error(401, "The provided authorization grant is invalid, expired, or revoked")
_NOT_FOUND = _error(404, "not found")
_GATEWAY_TIMEOUT = Reply(ReplyHead(504, ("content-type", "text/html")), HTML_502.body.replace(b"502", b"504"))

ERRORS: dict[str, tuple[Reply, Verdict]] = {
    "400": (_error(400, "Bad Request"), "permanent"),
    "401": (_UNAUTHORIZED, "permanent"),
    "credits_exceeded": (_error(401, "Maximum credits exceeded"), "permanent"),
    "403": (
        _error(403, "The from address does not match a verified Sender Identity.", "from"),
        "permanent",
    ),
    "413": (_error(413, "Payload too large"), "permanent"),
    "429": (_error(429, "too many requests"), "throttled"),
    "500": (_error(500, "internal error"), "retry"),
    "502": (HTML_502, "unknown"),
    "503": (_UNAVAILABLE, "retry"),
    "504": (_GATEWAY_TIMEOUT, "unknown"),
}
# The events of an accepted mail whose way is not simply processed, delivered.
_FATES: dict[str, tuple[str, ...]] = {
    "bounce": ("processed", "bounce"),
    "late_bounce": ("processed", "delivered", "late_bounce"),
    "blocked": ("processed", "blocked"),
    "dropped": ("dropped",),
    "deferred": ("processed", "deferred", "delivered"),
    "spamreport": ("processed", "delivered", "spamreport"),
    "unsubscribe": ("processed", "delivered", "unsubscribe"),
    "open": ("processed", "delivered", "open"),
    "click": ("processed", "delivered", "open", "click"),
    "silent": (),
}
FAILURES = tuple(_FATES)
_AGENT: Event = {"useragent": "Mozilla/5.0 (Simulated)", "ip": "192.0.2.10"}
_BY_EVENT: dict[str, Event] = {
    "processed": {"event": "processed"},
    "delivered": {"event": "delivered", "response": "250 2.0.0 OK", "ip": "192.0.2.1", "tls": 1},
    "deferred": {"event": "deferred", "response": "451 4.7.1 try again later", "attempt": "1"},
    "bounce": {
        "event": "bounce",
        "type": "bounce",
        "status": "5.1.1",
        "reason": "550 5.1.1 The email account that you tried to reach does not exist",
        "bounce_classification": "Invalid Address",
        "ip": "192.0.2.1",
        "tls": 1,
    },
    "blocked": {
        "event": "bounce",
        "type": "blocked",
        "status": "5.7.1",
        "reason": "550 5.7.1 Service unavailable, sender listed",
        "bounce_classification": "Reputation",
        "ip": "192.0.2.1",
        "tls": 1,
    },
    "dropped": {"event": "dropped", "reason": "Bounced Address", "status": "5.0.0"},
    "spamreport": {"event": "spamreport"},
    "unsubscribe": {"event": "unsubscribe"},
    "open": {"event": "open", "sg_machine_open": False, **_AGENT},
    "click": {"event": "click", "url": "https://example.com/", "url_offset": {"index": 0, "type": "html"}, **_AGENT},
}
_BY_EVENT["late_bounce"] = _BY_EVENT["bounce"]


class Sendgrid:
    """The counter of SendGrid."""

    def __init__(self, desk: Desk, office: Office, known: Secrets) -> None:
        self._desk = desk
        self._webhook = EventWebhook(desk, office, known)
        self._office = office
        self._authorization = f"Bearer {known.sendgrid_api_key}"

    def reset(self) -> None:
        """Forget the events that have not been sent."""
        self._webhook.reset()

    def route(self, method: str, path: str) -> Handler | None:
        """The handler of a path of this provider."""
        if not path.startswith("/v3/"):
            return None
        if path == "/v3/mail/send":
            return self.send if method == "POST" else _wrong_method
        return _lost

    def send(self, head: RequestHead, body: bytes, exchange: Exchange) -> None:
        """`POST /v3/mail/send`."""
        desk = self._desk
        if desk.shut(exchange, _UNAVAILABLE, lambda: _entries_in(body)):
            return
        if len(body) > _SIZE_LIMIT:
            desk.settle(exchange, ERRORS["413"][0], "permanent", (_NOBODY,))
            return
        try:
            mail = read(body)
        except FieldError as problem:
            allowed = head.fields.get("authorization") == self._authorization
            refusal = _error(400, str(problem), problem.field) if allowed else _UNAUTHORIZED
            desk.settle(exchange, refusal, "permanent", (_NOBODY,))
            return
        entries = _entries(mail)
        reply, verdict = self._judge(head)
        if verdict == "accepted" and not mail.mail_settings.sandbox_mode.enable:
            message_id = secrets.token_urlsafe(16)
            accepted = Reply(ReplyHead(202, ("x-message-id", message_id)), b"")
            desk.settle(exchange, accepted, verdict, entries, partial(self._news, mail, message_id))
        else:
            desk.settle(exchange, reply, verdict, entries)

    def _judge(self, head: RequestHead) -> tuple[Reply, Verdict]:
        desk = self._desk
        if head.fields.get("authorization") != self._authorization:
            return _UNAUTHORIZED, "permanent"
        if not desk.admits():
            return self._throttled(), "throttled"
        error = desk.error()
        if error == "429":
            return self._throttled(), "throttled"
        if error is not None:
            return ERRORS[error]
        return Reply(ReplyHead(200, JSON), b""), "accepted"

    def _throttled(self) -> Reply:
        """The only hint is the moment, in epoch seconds, when the window opens again."""
        throttle = self._desk.dials.throttle
        opens = int(now_ms() / 1000 + throttle.retry_after_s + 0.999)
        return _error(
            429,
            "too many requests",
            None,
            ("x-ratelimit-limit", str(int(throttle.rate_per_second))),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", str(opens)),
        )

    def _news(self, mail: Mail, message_id: str) -> None:
        desk = self._desk
        if self._office.base is None or not desk.dials.callbacks:
            return
        for personalization in mail.personalizations:
            for address in personalization.recipients:
                fate = "bounce" if desk.is_dead(address.email) else desk.failure()
                events = ("processed", "delivered") if fate is None else _FATES[fate]
                common = _common(mail, personalization, address.email, message_id)
                steps: list[Step] = [partial(self._webhook.add, common, event) for event in events]
                self._office.follow(desk, steps)


class EventWebhook:
    """Gathers events and posts them as signed JSON arrays."""

    def __init__(self, desk: Desk, office: Office, known: Secrets) -> None:
        key = serialization.load_pem_private_key(known.sendgrid_private_key.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._desk = desk
        self._office = office
        self.reset()

    def reset(self) -> None:
        """Forget what has been gathered."""
        self._gathered: list[Event] = []

    def add(self, common: Event, name: str, done: Done) -> None:
        """Put one event into the next batch."""
        dials = self._desk.dials
        assert isinstance(dials, SendgridDials)
        event: Event = {**common, "timestamp": now_ms() // 1000, "sg_event_id": uuid.uuid4().hex, **_BY_EVENT[name]}
        if name == "late_bounce":
            del event["sg_message_id"]
        if not self._gathered:
            self._office.after(dials.event_batch_ms, self._post)
        self._gathered.append(event)
        if len(self._gathered) >= dials.event_batch_size:
            self._post()
        done()

    def _post(self) -> None:
        target = self._office.account_target("sendgrid")
        events, self._gathered = self._gathered, []
        if target is None or not events:
            return
        body = msgspec.json.encode(events)
        timestamp = str(now_ms() // 1000).encode()
        signature = b64encode(self._key.sign(timestamp + body, ec.ECDSA(hashes.SHA256())))
        fields = (
            b"content-type: application/json\r\nx-twilio-email-event-webhook-signature: %b\r\n"
            b"x-twilio-email-event-webhook-timestamp: %b\r\n" % (signature, timestamp)
        )
        self._office.mail(Letter(self._desk, target, fields, body, STUBBORN), _nothing)


def _nothing() -> None:
    """Events of later batches do not wait for this one."""


def _common(mail: Mail, personalization: Personalization, email: str, message_id: str) -> Event:
    """The fields all events of one recipient share; custom arguments stand beside them, reserved names win."""
    event: Event = {**mail.custom_args, **personalization.custom_args}
    event["email"] = email
    event["smtp-id"] = f"<{message_id}@ismtpd>"
    event["sg_message_id"] = f"{message_id}.recvd-0000000000-abcde-1-00000000-1.0"
    if mail.categories:
        event["category"] = mail.categories
    return event


def _entry(mail: Mail, personalization: Personalization) -> Entry:
    given = {**mail.custom_args, **personalization.custom_args}
    delivery = raw_id(given.get("delivery_id"))
    notification = raw_id(given.get("notification_id")) or notification_of(delivery)
    return Entry(delivery, notification, number(given.get("attempt")), personalization.to[0].email)


def _entries(mail: Mail) -> list[Entry]:
    return [_entry(mail, each) for each in mail.personalizations]


def _entries_in(body: bytes) -> list[Entry]:
    """The receipts' view of a call that is refused anyway."""
    try:
        return _entries(read(body))
    except FieldError:
        return [_NOBODY]


def _wrong_method(_head: RequestHead, _body: bytes, exchange: Exchange) -> None:
    exchange.reply(_error(405, "method not allowed"))


def _lost(_head: RequestHead, _body: bytes, exchange: Exchange) -> None:
    exchange.reply(_NOT_FOUND)
