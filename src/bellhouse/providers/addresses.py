"""The form of an address, as cheaply as a check before each send must be; contacts are proved when they are stored."""

import re

LONGEST_EMAIL = 254
"""RFC 5321, 4.5.3.1.3: a path of 256 octets with its brackets."""


def is_e164(text: str) -> bool:
    """Whether `text` is a phone number with its country: a plus and 7 to 15 digits."""
    digits = text[1:]
    return text[:1] == "+" and 7 <= len(digits) <= 15 and digits.isascii() and digits.isdigit() and digits[0] != "0"


def is_email(text: str) -> bool:
    """Whether `text` can stand in a mail's envelope and header: one address, nothing that needs quoting.

    The domain may be international; whether the local part may be is the provider's to say.
    """
    return len(text) <= LONGEST_EMAIL and _EMAIL.fullmatch(text) is not None


_SPECIAL = r"\s\x00-\x20\x7f-\xa0()<>\[\]:;@\\,\""
"""What would need quoting (RFC 5322, 3.2.3), blanks and control characters."""
_EMAIL = re.compile(rf"[^{_SPECIAL}]{{1,64}}@[^{_SPECIAL}]{{1,255}}")
