"""How large a message is where it counts: SMS segments, and the bytes of a push or an email."""

from typing import Final, Literal

import msgspec

from bellhouse.domain.content import EmailContent, PushContent

GSM_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet of 3GPP TS 23.038, section 6.2.1, without the escape."""
GSM_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
"""Its extension table, section 6.2.1.1: each takes two septets."""

PUSH_LIMIT: Final = 4096
"""Bytes of a whole FCM message or APNs payload."""
PUSH_RESERVED: Final = 512
"""What of it the ids, the receipt token and the provider's own JSON take."""
EMAIL_LIMIT: Final = 1_048_576
"""Bytes of an email's subject, text and HTML together; a mail of this size is surely a mistake."""
SUBJECT_LIMIT: Final = 998
"""Characters of a header line, RFC 5322 section 2.1.1."""
SMS_LIMIT: Final = 1600
"""Characters of one message at Twilio, the smallest limit among the providers."""

_GSM: Final = GSM_BASIC | GSM_EXTENDED


class SmsSize(msgspec.Struct, frozen=True):
    """What an SMS takes on the air, and so what it costs."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    """Septets, or UTF-16 code units."""
    segments: int


def sms_size(text: str) -> SmsSize:
    """Count the segments of an SMS.

    One holds 160 septets or 70 UTF-16 units; of several each holds 153 or 67, since a header of six octets joins
    them (3GPP TS 23.040, section 9.2.3.24.1). No segment ends within an escaped character or a surrogate pair.
    """
    if _GSM.issuperset(text):
        wide = sum(map(text.count, GSM_EXTENDED))
        return SmsSize("GSM-7", len(text) + wide, _segments(text, len(text) + wide, 160, 153, GSM_EXTENDED))
    astral = frozenset(char for char in text if char > "\uffff")
    units = len(text) + sum(char in astral for char in text)
    return SmsSize("UCS-2", units, _segments(text, units, 70, 67, astral))


def _segments(text: str, units: int, alone: int, joined: int, double: frozenset[str]) -> int:
    if units <= alone:
        return 1
    if units == len(text):
        return -(-units // joined)
    segments, room = 1, joined
    for char in text:
        need = 2 if char in double else 1
        if need > room:
            segments, room = segments + 1, joined
        room -= need
    return segments


def push_size(content: PushContent) -> int:
    """UTF-8 bytes of what a push says."""
    return sum(len(part.encode()) for part in (content.title, content.body, content.image, content.link) if part)


def email_size(content: EmailContent) -> int:
    """UTF-8 bytes of an email's subject, text and HTML, before any transfer encoding."""
    return sum(len(part.encode()) for part in (content.subject, content.text, content.html) if part)
