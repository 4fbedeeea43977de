"""Twilio Messages: form in, JSON out, and signed status callbacks."""

import hmac
import secrets
from base64 import b64decode, b64encode
from collections import OrderedDict, deque
from collections.abc import Sequence
from functools import partial
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from bellhouse.simulator.callback_client import target_of
from bellhouse.simulator.callbacks import TWILIO, Done, Letter, Office, Patience, Step
from bellhouse.simulator.clock import now_ms, rfc2822
from bellhouse.simulator.credentials import Secrets
from bellhouse.simulator.desk import Desk
from bellhouse.simulator.ids import Entry, notification_of, number, raw_id
from bellhouse.simulator.purse import Purse
from bellhouse.simulator.receipts import Verdict
from bellhouse.simulator.segments import segments
from bellhouse.simulator.wire import HTML_502, Exchange, Handler, Reply, RequestHead, json_reply

_KEPT_MESSAGES = 50_000
_PRICE = 0.0079
"""Of a segment, in US dollars."""
_API = "/2010-04-01/Accounts/"


def _error(http: int, code: int, message: str, *fields: tuple[str, str]) -> Reply:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return json_reply(http, {"code": code, "message": message, "more_info": more, "status": http}, *fields)


def _invalid(code: int, message: str, verdict: Verdict) -> tuple[Reply, Verdict]:
    return _error(400, code, message), verdict


_THROTTLED = _error(429, 20429, "Too Many Requests")
_UNAVAILABLE = _error(503, 20503, "Service Unavailable")
_AUTHENTICATE = _error(401, 20003, "Authenticate", ("www-authenticate", 'Basic realm="Twilio API"'))
_NOT_FOUND = _error(404, 20404, "The requested resource was not found")
_BAD_TO = "Invalid 'To' Phone Number"

ERRORS: dict[str, tuple[Reply, Verdict]] = {
    "20429": (_THROTTLED, "throttled"),
    "20503": (_UNAVAILABLE, "retry"),
    "20500": (_error(500, 20500, "Internal Server Error"), "unknown"),
    "html_502": (HTML_502, "unknown"),
    "20003": (_AUTHENTICATE, "permanent"),
    "20005": (_error(403, 20005, "Account not active"), "permanent"),
    "21211": _invalid(21211, _BAD_TO, "token_invalid"),
    "21614": _invalid(21614, "'To' number is not a valid mobile number", "token_invalid"),
    "21612": _invalid(
        21612, "The 'To' phone number is not currently reachable using the 'From' phone number", "permanent"
    ),
    "21610": _invalid(21610, "Attempt to send to unsubscribed recipient", "permanent"),
    "21212": _invalid(21212, "Invalid 'From' Phone Number", "permanent"),
    "21408": _invalid(21408, "Permission to send an SMS has not been enabled for the region", "permanent"),
    "21606": _invalid(21606, "The 'From' phone number is not a valid, message-capable number", "permanent"),
    "21611": _invalid(21611, "This 'From' number has exceeded the maximum number of queued messages", "throttled"),
    "21617": _invalid(21617, "The concatenated message body exceeds the 1600 character limit", "permanent"),
}
# An accepted message's way when it does not end with `delivered`: statuses, and the last one's ErrorCode.
_FATES: dict[str, tuple[tuple[str, ...], str]] = {
    "undelivered": (("queued", "sent", "undelivered"), "30003"),
    "failed": (("queued", "failed"), "30008"),
    "sent_only": (("queued", "sent"), ""),
    **{
        code: (("queued", "sent", "undelivered"), code)
        for code in ("30003", "30004", "30005", "30006", "30007", "30008", "30017", "30410")
    },
    **{code: (("queued", "failed"), code) for code in ("30001", "30002", "30022", "30023", "30034")},
}
FAILURES = tuple(_FATES)
_TEST_FROM = {"+15005550001": "21212", "+15005550007": "21606", "+15005550008": "21611"}
_TEST_TO = {
    "+15005550001": "21211",
    "+15005550002": "21612",
    "+15005550003": "21408",
    "+15005550004": "21610",
    "+15005550009": "21614",
}


class _Sms:
    """A message Twilio has taken."""

    __slots__ = ("body", "callback", "created", "error", "patience", "sender", "sid", "status", "to")

    def __init__(self, sid: str, form: dict[str, str], created: int) -> None:
        self.sid = sid
        self.to = form["To"]
        self.sender = form.get("From", "")
        self.body = form["Body"]
        callback = form.get("StatusCallback", "")
        self.callback = target_of(callback) if callback else None
        self.patience = _patience(callback) if "#" in callback else TWILIO
        self.created = created
        self.status = "queued"
        self.error = ""


class Twilio:
    """The counter of Twilio."""

    def __init__(self, desk: Desk, office: Office, known: Secrets) -> None:
        self._desk = desk
        self._office = office
        self._account = known.twilio_account_sid
        self._token = known.twilio_auth_token.encode()
        self._authorization = _basic(known.twilio_account_sid, known.twilio_auth_token)
        self._prefix = f"{_API}{self._account}/"
        self.purse = Purse()
        self.reset()

    def reset(self) -> None:
        """Forget all messages; the account is full again."""
        self.purse.refill()
        self._messages: OrderedDict[str, _Sms] = OrderedDict()
        self._by_number: dict[str, deque[_Sms]] = {}

    def route(self, method: str, path: str) -> Handler | None:
        """The handler of a path of this provider."""
        if not path.startswith(_API):
            return None
        match method, path.removeprefix(self._prefix):
            case "POST", "Messages.json":
                return self.send
            case "GET", "Messages.json":
                return self._list
            case "GET", "Balance.json":
                return self._balance
            case "GET", rest if rest.startswith("Messages/") and rest.endswith(".json"):
                return self._fetch
        return self._lost

    def _known(self, head: RequestHead) -> bool:
        return _same(head.fields.get("authorization", ""), self._authorization)

    def _lost(self, head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        exchange.reply(_NOT_FOUND if self._known(head) else _AUTHENTICATE)

    def _barred(self, head: RequestHead, exchange: Exchange) -> bool:
        """Whether a query met an outage or a wrong password."""
        if self._desk.shut(exchange, _UNAVAILABLE):
            return True
        if not self._known(head) or self._desk.error() == "20003":
            exchange.reply(_AUTHENTICATE)
            return True
        return False

    def _balance(self, head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        if not self._barred(head, exchange):
            answer = {"account_sid": self._account, "balance": f"{self.purse.left:.2f}", "currency": "USD"}
            self._desk.answer(exchange, json_reply(200, answer))

    def _fetch(self, head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        if not self._barred(head, exchange):
            sid = head.path.rsplit("/", 1)[1].removesuffix(".json")
            message = self._messages.get(sid)
            exchange.reply(_NOT_FOUND if message is None else json_reply(200, self._resource(message)))

    def _list(self, head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        if self._barred(head, exchange):
            return
        asked = dict(parse_qsl(head.query))
        size = min(number(asked.get("PageSize")) or 50, 1000)
        page = number(asked.get("Page"))
        to, sender = asked.get("To"), asked.get("From")
        pool: Sequence[_Sms] = list(self._messages.values()) if to is None else list(self._by_number.get(to, ()))
        found = [m for m in reversed(pool) if sender is None or m.sender == sender]
        shown = found[page * size : (page + 1) * size]
        following = {**asked, "Page": str(page + 1), "PageSize": str(size)}
        more = len(found) > (page + 1) * size
        answer = {
            "messages": [self._resource(message) for message in shown],
            "page": page,
            "page_size": size,
            "uri": f"{head.path}?{head.query}",
            "next_page_uri": f"{head.path}?{urlencode(following)}" if more else None,
        }
        exchange.reply(json_reply(200, answer))

    def send(self, head: RequestHead, body: bytes, exchange: Exchange) -> None:
        """`POST …/Messages.json`."""
        desk = self._desk
        if desk.shut(exchange, _UNAVAILABLE, lambda: (_entry(_form(body)),)):
            return
        form = _form(body)
        entry = _entry(form)
        if not self._known(head):
            desk.settle(exchange, _AUTHENTICATE, "permanent", (entry,))
            return
        refusal = self._refusal(form)
        fate: str | None = None
        if refusal is None:
            fate = desk.error()
            refusal = ERRORS.get(fate) if fate is not None else None
        if refusal is None and not self.purse.pays(_PRICE * segments(form["Body"])):
            # Without money an account is suspended.
            refusal = ERRORS["20005"]
        if refusal is not None:
            desk.settle(exchange, refusal[0], refusal[1], (entry,))
            return
        message = _Sms(f"SM{secrets.token_hex(16)}", form, now_ms())
        self._keep(message)
        news = partial(self._news, message, fate)
        desk.settle(exchange, json_reply(201, self._resource(message)), "accepted", (entry,), news)

    def _refusal(self, form: dict[str, str]) -> tuple[Reply, Verdict] | None:
        if not self._desk.admits():
            # Twilio promises no Retry-After; whoever dials a moment wants it to be named.
            wait = round(self._desk.dials.throttle.retry_after_s)
            named = _error(429, 20429, "Too Many Requests", ("retry-after", str(wait))) if wait else _THROTTLED
            return named, "throttled"
        return _bad_form(form) or _test_number(form) or self._bad_recipient(form["To"])

    def _bad_recipient(self, to: str) -> tuple[Reply, Verdict] | None:
        if _is_e164(to) and not self._desk.is_dead(to):
            return None
        return _invalid(21211, f"{_BAD_TO}: {to}", "token_invalid")

    def _keep(self, message: _Sms) -> None:
        if len(self._messages) >= _KEPT_MESSAGES:
            _, oldest = self._messages.popitem(last=False)
            same_number = self._by_number[oldest.to]
            same_number.popleft()
            if not same_number:
                del self._by_number[oldest.to]
        self._messages[message.sid] = message
        self._by_number.setdefault(message.to, deque()).append(message)

    def _resource(self, message: _Sms) -> dict[str, object]:
        done = message.status in ("sent", "delivered", "undelivered")
        parts = segments(message.body)
        return {
            "sid": message.sid,
            "account_sid": self._account,
            "messaging_service_sid": None,
            "to": message.to,
            "from": message.sender or None,
            "body": message.body,
            "status": message.status,
            "num_segments": str(parts),
            "num_media": "0",
            "direction": "outbound-api",
            "api_version": "2010-04-01",
            "price": f"-{_PRICE * parts:.5f}" if done else None,
            "price_unit": "USD",
            "error_code": int(message.error) if message.error else None,
            "error_message": None,
            "uri": f"{self._prefix}Messages/{message.sid}.json",
            "date_created": rfc2822(message.created),
            "date_updated": rfc2822(message.created),
            "date_sent": rfc2822(message.created) if done else None,
            "subresource_uris": {"media": f"{self._prefix}Messages/{message.sid}/Media.json"},
        }

    def _news(self, message: _Sms, fate: str | None) -> None:
        fate = fate or self._desk.failure()
        statuses, code = _FATES[fate] if fate else (("queued", "sent", "delivered"), "")
        if not self._desk.dials.callbacks:
            message.status, message.error = statuses[-1], code
            return
        steps: list[Step] = [partial(self._report, message, status, "") for status in statuses[:-1]]
        steps.append(partial(self._report, message, statuses[-1], code))
        self._office.follow(self._desk, steps)

    def _report(self, message: _Sms, status: str, code: str, done: Done) -> None:
        message.status, message.error = status, code
        target = message.callback
        if target is None:
            done()
            return
        form = {
            "ApiVersion": "2010-04-01",
            "AccountSid": self._account,
            "From": message.sender,
            "To": message.to,
            "MessageSid": message.sid,
            "MessageStatus": status,
            "SmsSid": message.sid,
            "SmsStatus": status,
        }
        if code:
            form["ErrorCode"] = code
        fields = (
            f"content-type: application/x-www-form-urlencoded\r\nx-twilio-signature: "
            f"{signature(self._token, target.url, form)}\r\n"
            f"i-twilio-idempotency-token: {secrets.token_hex(16)}\r\n"
        ).encode()
        letter = Letter(self._desk, target, fields, urlencode(form).encode(), message.patience)
        self._office.mail(letter, done)


def signature(token: bytes, url: str, form: dict[str, str]) -> str:
    """X-Twilio-Signature: base64 HMAC-SHA1 over the URL and the sorted form (twilio.request_validator)."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    return b64encode(hmac.digest(token, signed.encode(), "sha1")).decode()


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form; none when it cannot be read."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError:
        return {}


def _bad_form(form: dict[str, str]) -> tuple[Reply, Verdict] | None:
    """The first field that is missing or unlawful; fills in `Body` for messages that have none of their own."""
    if not form.get("To"):
        return _invalid(21604, "A 'To' phone number is required.", "permanent")
    if not form.get("From") and not form.get("MessagingServiceSid"):
        return _invalid(21603, "A 'From' phone number is required.", "permanent")
    form["Body"] = form.get("Body") or form.get("MediaUrl", "") or form.get("ContentSid", "")
    if not form["Body"]:
        return _invalid(21602, "Message body is required.", "permanent")
    if len(form["Body"]) > 1600:
        return ERRORS["21617"]
    if "_" in (urlsplit(form.get("StatusCallback", "")).hostname or ""):
        return _invalid(21609, "Invalid 'StatusCallback' URL", "permanent")
    return None


def _test_number(form: dict[str, str]) -> tuple[Reply, Verdict] | None:
    """Twilio's own magic numbers."""
    code = _TEST_FROM.get(form.get("From", "")) or _TEST_TO.get(form["To"])
    return None if code is None else ERRORS[code]


def _patience(url: str) -> Patience:
    """Twilio's connection overrides in the URL's fragment: `rc` repeats, `rp=all` also after an answer."""
    overrides = parse_qs(urlsplit(url).fragment)
    if not overrides:
        return TWILIO
    repeats = min(number(overrides.get("rc", ["1"])[0]), 5)
    return Patience(repeats, "all" in overrides.get("rp", [""])[0])


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _same(given: str, expected: str) -> bool:
    return given == expected or (given[:6].lower() == "basic " and _decoded(given[6:]) == _decoded(expected[6:]))


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text.strip())
    except ValueError:
        return b""


def _is_e164(number_text: str) -> bool:
    digits = number_text[1:]
    return (
        number_text.startswith("+")
        and digits.isascii()
        and digits.isdigit()
        and 8 <= len(digits) <= 15
        and digits[0] != "0"
    )


def _entry(form: dict[str, str]) -> Entry:
    asked = dict(parse_qsl(urlsplit(form.get("StatusCallback", "")).query))
    delivery = raw_id(asked.get("delivery_id"))
    return Entry(delivery, notification_of(delivery), number(asked.get("attempt")), form.get("To", ""))
