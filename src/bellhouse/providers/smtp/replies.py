"""SMTP replies read into verdicts: the table of moments, codes and enhanced codes (RFC 5321, RFC 3463)."""

import re
from typing import Final

import msgspec

from bellhouse.domain.attempt import (
    Accepted,
    AccountFault,
    Permanent,
    Retry,
    Throttled,
    TokenInvalid,
    Verdict,
)
from bellhouse.providers import rules

GREYLIST_WAIT_MS = 300_000
THROTTLE_WAIT_MS = 60_000
_DAILY_WAIT_MS = 600_000
DEAD_MAILBOX: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
"""Enhanced codes that end an address: no such mailbox, domain or syntax, moved, null MX, disabled."""
_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
_OUR_REPUTATION = re.compile(
    r"blocked|blacklist|blocklist|spamhaus|reputation|not verified|access denied", re.IGNORECASE
)


class Reply(msgspec.Struct, frozen=True, gc=False):
    """One reply: its code and all its lines' text, joined by line feeds."""

    code: int
    text: str

    @property
    def ok(self) -> bool:
        return 200 <= self.code < 300

    @property
    def unlawful(self) -> bool:
        """Whether it is a 3xx where none can follow."""
        return 300 <= self.code < 400

    @property
    def transient(self) -> bool:
        return 400 <= self.code < 500

    @property
    def enhanced(self) -> str:
        """The enhanced status code, or empty; one whose class is not the code's is none."""
        found = _ENHANCED.match(self.text)
        return found.group(1) if found is not None and found.group(1)[0] == str(self.code)[0] else ""

    @property
    def word(self) -> str:
        """The code as on the wire, with the enhanced one."""
        return f"{self.code} {self.enhanced}".rstrip()


def at_connect(reply: Reply) -> Retry | AccountFault:
    """A greeting, EHLO, STARTTLS or AUTH that is not the expected one: nothing was sent."""
    if 500 <= reply.code < 600:
        return AccountFault(_reason(reply), reply.word)
    return Retry(_reason(reply), reply.word)


def at_mail(reply: Reply) -> Verdict:
    """MAIL FROM was refused: 552 is about the size, every other 5xx about our sender."""
    if reply.transient:
        return _transient(reply)
    if reply.code == 552:
        return Permanent(_reason(reply), reply.word)
    return AccountFault(_reason(reply), reply.word)


def at_rcpt(reply: Reply) -> Verdict:
    """RCPT TO was refused. A full mailbox is full for now, whatever the code says."""
    if reply.transient:
        return _transient(reply)
    if reply.code == 552 or reply.enhanced == "5.2.2":
        return Retry(_reason(reply), reply.word, rules.jittered(GREYLIST_WAIT_MS))
    if reply.enhanced in DEAD_MAILBOX:
        return TokenInvalid(_reason(reply), reply.word)
    return _refused(reply)


def at_data(reply: Reply) -> Verdict:
    """DATA was refused; nothing of the mail was sent."""
    return _transient(reply) if reply.transient else _refused(reply)


def at_dot(reply: Reply) -> Verdict:
    """What follows the final dot. 4xx is definite: the server must not deliver (RFC 5321, 4.2.5)."""
    if reply.ok:
        return Accepted(message_id=_reason(reply) or None, code=str(reply.code))
    if reply.transient:
        return _transient(reply)
    return _refused(reply)


def _refused(reply: Reply) -> Verdict:
    """A 5xx: our own reputation where it says so, else this mail or this recipient."""
    if _OUR_REPUTATION.search(reply.text):
        return AccountFault(_reason(reply), reply.word)
    return Permanent(_reason(reply), reply.word)


def _transient(reply: Reply) -> Verdict:
    enhanced = reply.enhanced
    if reply.code == 454 and "throttling" in reply.text.lower():
        daily = "daily" in reply.text.lower()
        return Throttled(rules.jittered(_DAILY_WAIT_MS if daily else 1000), reply.word)
    if reply.code == 421 and enhanced.startswith("4.7."):
        # A mailbox provider's rate: it holds for that domain, not for the relay.
        return Throttled(rules.jittered(THROTTLE_WAIT_MS), reply.word, "contact")
    if reply.code == 450 or enhanced.startswith("4.7."):
        return Retry(_reason(reply), reply.word, rules.jittered(GREYLIST_WAIT_MS))
    return Retry(_reason(reply), reply.word)


def _reason(reply: Reply) -> str:
    return reply.text.replace("\n", " ").strip()[:300]
