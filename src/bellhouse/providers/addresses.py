"""The form of an address, as cheaply as a check before each send must be; contacts are proved when they are stored."""

LONGEST_EMAIL = 254
"""RFC 5321, 4.5.3.1.3: a path of 256 octets with its brackets."""
_LONGEST_LOCAL = 64
_LONGEST_DOMAIN = 255


def is_e164(text: str) -> bool:
    """Whether `text` is a phone number with its country: a plus and 7 to 15 digits."""
    digits = text[1:]
    return text[:1] == "+" and 7 <= len(digits) <= 15 and digits.isascii() and digits.isdigit() and digits[0] != "0"


def is_email(text: str) -> bool:
    """Whether `text` can stand in a mail's envelope and header: one address, no blank, bracket or control character."""
    local, at, domain = text.rpartition("@")
    return bool(
        at
        and 0 < len(local.encode("utf-8", "replace")) <= _LONGEST_LOCAL
        and 0 < len(domain) <= _LONGEST_DOMAIN
        and len(text) <= LONGEST_EMAIL
        and text.isprintable()
        and not any(character in _FORBIDDEN for character in text)
    )


_FORBIDDEN = frozenset(' <>(),;:\\"[]')
"""What needs quoting in an address (RFC 5322, 3.2.3); quoted local parts are not sent to."""
