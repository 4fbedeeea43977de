"""Sending by SendGrid v3 mail/send: one call per mail, since each one's body is rendered for its reader."""

from collections.abc import Sequence

import msgspec

from bellhouse.domain.attempt import Permanent
from bellhouse.domain.content import EmailContent
from bellhouse.domain.ids import notification_of, to_text
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Message, Report, Request, Sheet, Transport, Trial
from bellhouse.providers.addresses import is_email
from bellhouse.providers.calls import send_each, try_call
from bellhouse.providers.sendgrid.config import SendGridConfig
from bellhouse.providers.sendgrid.errors import verdict_of

LARGEST_MAIL = 20_000_000
"""Bytes; 30 MB are refused, 20 advised."""
LONGEST_SUBJECT = 900
"""Characters; a header line ends at 998 (RFC 5322, 2.1.1)."""
UNSUBSCRIBE = "list_unsubscribe"
"""The key of Message.data whose value becomes the header List-Unsubscribe (RFC 8058 with its one-click header)."""
_ONE_CLICK = "List-Unsubscribe=One-Click"


class _Address(msgspec.Struct, omit_defaults=True, gc=False):
    email: str
    name: str = ""


class _Part(msgspec.Struct, gc=False):
    type: str
    value: str


class _Personalization(msgspec.Struct, omit_defaults=True, gc=False):
    to: list[_Address]
    custom_args: dict[str, str]
    headers: dict[str, str] = {}


class _Switch(msgspec.Struct, gc=False):
    enable: bool


class _Settings(msgspec.Struct, gc=False):
    sandbox_mode: _Switch


class _Mail(msgspec.Struct, omit_defaults=True, gc=False):
    personalizations: list[_Personalization]
    sender: _Address = msgspec.field(name="from")
    subject: str
    content: list[_Part]
    reply_to: _Address | None = None
    mail_settings: _Settings | None = None


_encode = msgspec.json.Encoder().encode


class SendGridProvider:
    """One API key."""

    def __init__(self, config: SendGridConfig, transport: Transport, clock: Clock) -> None:
        """`transport` reaches SendGrid's API and is closed by `stop`."""
        self._sheet = config.sheet()
        self._transport = transport
        self._clock = clock
        self._headers = {"authorization": f"Bearer {config.api_key}", "content-type": "application/json"}
        self._from = _Address(config.from_email, config.from_name)
        self._reply_to = _Address(config.reply_to) if config.reply_to else None
        self._settings = _Settings(_Switch(True)) if config.sandbox else None

    @property
    def sheet(self) -> Sheet:
        return self._sheet

    def check(self, message: Message) -> Permanent | None:
        """One address, a subject of one line, a text, and not more than 20 MB."""
        content = message.content
        if not isinstance(content, EmailContent):
            return Permanent("SendGrid takes email content only", "wrong_content")
        if not is_email(message.address):
            return Permanent("not an email address", "bad_address")
        if not 0 < len(content.subject) <= LONGEST_SUBJECT or not content.text:
            return Permanent("a mail needs a subject of at most 900 characters, and a text", "bad_content")
        if not content.subject.isprintable():
            return Permanent("the subject holds a line break or control character", "bad_content")
        if len(content.text) + len(content.html or "") > LARGEST_MAIL:
            return Permanent(f"the mail has more than {LARGEST_MAIL} bytes", "too_large")
        return None

    async def send(self, batch: Sequence[Message], report: Report) -> None:
        """One call per message, all of the batch at once."""
        now = self._clock.now
        await send_each(
            self._transport,
            batch,
            self._request,
            lambda exchange: verdict_of(exchange, now()),
            report,
            self._sheet.timeout_s,
        )

    async def try_out(self) -> Sequence[Trial]:
        """A mail to our own sender's address in the sandbox, which validates it and sends nothing."""
        mail = _Mail(
            personalizations=[_Personalization([_Address(self._from.email)], {})],
            sender=self._from,
            subject="Test",
            content=[_Part("text/plain", "Test")],
            mail_settings=_Settings(_Switch(True)),
        )
        request = Request("POST", "/v3/mail/send", self._headers, _encode(mail))
        answer, seconds = await try_call(self._transport, request, self._sheet.timeout_s)
        return [Trial("dry_call", verdict_of(answer, self._clock.now()), seconds)]

    async def start(self) -> None:
        """Nothing to prepare: the key is in every call."""

    async def stop(self) -> None:
        await self._transport.close()

    def _request(self, message: Message) -> Request | Permanent:
        content = message.content
        if not isinstance(content, EmailContent):
            return Permanent("SendGrid takes email content only", "wrong_content")
        parts = [_Part("text/plain", content.text)]  # the plain part must stand first
        if content.html is not None:
            parts.append(_Part("text/html", content.html))
        mail = _Mail(
            personalizations=[_personalization(message)],
            sender=self._from,
            subject=content.subject,
            content=parts,
            reply_to=self._reply_to,
            mail_settings=self._settings,
        )
        try:
            return Request("POST", "/v3/mail/send", self._headers, _encode(mail))
        except UnicodeEncodeError:
            return Permanent("a text holds a lone surrogate", "not_text")


def _personalization(message: Message) -> _Personalization:
    ours = {
        "delivery_id": to_text(message.delivery_id),
        "notification_id": to_text(notification_of(message.delivery_id)),
        "attempt": str(message.attempt),
    }
    unsubscribe = message.data.get(UNSUBSCRIBE)
    if unsubscribe is None:
        return _Personalization([_Address(message.address)], ours)
    headers = {"List-Unsubscribe": unsubscribe, "List-Unsubscribe-Post": _ONE_CLICK}
    return _Personalization([_Address(message.address)], ours, headers)
