"""Vonage's answers read into verdicts: always 200, with one status for each part inside."""

from typing import Any, Final, Literal, assert_never

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

THROTTLE_WAIT_MS = 1000
"""The limit is counted per second."""

_Meaning = Literal["accepted", "account", "dead", "barred", "refused", "throttled", "retry"]

_STATUSES: Final[dict[_Meaning, tuple[str, ...]]] = {
    "accepted": ("0",),
    "account": ("4", "8", "9", "11", "14", "15", "29", "32"),
    "dead": ("33",),
    "barred": ("7",),
    "refused": ("2", "3", "6", "12", "22", "23"),
    "throttled": ("1", "10"),
    "retry": ("5",),
}
_MEANING: Final[dict[str, _Meaning]] = {status: meaning for meaning, all_of in _STATUSES.items() for status in all_of}
_GRAVITY: Final[tuple[_Meaning, ...]] = ("account", "dead", "barred", "refused", "throttled", "retry")
"""Which refusal speaks for the message where its parts were refused for different reasons."""


def verdict_of(exchange: Exchange, now: int) -> Verdict:
    """What an exchange with Vonage means; `now` in ms since the epoch."""
    if not isinstance(exchange, Response):
        return rules.unanswered(exchange)
    if 200 <= exchange.status < 300:
        return _by_parts(exchange)
    return _by_status(exchange, now)


def _by_parts(response: Response) -> Verdict:
    document = rules.json_object(response.body)
    parts = rules.objects_of(document.get("messages")) if document is not None else []
    if not parts:
        return Accepted(code=f"{response.status} unreadable")
    meanings = [_MEANING.get(rules.text_of(part.get("status")), "refused") for part in parts]
    taken = meanings.count("accepted")
    if taken == len(parts):
        return Accepted(rules.text_of(parts[0].get("message-id")) or None, price=_price(parts), code="200 0")
    grave = min((meaning for meaning in meanings if meaning != "accepted"), key=_GRAVITY.index)
    part = parts[meanings.index(grave)]
    reason = rules.text_of(part.get("error-text"))
    code = f"200 {rules.text_of(part.get('status'))}".rstrip()
    if taken:
        return Unknown(f"{taken} of {len(parts)} parts were taken; {reason}", code)
    return _refused(grave, reason, code)


def _refused(meaning: _Meaning, reason: str, code: str) -> Verdict:
    match meaning:
        case "account":
            return AccountFault(reason, code)
        case "dead":
            return TokenInvalid(reason, code)
        case "barred":
            return Permanent(reason, code, suppress=True)
        case "refused":
            return Permanent(reason, code)
        case "throttled":
            return Throttled(rules.jittered(THROTTLE_WAIT_MS), code)
        case "retry":
            return Retry(reason, code)
        case "accepted":
            return Accepted(code=code)
        case _:
            assert_never(meaning)


def _by_status(response: Response, now: int) -> Verdict:
    status = response.status
    if status in (401, 403):
        return AccountFault("the account was refused", str(status))
    if status == 429:
        named = rules.retry_after_ms(response.headers, now)
        return Throttled(rules.jittered(THROTTLE_WAIT_MS) if named is None else named, "429")
    if status == 500:
        # Only its 503 says that nothing was done.
        return Unknown("the provider failed", "500")
    return rules.unlisted(response, now)


def _price(parts: list[dict[str, Any]]) -> float | None:
    """The sum of all parts' prices, where each names one."""
    prices = [rules.number_of(part.get("message-price")) for part in parts]
    return sum(price for price in prices if price is not None) if None not in prices else None
