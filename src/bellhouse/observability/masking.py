"""Takes addresses, numbers and tokens out of text that somebody else wrote, before it is logged.

It would rather hide too much: a word with an `@`, a run of seven digits or a long mixed run of letters is gone,
whatever it was. UUIDs stay, because our own ids are what an operator searches for.
"""

import re
from typing import Final

MASK: Final = "[masked]"
LONGEST: Final = 500
"""A logged text is cut to so many characters."""

_READ: Final = 2000
_PLAIN: Final = re.compile(r"[A-Za-z_.-]{0,31}\d{0,3}|[A-Za-z]{1,15} [A-Za-z]{1,15}")
"""A word, or two that are no credential: what most fields hold, and not worth the long way."""
_QUOTED: Final = re.compile(r'"[^"\n]*"(?:@|%40)[^\s<>(),;]*', re.IGNORECASE)
_CREDENTIAL: Final = re.compile(
    r"\b(bearer|basic)\s+[^\s\"',;]+|\b(password|passwd|secret|token|api[_-]?key)(\"?\s*[=:]\s*\"?)[^\s\"&,;]+",
    re.IGNORECASE,
)
_WITH_PLUS: Final = re.compile(r"(?:\+|%2B)[\s(]{0,2}\d(?:[\s().\-/]{0,2}\d){5,}", re.IGNORECASE)
_WORD: Final = re.compile(r'[^\s<>(),;"]+')
_PART: Final = re.compile(
    r"(?<![\w-])(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(?![\w-])"
    r"|[A-Za-z0-9_-]+:APA91[A-Za-z0-9_-]*"
    r"|[A-Za-z0-9+/_-]{40,}={0,2}"
    r"|[A-Za-z0-9_-]{32,}"
    r"|(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,}"
    r"|\d{7,}"
)
_ID: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ADDRESS: Final = re.compile(r".*(?:@|%40).*|(?:\+|%2B)[\d\s().\-/]+", re.IGNORECASE | re.DOTALL)


def mask(text: str) -> str:
    """Free text, such as a provider's error, without anything that looks like an address, a number or a secret."""
    if _PLAIN.fullmatch(text) and not _CREDENTIAL.match(text):
        return text
    if len(text) > _READ:
        head, _, _ = text[:_READ].rpartition(" ")
        text = f"{head} [cut]"
    text = _QUOTED.sub(MASK, text)
    text = _CREDENTIAL.sub(_hide_credential, text)
    text = _WITH_PLUS.sub(MASK, text)
    return _WORD.sub(_hide_word, text)[:LONGEST]


def mask_id(text: str) -> str:
    """One of our ids or a trace's id as it is; anything else as free text."""
    return text if _ID.fullmatch(text) else mask(text)


def mask_user(text: str) -> str:
    """A caller's own id of its user, unless the caller uses an email address or phone number as the id."""
    return MASK if _ADDRESS.fullmatch(text) else text[:LONGEST]


def _hide_credential(match: re.Match[str]) -> str:
    scheme, name, between = match.groups()
    return f"{scheme} {MASK}" if scheme else f"{name}{between}{MASK}"


def _hide_word(match: re.Match[str]) -> str:
    word = match[0]
    if "@" in word or "%40" in word:
        return MASK
    return _PART.sub(_hide_part, word) if len(word) >= 7 else word


def _hide_part(match: re.Match[str]) -> str:
    return match["uuid"] or MASK
