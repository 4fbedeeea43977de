"""Twilio's answers read into verdicts: the table of its error codes for Messages."""

from typing import Final, Literal, assert_never

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
from bellhouse.ports.provider import Exchange, Response
from bellhouse.providers import rules

THROTTLE_WAIT_MS = 30_000
"""Twilio promises no Retry-After; a queue that is full needs longer than a second."""

_Meaning = Literal["bad_number", "opted_out", "account", "ours", "throttled"]

_CODES: Final[dict[_Meaning, tuple[int, ...]]] = {
    "bad_number": (21211, 21217, 21401, 21614),
    "opted_out": (21610,),
    "account": (
        *(20003, 20005, 20404, 30002),
        *(21212, 21219, 21408, 21603, 21606, 21608, 21703, 21704, 21705, 21709),
    ),
    "ours": (21214, 21602, 21604, 21609, 21612, 21617, 21620, 21623, 21624, 21654, 21656),
    "throttled": (14107, 20429, 21611, 63018, 63038),
}
_MEANING: Final[dict[int, _Meaning]] = {code: meaning for meaning, codes in _CODES.items() for code in codes}


def verdict_of(exchange: Exchange, now: int, segment_price: float) -> Verdict:
    """What an exchange with Twilio means; `now` in ms since the epoch, `segment_price` in dollars."""
    if not isinstance(exchange, Response):
        return rules.unanswered(exchange)
    if 200 <= exchange.status < 300:
        return _accepted(exchange, segment_price)
    return _refused(exchange, now)


def _accepted(response: Response, segment_price: float) -> Accepted:
    message = rules.json_object(response.body)
    sid = rules.text_of(message.get("sid")) if message is not None else ""
    if message is None or not sid:
        return Accepted(code=f"{response.status} unreadable")
    return Accepted(message_id=sid, price=price_of(message, segment_price), code=str(response.status))


def price_of(message: dict[str, object], segment_price: float) -> float | None:
    """What a message costs: its price once Twilio has set it, until then its segments at the sheet's price."""
    price = rules.number_of(message.get("price"))
    if price is not None:
        return abs(price)
    segments = rules.number_of(message.get("num_segments"))
    return None if segments is None or not 0 < segments < 100 else segments * segment_price


def _refused(response: Response, now: int) -> Verdict:
    error = rules.json_object(response.body)
    number = error.get("code") if error is not None else None
    if error is None or not isinstance(number, int):
        return _by_status(response, now, "")
    reason = rules.text_of(error.get("message"))
    meaning = _MEANING.get(number)
    if meaning is None or response.status >= 500:
        return _by_status(response, now, reason, f" {number}")
    return _by_code(meaning, f"{response.status} {number}", reason, response, now)


def _by_code(meaning: _Meaning, code: str, reason: str, response: Response, now: int) -> Verdict:
    match meaning:
        case "bad_number":
            return TokenInvalid(reason, code)
        case "opted_out":
            return Permanent(reason, code, suppress=True)
        case "account":
            return AccountFault(reason, code)
        case "ours":
            return Permanent(reason, code)
        case "throttled":
            return _throttled(response, now, code)
        case _:
            assert_never(meaning)


def _by_status(response: Response, now: int, reason: str, suffix: str = "") -> Verdict:
    code = f"{response.status}{suffix}"
    match response.status:
        case 401 | 403 | 404:
            return AccountFault(reason or "the account was refused", code)
        case 429:
            return _throttled(response, now, code)
        case 503 if rules.is_json(response.body):
            return Retry(reason or "unavailable", code, rules.retry_after_ms(response.headers, now))
        case status if status >= 500:
            # Twilio's own 500 too: it says that something broke, not that nothing was done.
            return Unknown(reason or "the provider failed", code)
        case status if status >= 400:
            return Permanent(reason or "the provider refused it", code)
        case _:
            return rules.unlisted(response, now, reason)


def _throttled(response: Response, now: int, code: str) -> Throttled:
    named = rules.retry_after_ms(response.headers, now)
    return Throttled(rules.jittered(THROTTLE_WAIT_MS) if named is None else named, code)
