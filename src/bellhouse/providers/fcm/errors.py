"""FCM's answers read into verdicts: the table of its HTTP v1 error codes."""

from typing import Final, Literal

import msgspec

from bellhouse.domain.attempt import (
    Accepted,
    AccountFault,
    Permanent,
    Retry,
    Throttled,
    TokenInvalid,
    Verdict,
)
from bellhouse.ports.provider import Exchange, Response
from bellhouse.providers import rules

QUOTA_WAIT_MS = 60_000
"""What FCM asks for where a 429 names no wait (Firebase: "handle 429")."""
BAD_TOKEN_TEXT = "the registration token is not a valid fcm registration token"
STALE_CREDENTIALS: Final = "401 UNAUTHENTICATED"
"""The code of the fault that a fresh access token may heal."""
MISMATCH: Final = "403 SENDER_ID_MISMATCH"
"""The code of a token of another sender: the token's fault only if other tokens work."""


class _Success(msgspec.Struct):
    name: str


class _Fault(msgspec.Struct):
    """The parts of an error body that decide."""

    fcm: str
    """FcmError's errorCode, or empty."""
    status: str
    message: str
    fields: tuple[str, ...]
    quota: str
    """All texts of a QuotaFailure, in lower case."""

    @property
    def word(self) -> str:
        return self.fcm or self.status


_success = msgspec.json.Decoder(_Success).decode


def verdict_of(exchange: Exchange, now: int) -> Verdict:
    """What an exchange with FCM means; `now` in ms since the epoch."""
    if not isinstance(exchange, Response):
        return rules.unanswered(exchange)
    if 200 <= exchange.status < 300:
        return _accepted(exchange)
    return _refused(exchange, now)


def _accepted(response: Response) -> Accepted:
    try:
        name = _success(response.body).name
    except rules.UNREADABLE:
        # A second send would be worse than an unknown id.
        return Accepted(code=f"{response.status} unreadable")
    return Accepted(message_id=name, code=str(response.status))


def _refused(response: Response, now: int) -> Verdict:
    fault = _fault_of(response.body)
    if fault is None:
        return _by_status(response, now)
    code = f"{response.status} {fault.word}".rstrip()
    reason = fault.message or fault.word
    match response.status, fault.word:
        case 404, "UNREGISTERED":
            return TokenInvalid(reason, code)
        case 400, _ if _names_the_token(fault):
            return TokenInvalid(reason, code)
        case 403, "SENDER_ID_MISMATCH":
            return TokenInvalid(reason, MISMATCH)
        case 401, "THIRD_PARTY_AUTH_ERROR" | "APNS_AUTH_ERROR":
            return AccountFault(reason, code)
        case 401, _:
            return AccountFault(reason, STALE_CREDENTIALS)
        case ((403 | 404), _):
            return AccountFault(reason, code)
        case 429, _:
            return _throttled(response, now, code, "contact" if _is_device_quota(fault) else "provider")
        case ((500 | 503), _):
            return Retry(reason, code, rules.retry_after_ms(response.headers, now))
        case status, _ if status >= 500:
            return rules.unlisted(response, now, reason)
        case _:
            return Permanent(reason, code)


def _by_status(response: Response, now: int) -> Verdict:
    """The verdict where the body is not FCM's."""
    status = response.status
    if status == 401:
        return AccountFault("the access token was refused", STALE_CREDENTIALS)
    if status in (403, 404):
        return AccountFault("the project or its permission was refused", str(status))
    if status == 429:
        return _throttled(response, now, "429", "provider")
    return rules.unlisted(response, now)


def _throttled(response: Response, now: int, code: str, scope: Literal["provider", "contact"]) -> Throttled:
    named = rules.retry_after_ms(response.headers, now)
    return Throttled(rules.jittered(QUOTA_WAIT_MS) if named is None else named, code, scope)


def _names_the_token(fault: _Fault) -> bool:
    if fault.word not in ("INVALID_ARGUMENT", ""):
        return False
    return "message.token" in fault.fields or BAD_TOKEN_TEXT in fault.message.lower()


def _is_device_quota(fault: _Fault) -> bool:
    return "device" in fault.quota or "device" in fault.message.lower()


def _fault_of(body: bytes) -> _Fault | None:
    """Read an error body; its details come in any order and may be missing. None where it is not FCM's."""
    document = rules.json_object(body)
    error = document.get("error") if document is not None else None
    if not isinstance(error, dict):
        return None
    fcm, fields, quota = "", [], []
    for detail in rules.objects_of(error.get("details")):
        kind = rules.text_of(detail.get("@type"))
        if kind.endswith("FcmError"):
            fcm = rules.text_of(detail.get("errorCode"))
        fields += [rules.text_of(v.get("field")) for v in rules.objects_of(detail.get("fieldViolations"))]
        if kind.endswith("QuotaFailure"):
            quota += [
                rules.text_of(v.get(k))
                for v in rules.objects_of(detail.get("violations"))
                for k in ("subject", "description")
            ]
    return _Fault(
        fcm,
        rules.text_of(error.get("status")),
        rules.text_of(error.get("message")),
        tuple(fields),
        " ".join(quota).lower(),
    )
