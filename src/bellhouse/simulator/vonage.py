"""Vonage SMS: always 200 with the outcome inside, and signed delivery receipts."""

import hashlib
import hmac
import secrets
from base64 import b64decode
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qsl

import msgspec

from bellhouse.simulator.callback_client import Target, target_of
from bellhouse.simulator.callbacks import STUBBORN, Done, Letter, Office, Step
from bellhouse.simulator.clock import now_ms
from bellhouse.simulator.credentials import Secrets
from bellhouse.simulator.desk import Desk
from bellhouse.simulator.ids import Entry, notification_of, number, raw_id
from bellhouse.simulator.purse import Purse
from bellhouse.simulator.receipts import Verdict
from bellhouse.simulator.segments import segments
from bellhouse.simulator.wire import HTML_502, JSON, Exchange, Handler, Reply, ReplyHead, RequestHead, json_reply

_OK = ReplyHead(200, JSON)
_PRICE = "0.03330000"
_NETWORK = "23410"

_STATUSES: dict[str, tuple[str, Verdict]] = {
    "1": ("Throughput Rate Exceeded", "throttled"),
    "2": ("Missing to param", "permanent"),
    "3": ("Invalid parameter", "permanent"),
    "4": ("Bad Credentials", "permanent"),
    "5": ("Internal Error", "retry"),
    "6": ("Un-routable message - rejected", "permanent"),
    "7": ("Number barred", "permanent"),
    "8": ("Partner account barred", "permanent"),
    "9": ("Quota Exceeded - rejected", "permanent"),
    "10": ("Too Many Existing Binds", "throttled"),
    "11": ("Account Not Enabled For HTTP", "permanent"),
    "12": ("Message Too Long", "permanent"),
    "14": ("Invalid Signature", "permanent"),
    "15": ("Invalid Sender Address", "permanent"),
    "22": ("Invalid Network Code", "permanent"),
    "23": ("Invalid Callback URL", "permanent"),
    "29": ("Non-Whitelisted Destination - rejected", "permanent"),
    "32": ("Signature And API Secret Disallowed", "permanent"),
    "33": ("Number De-activated", "token_invalid"),
}
_UNAVAILABLE = json_reply(503, {"error-code": "503", "error-code-label": "service unavailable"})
_UNAUTHORIZED = json_reply(401, {"error-code": "401", "error-code-label": "authentication failed"})


def _refused(status: str) -> tuple[Reply, Verdict]:
    text, verdict = _STATUSES[status]
    body = {"message-count": "1", "messages": [{"status": status, "error-text": text}]}
    return Reply(_OK, msgspec.json.encode(body)), verdict


ERRORS: dict[str, tuple[Reply, Verdict]] = {
    **{status: _refused(status) for status in _STATUSES},
    "http_401": (_UNAUTHORIZED, "permanent"),
    "http_429": (json_reply(429, {"error-code": "429", "error-code-label": "too many requests"}), "throttled"),
    "http_503": (_UNAVAILABLE, "retry"),
    "html_502": (HTML_502, "unknown"),
}
# An accepted part's way when it does not end with `delivered`: statuses, and the last one's err-code.
_FATES: dict[str, tuple[tuple[str, ...], str]] = {
    "expired": (("accepted", "expired"), "1"),
    "failed": (("accepted", "failed"), "5"),
    "rejected": (("rejected",), "6"),
    "unknown": (("accepted", "unknown"), "1"),
    "unreachable": (("accepted", "buffered", "failed"), "2"),
    "invalid_number": (("failed",), "3"),
    "barred": (("failed",), "4"),
    "silent": ((), "0"),
}
FAILURES = tuple(_FATES)
_DIGESTS = ("md5hash", "md5", "sha1", "sha256", "sha512")


class _Part:
    """One part of an accepted message."""

    __slots__ = ("message_id", "reference", "sender", "to")

    def __init__(self, message_id: str, form: dict[str, str]) -> None:
        self.message_id = message_id
        self.to = form["to"]
        self.sender = form["from"]
        self.reference = form.get("client-ref", "")


class Vonage:
    """The counter of Vonage."""

    def __init__(self, desk: Desk, office: Office, known: Secrets) -> None:
        self._desk = desk
        self._office = office
        self._key = known.vonage_api_key
        self._secret = known.vonage_api_secret
        self._signing = known.vonage_signature_secret
        self.purse = Purse()

    def route(self, method: str, path: str) -> Handler | None:
        """The handler of a path of this provider."""
        match method, path:
            case "POST", "/sms/json":
                return self.send
            case "GET", "/account/get-balance":
                return self._balance
        return None

    def _balance(self, head: RequestHead, _body: bytes, exchange: Exchange) -> None:
        if self._desk.shut(exchange, _UNAVAILABLE):
            return
        given = {**dict(parse_qsl(head.query)), **_basic(head)}
        known = given.get("api_key") == self._key and given.get("api_secret") == self._secret
        answer = json_reply(200, {"value": round(self.purse.left, 4), "autoReload": False})
        refused = not known or self._desk.error() in ("4", "14", "http_401")
        self._desk.answer(exchange, _UNAUTHORIZED if refused else answer)

    def send(self, head: RequestHead, body: bytes, exchange: Exchange) -> None:
        """`POST /sms/json`."""
        desk = self._desk
        if desk.shut(exchange, _UNAVAILABLE, lambda: (_entry(_form(body)),)):
            return
        form = _form(body)
        entry = _entry(form)
        refusal = self._refusal(head, form)
        if refusal is not None:
            desk.settle(exchange, refusal[0], refusal[1], (entry,))
            return
        if not self.purse.pays(float(_PRICE) * segments(form["text"])):
            desk.settle(exchange, *_refused("9"), (entry,))
            return
        parts = [_Part(secrets.token_hex(8).upper(), form) for _ in range(segments(form["text"]))]
        answer = {"message-count": str(len(parts)), "messages": [_accepted(part, self.purse.left) for part in parts]}
        news = partial(self._news, parts, form)
        desk.settle(exchange, Reply(_OK, msgspec.json.encode(answer)), "accepted", (entry,), news)

    def _refusal(self, head: RequestHead, form: dict[str, str]) -> tuple[Reply, Verdict] | None:
        status = self._unauthorized(head, form) or _bad_field(form)
        if status is not None:
            return _refused(status)
        if not self._desk.admits():
            return _refused("1")
        if self._desk.is_dead(form["to"]):
            return _refused("33")
        error = self._desk.error()
        return None if error is None else ERRORS[error]

    def _unauthorized(self, head: RequestHead, form: dict[str, str]) -> str | None:
        given = {**form, **_basic(head)}
        if given.get("api_key") != self._key:
            return "4"
        if "sig" in form:
            if "api_secret" in given:
                return "32"
            known = {signature(self._signing, form, digest) for digest in _DIGESTS}
            return None if form["sig"].lower() in known else "14"
        return None if given.get("api_secret") == self._secret else "4"

    def _news(self, parts: list[_Part], form: dict[str, str]) -> None:
        desk = self._desk
        given = form.get("callback")
        target = target_of(given) if given else self._office.account_target("vonage")
        if target is None or form.get("status-report-req", "1") in ("0", "false"):
            return
        fate = desk.failure()
        statuses, code = _FATES[fate] if fate else (("accepted", "delivered"), "0")
        for part in parts:
            steps: list[Step] = [
                partial(self._report, target, part, status, code if last else "0")
                for status, last in zip(statuses, [*[False] * (len(statuses) - 1), True], strict=False)
            ]
            self._office.follow(desk, steps)

    def _report(self, target: Target, part: _Part, status: str, code: str, done: Done) -> None:
        at = now_ms()
        moment = datetime.fromtimestamp(at // 1000, UTC)
        receipt = {
            "msisdn": part.to,
            "to": part.sender,
            "network-code": _NETWORK,
            "messageId": part.message_id,
            "price": _PRICE,
            "status": status,
            "scts": f"{moment:%y%m%d%H%M}",
            "err-code": code,
            "api-key": self._key,
            "message-timestamp": f"{moment:%Y-%m-%d %H:%M:%S}",
            "timestamp": str(at // 1000),
            "nonce": secrets.token_hex(8),
        }
        if part.reference:
            receipt["client-ref"] = part.reference
        receipt["sig"] = signature(self._signing, receipt, "sha256")
        fields = b"content-type: application/json\r\n"
        self._office.mail(Letter(self._desk, target, fields, msgspec.json.encode(receipt), STUBBORN), done)


def signature(secret: str, params: dict[str, str], digest: str) -> str:
    """Vonage's `sig` in lower-case hex: `md5hash` is the plain MD5 with the secret appended, the others are HMACs."""
    signed = "".join(
        f"&{name}={params[name].replace('&', '_').replace('=', '_')}" for name in sorted(params) if name != "sig"
    )
    if digest == "md5hash":
        return hashlib.md5((signed + secret).encode(), usedforsecurity=False).hexdigest()
    return hmac.new(secret.encode(), signed.encode(), digest).hexdigest()


def _basic(head: RequestHead) -> dict[str, str]:
    scheme, _, value = head.fields.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        key, _, secret = b64decode(value).decode().partition(":")
    except ValueError:
        return {}
    return {"api_key": key, "api_secret": secret}


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form; none when it cannot be read."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError:
        return {}


def _bad_field(form: dict[str, str]) -> str | None:
    """The status of the first field that is missing or wrong."""
    to, sender = form.get("to", ""), form.get("from", "")
    if not to or not sender or not form.get("text"):
        return "2"
    if not (to.isascii() and to.isdigit() and 7 <= len(to) <= 15):
        return "3"
    if len(form.get("client-ref", "")) > 100 or form.get("type", "text") not in ("text", "unicode", "binary"):
        return "3"
    if len(form.get("callback", "")) > 100:
        return "23"
    return None


def _accepted(part: _Part, left: float) -> dict[str, str]:
    answer = {
        "to": part.to,
        "message-id": part.message_id,
        "status": "0",
        "remaining-balance": f"{left:.8f}",
        "message-price": _PRICE,
        "network": _NETWORK,
    }
    if part.reference:
        answer["client-ref"] = part.reference
    return answer


def _entry(form: dict[str, str]) -> Entry:
    reference, _, attempt = form.get("client-ref", "").rpartition("-")
    delivery = raw_id(reference)
    return Entry(delivery, notification_of(delivery), number(attempt) if delivery else 0, form.get("to", ""))
