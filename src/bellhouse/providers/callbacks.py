"""What the readers of several providers' callbacks share: our ids as they come back, forms, and words of opt-out."""

from typing import Literal
from urllib.parse import parse_qsl

from bellhouse.domain.ids import DeliveryId, from_text
from bellhouse.ports.provider import CallbackRefused

LARGEST_BODY = 1 << 20
"""Bytes of a callback that are read at the most; providers stay below 768 KB."""
_MOST_FIELDS = 200
_MOST_ATTEMPTS = 1 << 31

STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE"})
START_WORDS = frozenset({"START", "YES", "UNSTOP"})


def delivery_id_of(text: object) -> DeliveryId | None:
    """Our delivery's id from its text (with or without hyphens), or None where it is none of ours."""
    if not isinstance(text, str):
        return None
    try:
        raw = from_text(text)
    except ValueError:
        return None
    return DeliveryId(raw) if raw[-1] else None


def attempt_of(text: object) -> int:
    """The attempt's number; 1 where it is missing or no number."""
    try:
        attempt = int(text) if isinstance(text, str | int) else 1
    except ValueError:
        return 1
    return attempt if 1 <= attempt < _MOST_ATTEMPTS else 1


def checked_body(body: bytes) -> bytes:
    """The body if it is not too large. Raises CallbackRefused."""
    if len(body) > LARGEST_BODY:
        raise CallbackRefused("the body is too large", 413)
    return body


def form_of(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form post, decoded, blanks kept, in their order. Raises CallbackRefused."""
    try:
        text = checked_body(body).decode("utf-8")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise CallbackRefused("not a form", 400) from None


def query_of(url: str) -> list[tuple[str, str]]:
    """The fields of a URL's query, decoded. Raises CallbackRefused."""
    query = url.partition("#")[0].partition("?")[2]
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise CallbackRefused("too many fields in the query", 400) from None


def choice_of(text: str) -> Literal["stop", "start"] | None:
    """What a recipient's own message says about further ones: only the bare word counts."""
    word = text.strip().strip(".!\"'").upper()
    if word in STOP_WORDS:
        return "stop"
    return "start" if word in START_WORDS else None
