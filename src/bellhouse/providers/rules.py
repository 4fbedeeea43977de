"""The rules that hold for every HTTP provider: what silence or a gateway's answer means, how long to wait."""

import math
import random
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from bellhouse.domain.attempt import Accepted, AccountFault, Permanent, Retry, Unknown, Verdict
from bellhouse.ports.provider import NoAnswer, NotSent, Response

LONGEST_WAIT_MS = 86_400_000
"""No provider's hint is believed beyond a day: a wrong clock or unit must not park a message for a year."""


_LATEST_S = 1e11

UNREADABLE = (ValueError, RecursionError)
"""What msgspec raises for a body that is not what it should be: malformed, not UTF-8, or nested without end."""


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body, or None where there is none."""
    try:
        document = msgspec.json.decode(body)
    except UNREADABLE:
        return None
    return document if isinstance(document, dict) else None


def text_of(value: object) -> str:
    """A JSON value that should be a string or a number, as text; empty for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    try:
        return str(value)
    except ValueError:  # an integer of thousands of digits
        return ""


def number_of(value: object) -> float | None:
    """A JSON value that should be a finite number, written as one or as text; None for anything else."""
    return _number(text_of(value))


def enough(balance: object) -> Accepted | AccountFault:
    """Whether a prepaid balance sends anything at all; one that cannot be read is taken to."""
    number = number_of(balance)
    return AccountFault("the balance is used up", "balance") if number is not None and number <= 0 else Accepted()


def epoch_ms(value: object) -> int | None:
    """A JSON value in epoch seconds, as ms since the epoch; None where it is none or far from any real time."""
    seconds = number_of(value)
    return int(seconds * 1000) if seconds is not None and 0 <= seconds < _LATEST_S else None


def objects_of(value: object) -> list[dict[str, Any]]:
    """The objects of a JSON value that should be an array of them."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def unanswered(exchange: NotSent | NoAnswer) -> Retry | Unknown:
    """The verdict when no answer was read: nothing left the machine, or it may have been sent."""
    if isinstance(exchange, NotSent):
        return Retry(exchange.reason, exchange.code)
    return Unknown(exchange.reason, exchange.code)


def retry_after_ms(headers: Mapping[str, str], now: int) -> int | None:
    """What `Retry-After` asks for, in ms from `now`; seconds or an HTTP date (RFC 9110, 10.2.3).

    None where the header is missing or says nothing readable.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return _bounded(seconds * 1000)
    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return _bounded(moment * 1000 - now)


def reset_ms(headers: Mapping[str, str], now: int) -> int | None:
    """What `X-RateLimit-Reset` asks for, in ms from `now`; the header is a moment in epoch seconds."""
    moment = _number(headers.get("x-ratelimit-reset", ""))
    return None if moment is None else _bounded(moment * 1000 - now)


def jittered(base_ms: int) -> int:
    """`base_ms` to one and a half of it: a wait for when the provider names none, so that not all come back at once."""
    return base_ms + random.randrange(base_ms // 2 + 1)


def is_json(body: bytes) -> bool:
    """Whether a body looks like a provider's own JSON object rather than a gateway's page."""
    return body[:64].lstrip()[:1] == b"{"


def unlisted(response: Response, now: int, reason: str = "") -> Verdict:
    """The verdict for an error that the provider's own table does not name.

    500 and 503 with the provider's own body promise that nothing was sent; every other 5xx is a gateway answering
    for somebody it lost sight of. A redirect is our base URL's fault.
    """
    status = response.status
    code = str(status)
    if status >= 500:
        if status in (500, 503) and is_json(response.body):
            return Retry(reason or "the provider failed", code, retry_after_ms(response.headers, now))
        return Unknown(reason or "a gateway answered", code)
    if 300 <= status < 400:
        return AccountFault("the base URL redirects", code)
    return Permanent(reason or "the provider refused it", code)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _bounded(wait_ms: float) -> int:
    return int(min(max(wait_ms, 0), LONGEST_WAIT_MS))
