"""The request of SendGrid's `mail/send`, with the field errors SendGrid answers."""

import msgspec
from msgspec import Raw, Struct

_RECIPIENT_LIMIT = 1000


class FieldError(Exception):
    """A field SendGrid refuses: its path (None = the whole body) and why."""

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field


class Address(Struct, frozen=True):
    """An address with its display name."""

    email: str = ""
    name: str | None = None


class Content(Struct):
    """One part of the body."""

    type: str = ""
    value: str = ""


class Personalization(Struct):
    """One mail of a call."""

    to: list[Address] = []
    cc: list[Address] = []
    bcc: list[Address] = []
    subject: str | None = None
    custom_args: dict[str, str] = {}
    headers: dict[str, str] = {}

    @property
    def recipients(self) -> list[Address]:
        """Everybody this mail goes to."""
        return [*self.to, *self.cc, *self.bcc]


class _Switch(Struct, frozen=True):
    enable: bool = False


class MailSettings(Struct, frozen=True):
    """`mail_settings`, as far as it changes what happens."""

    sandbox_mode: _Switch = _Switch()


class Mail(Struct):
    """The whole call."""

    personalizations: list[Personalization] = []
    from_: Address = msgspec.field(default_factory=Address, name="from")
    subject: str | None = None
    content: list[Content] = []
    template_id: str | None = None
    custom_args: dict[str, str] = {}
    categories: list[str] = []
    mail_settings: MailSettings = MailSettings()
    attachments: Raw = Raw()


_DECODER = msgspec.json.Decoder(Mail)


def read(body: bytes) -> Mail:
    """The call in `body`; raises FieldError as SendGrid's validation would."""
    try:
        mail = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise FieldError(where.strip(".`").replace("[", ".").replace("]", "") or None, what) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FieldError(None, "Bad Request") from error
    _check(mail)
    return mail


def _check(mail: Mail) -> None:
    if not mail.personalizations:
        raise FieldError("personalizations", "The personalizations field is required and must have at least one.")
    if len(mail.personalizations) > _RECIPIENT_LIMIT:
        raise FieldError("personalizations", "There is a limit of 1000 personalizations.")
    if not is_address(mail.from_.email):
        raise FieldError("from.email", "The from email does not contain a valid address.")
    if mail.template_id is None:
        _check_own_text(mail)
    seen: set[str] = set()
    for index, personalization in enumerate(mail.personalizations):
        _check_recipients(f"personalizations.{index}", personalization, seen)
    if len(seen) > _RECIPIENT_LIMIT:
        raise FieldError("personalizations", "There is a limit of 1000 recipients.")


def _check_own_text(mail: Mail) -> None:
    if not mail.subject and not all(each.subject for each in mail.personalizations):
        raise FieldError("subject", "The subject is required.")
    if not mail.content:
        raise FieldError("content", "Unless a valid template_id is provided, the content parameter is required.")
    for index, part in enumerate(mail.content):
        if not part.value:
            raise FieldError(
                f"content.{index}.value", "The content value must be a string at least one character long."
            )


def _check_recipients(path: str, mail: Personalization, seen: set[str]) -> None:
    if not mail.to:
        raise FieldError(f"{path}.to", "The to array is required for all personalization objects.")
    for address in mail.recipients:
        key = address.email.lower()
        if not is_address(address.email):
            raise FieldError(f"{path}.to.0.email", "Does not contain a valid address.")
        if key in seen and any(key == each.email.lower() for each in mail.recipients if each is not address):
            raise FieldError(path, "Each email address in the personalization block should be unique.")
        seen.add(key)


def is_address(text: str) -> bool:
    """Whether `text` looks like an address to a mail service."""
    local, at, domain = text.rpartition("@")
    return bool(at and local and domain and len(text) <= 320 and not any(c <= " " for c in text))
