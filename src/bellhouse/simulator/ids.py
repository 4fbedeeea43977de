"""The ids a caller sends along, read leniently: a provider does not care whether they are well formed."""

from typing import NamedTuple


class Entry(NamedTuple):
    """Whom and what one message was for; ids are 16 raw bytes, or empty when the caller sent none."""

    delivery: bytes
    notification: bytes
    attempt: int
    to: str


def raw_id(text: str | None) -> bytes:
    """16 bytes of a UUID in canonical or plain hex form; empty when it is none."""
    if not text:
        return b""
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return b""
    return raw if len(raw) == 16 else b""


def text_id(raw: bytes) -> str:
    """The canonical UUID text of 16 bytes."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def notification_of(delivery: bytes) -> bytes:
    """A delivery id is its notification's id with the ordinal in the last byte."""
    return delivery[:15] + b"\0" if delivery else b""


def number(text: str | None) -> int:
    """An attempt number within 0…65535; 0 when it is none."""
    if text is None or not text.isascii() or not text.isdigit():
        return 0
    return min(int(text[:6]), 65_535)
