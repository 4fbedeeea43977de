"""A submission relay: who may send, what is refused at which command, and the bounces that follow."""

import re
import secrets
from base64 import b64decode
from functools import partial

from bellhouse.simulator.callbacks import STUBBORN, Done, Letter, Office, Step
from bellhouse.simulator.clock import now_ms
from bellhouse.simulator.credentials import Secrets
from bellhouse.simulator.desk import Desk
from bellhouse.simulator.dials import SmtpDials
from bellhouse.simulator.dsn import (
    BLOCKED,
    DELAYED,
    DELIVERED,
    EXPIRED,
    FAILED,
    FULL,
    Envelope,
    Outcome,
    feedback_report,
    status_report,
)
from bellhouse.simulator.ids import Entry, notification_of, number, raw_id
from bellhouse.simulator.receipts import Verdict
from bellhouse.simulator.wire import Exchange, Reply, ReplyHead

SIZE_LIMIT = 30 * 1024 * 1024
_GREYLIST_SIZE = 100_000
_HEAD_LIMIT = 16_384
# An SMTP reply travels in `Reply.body`; there is no head.
_NO_HEAD = ReplyHead(200)

# Reply and verdict of each scripted refusal; the name begins with the command that meets it.
ERRORS: dict[str, tuple[str, Verdict]] = {
    "greeting_421": ("421 4.3.2 Service not available, closing transmission channel", "retry"),
    "greeting_554": ("554 5.7.1 No SMTP service here for you", "permanent"),
    "auth_454": ("454 4.7.0 Temporary authentication failure", "retry"),
    "auth_535": ("535 5.7.8 Authentication credentials invalid", "permanent"),
    "mail_421": ("421 4.7.0 Try again later, closing connection", "retry"),
    "mail_451": ("451 4.3.0 Requested action aborted: local error in processing", "retry"),
    "mail_452": ("452 4.3.1 Insufficient system storage", "retry"),
    "mail_454": ("454 4.7.0 Throttling failure: Maximum sending rate exceeded.", "throttled"),
    "mail_550": ("550 5.7.1 Sender address not verified", "permanent"),
    "rcpt_450": ("450 4.2.0 Mailbox unavailable", "retry"),
    "rcpt_451": ("451 4.3.0 Requested action aborted: local error in processing", "retry"),
    "rcpt_452": ("452 4.2.2 Mailbox full", "retry"),
    "rcpt_550": ("550 5.1.1 Recipient address rejected: user unknown", "token_invalid"),
    "rcpt_552": ("552 5.2.2 Mailbox full", "retry"),
    "rcpt_554": ("554 5.7.1 Recipient address rejected: access denied", "permanent"),
    "data_451": ("451 4.3.0 Requested action aborted: local error in processing", "retry"),
    "dot_421": ("421 4.3.2 Service shutting down, closing transmission channel", "retry"),
    "dot_451": ("451 4.3.0 Requested action aborted: local error in processing", "retry"),
    "dot_452": ("452 4.3.1 Insufficient system storage", "retry"),
    "dot_550": ("550 5.7.1 Message content rejected", "permanent"),
    "dot_552": ("552 5.3.4 Message too big for system", "permanent"),
    "dot_554": ("554 5.6.0 Transaction failed", "permanent"),
}
THROTTLED = ERRORS["mail_454"]
UNAVAILABLE = ERRORS["greeting_421"]
TOO_MANY = ("421 4.7.0 Too many messages on this connection", "retry")
GREYLISTED: tuple[str, Verdict] = ("451 4.7.1 Greylisted, please try again later", "retry")

_FATES: dict[str, tuple[Outcome, ...]] = {
    "bounce": (FAILED,),
    "mailbox_full": (FULL,),
    "blocked": (BLOCKED,),
    "delayed": (DELAYED,),
    "delayed_bounce": (DELAYED, EXPIRED),
    "delivered": (DELIVERED,),
}
FAILURES = (*_FATES, "complaint")

_VERP = re.compile(r"^[^@+]*\+([0-9a-fA-F]{32})@")
_MESSAGE_ID = re.compile(rb"(?im)^message-id:\s*<([0-9a-f-]{36})@")
_ATTEMPT = re.compile(rb"(?im)^x-bellhouse-attempt:[ \t]*(\d{1,6})[ \t]*\r?$")


class Mail:
    """One mail transaction, from MAIL FROM to the final dot."""

    __slots__ = ("delivery", "envelope_id", "error", "recipients", "sender")

    def __init__(self, sender: str, envelope_id: str, error: str | None) -> None:
        match = _VERP.match(sender)
        self.sender = sender
        self.envelope_id = envelope_id
        self.error = error
        self.delivery = raw_id(match[1]) if match else b""
        self.recipients: list[str] = []

    def entry(self, to: str, attempt: int = 0) -> Entry:
        """The receipt's view of one recipient."""
        return Entry(self.delivery, notification_of(self.delivery), attempt, to)


class Relay:
    """The counter of SMTP."""

    def __init__(self, desk: Desk, office: Office, known: Secrets) -> None:
        self.desk = desk
        self._office = office
        self._user = known.smtp_username.encode()
        self._password = known.smtp_password.encode()
        self._bearer = known.smtp_dsn_secret.encode()
        self.reset()

    def reset(self) -> None:
        """Forget whom the greylist has seen."""
        self._first_seen: dict[str, int] = {}

    @property
    def dials(self) -> SmtpDials:
        """The dials as they stand."""
        dials = self.desk.dials
        assert isinstance(dials, SmtpDials)
        return dials

    def error_at(self, command: str) -> tuple[str, Verdict] | None:
        """A refusal by the dice for a command that comes once per connection."""
        name = self.desk.error()
        return ERRORS[name] if name is not None and name.startswith(command) else None

    def login(self, given: bytes) -> bool:
        """Whether the base64 of `authzid NUL user NUL password` (RFC 4616) is right."""
        try:
            parts = b64decode(given).split(b"\0")
        except ValueError:
            return False
        return len(parts) == 3 and self.password_is(parts[1], parts[2])

    def password_is(self, user: bytes, password: bytes) -> bool:
        """Whether user and password are right."""
        return user == self._user and password == self._password

    def begin(self, sender: str, envelope_id: str) -> tuple[Mail, tuple[str, Verdict] | None]:
        """A new mail, and why MAIL FROM is refused, if it is."""
        desk = self.desk
        mail = Mail(sender, envelope_id, desk.error())
        refusal = self._refusal(mail)
        if refusal is not None:
            desk.note(now_ms(), refusal[1], mail.entry(""))
        return mail, refusal

    def _refusal(self, mail: Mail) -> tuple[str, Verdict] | None:
        if not self.desk.admits():
            return THROTTLED
        if mail.error is not None and mail.error.startswith("mail_"):
            return ERRORS[mail.error]
        return None

    def refuse_mail(self, mail: Mail, verdict: Verdict) -> None:
        """Keep the receipt of a mail that was refused before its recipient was known."""
        self.desk.note(now_ms(), verdict, mail.entry(""))

    def recipient(self, mail: Mail, to: str) -> str | None:
        """Why RCPT TO is refused; None once it is taken."""
        refusal = self._bad_recipient(mail, to)
        if refusal is None:
            mail.recipients.append(to)
            return None
        self.desk.note(now_ms(), refusal[1], mail.entry(to))
        return refusal[0]

    def _bad_recipient(self, mail: Mail, to: str) -> tuple[str, Verdict] | None:
        if self.desk.is_dead(to):
            return ERRORS["rcpt_550"]
        if mail.error is not None and mail.error.startswith("rcpt_"):
            return ERRORS[mail.error]
        wait = self.dials.greylist_ms
        return GREYLISTED if wait and self._too_early(to, wait) else None

    def _too_early(self, to: str, wait: float) -> bool:
        if len(self._first_seen) >= _GREYLIST_SIZE:
            del self._first_seen[next(iter(self._first_seen))]
        now = now_ms()
        return now - self._first_seen.setdefault(to, now) < wait

    def data(self, mail: Mail) -> str | None:
        """Why DATA is refused; None to go on."""
        if mail.error is None or not mail.error.startswith("data_"):
            return None
        text, verdict = ERRORS[mail.error]
        for to in mail.recipients:
            self.desk.note(now_ms(), verdict, mail.entry(to))
        return text

    def finish(self, mail: Mail, message: bytes, exchange: Exchange) -> None:
        """Judge the mail after its final dot; the reply goes to `exchange` after the dial's latency."""
        head = message[: message.find(b"\r\n\r\n") + 2][:_HEAD_LIMIT]
        entries = self._entries(mail, head)
        queue_id = secrets.token_hex(6).upper()
        error = "dot_552" if len(message) > SIZE_LIMIT else mail.error
        if error is not None and error.startswith("dot_"):
            text, verdict = ERRORS[error]
            self.desk.settle(exchange, smtp_reply(text), verdict, entries)
            return
        news = partial(self._news, mail, head, queue_id)
        self.desk.settle(exchange, smtp_reply(f"250 2.0.0 Ok: queued as {queue_id}"), "accepted", entries, news)

    def _entries(self, mail: Mail, head: bytes) -> list[Entry]:
        if not mail.delivery and (match := _MESSAGE_ID.search(head)):
            mail.delivery = raw_id(match[1].decode())
        found = _ATTEMPT.search(head)
        attempt = number(found[1].decode()) if found else 0
        return [mail.entry(to, attempt) for to in mail.recipients]

    def _news(self, mail: Mail, head: bytes, queue_id: str) -> None:
        if not mail.sender:
            return  # nobody to tell: the mail is itself a report
        for to in mail.recipients:
            fate = self.desk.failure()
            if fate is None:
                continue
            known = Envelope(
                sender=mail.sender, recipient=to, envelope_id=mail.envelope_id, queue_id=queue_id, head=head
            )
            steps: list[Step] = [partial(self._report, known, outcome) for outcome in _FATES.get(fate, (None,))]
            self._office.follow(self.desk, steps)

    def _report(self, mail: Envelope, outcome: Outcome | None, done: Done) -> None:
        target = self._office.account_target("smtp")
        if target is None:
            done()
            return
        body = feedback_report(mail) if outcome is None else status_report(mail, outcome)
        fields = b"content-type: message/rfc822\r\nauthorization: Bearer %b\r\n" % self._bearer
        self._office.mail(Letter(self.desk, target, fields, body, STUBBORN), done)


def smtp_reply(text: str) -> Reply:
    """A reply line as what a desk hands back."""
    return Reply(_NO_HEAD, text.encode() + b"\r\n")
