"""Contact points as they are stored: each address checked once and in one spelling.

The libraries that check them take a tenth of a second to import, so they are imported with the first address.
"""

import hashlib
from typing import Final

from bellhouse.domain.words import Channel

MAX_TOKEN: Final = 4_096
"""Characters of a push token or chat endpoint."""
_ID_BYTES: Final = 6


def normalized(channel: Channel, address: str) -> str:
    """The one spelling of an address: lower case, E.164. Raises ValueError, which says why it is none."""
    match channel:
        case "email":
            return _email(address)
        case "sms":
            return _phone(address)
        case "in_app":
            if address:
                raise ValueError("in_app has no address")
            return ""
        case "push" | "chat":
            return _endpoint(address)


def contact_id(channel: Channel, address: str) -> str:
    """The id of a contact point: the same for the same channel and address."""
    return f"{channel}-{hashlib.blake2b(f'{channel}:{address}'.encode(), digest_size=_ID_BYTES).hexdigest()}"


def suppressed_form(address: str) -> str:
    """The spelling under which an address of any channel is suppressed. Raises ValueError for an empty one."""
    if not address or len(address) > MAX_TOKEN or not address.isprintable():
        raise ValueError(f"it takes 1 to {MAX_TOKEN:,} printable characters")
    for channel in ("email", "sms"):
        try:
            return normalized(channel, address)
        except ValueError:
            continue
    return address


def _email(address: str) -> str:
    import email_validator  # noqa: PLC0415  # see the top

    try:
        found = email_validator.validate_email(address, check_deliverability=False, test_environment=True)
    except email_validator.EmailNotValidError as error:
        raise ValueError(f"no email address: {error}") from error
    return found.normalized.lower()


def _phone(address: str) -> str:
    import phonenumbers  # noqa: PLC0415  # see the top

    if not address.startswith("+"):
        raise ValueError("a phone number begins with + and its country, such as +33612345678 (E.164)")
    try:
        number = phonenumbers.parse(address, None)
    except phonenumbers.NumberParseException as error:
        raise ValueError(f"no phone number: {error}") from error
    if not phonenumbers.is_possible_number(number):
        raise ValueError("no phone number: it has too few or too many digits for its country")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _endpoint(address: str) -> str:
    if not address or len(address) > MAX_TOKEN or not address.isprintable() or " " in address:
        raise ValueError(f"it takes 1 to {MAX_TOKEN:,} printable characters without spaces")
    return address
