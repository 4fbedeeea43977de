"""Delivery status notifications and feedback reports, as an MTA hands them to whoever owns the return path."""

import secrets

from msgspec import Struct

from bellhouse.simulator.clock import now_ms, rfc2822

REPORTING_MTA = "relay.simulator.invalid"


class Envelope(Struct, frozen=True, kw_only=True):
    """What a report needs to know of the mail; `head` is its header section."""

    sender: str
    recipient: str
    envelope_id: str
    queue_id: str
    head: bytes


class Outcome(Struct, frozen=True):
    """One recipient's fate (RFC 3464): action, enhanced status, the remote server's words."""

    action: str
    status: str
    diagnostic: str


FAILED = Outcome("failed", "5.1.1", "550 5.1.1 The email account that you tried to reach does not exist")
FULL = Outcome("failed", "5.2.2", "552 5.2.2 Mailbox full")
BLOCKED = Outcome("failed", "5.7.1", "550 5.7.1 Message refused by policy")
EXPIRED = Outcome("failed", "4.4.7", "451 4.4.1 No answer from host; delivery time expired")
DELAYED = Outcome("delayed", "4.4.1", "451 4.4.1 No answer from host")
DELIVERED = Outcome("delivered", "2.0.0", "250 2.0.0 OK")


def status_report(mail: Envelope, outcome: Outcome) -> bytes:
    """A `multipart/report; report-type=delivery-status` message (RFC 3461, RFC 3464)."""
    machine = [
        f"Reporting-MTA: dns; {REPORTING_MTA}",
        *([f"Original-Envelope-Id: {mail.envelope_id}"] if mail.envelope_id else []),
        f"X-Queue-Id: {mail.queue_id}",
        "",
        f"Original-Recipient: rfc822;{mail.recipient}",
        f"Final-Recipient: rfc822; {mail.recipient}",
        f"Action: {outcome.action}",
        f"Status: {outcome.status}",
        f"Diagnostic-Code: smtp; {outcome.diagnostic}",
        f"Last-Attempt-Date: {rfc2822(now_ms())}",
    ]
    text = f"Your message to {mail.recipient}: {outcome.action} ({outcome.diagnostic})"
    subject = "Delivery Status Notification"
    return _report(mail, subject, "delivery-status", text, "message/delivery-status", machine)


def feedback_report(mail: Envelope) -> bytes:
    """A complaint: `multipart/report; report-type=feedback-report` (RFC 5965)."""
    machine = [
        "Feedback-Type: abuse",
        "User-Agent: simulator/1",
        "Version: 1",
        f"Original-Mail-From: <{mail.sender}>",
        f"Original-Rcpt-To: <{mail.recipient}>",
        f"Arrival-Date: {rfc2822(now_ms())}",
    ]
    text = f"The recipient {mail.recipient} reported this message as unwanted."
    return _report(mail, "Complaint", "feedback-report", text, "message/feedback-report", machine)


def _report(mail: Envelope, subject: str, kind: str, text: str, machine_type: str, machine: list[str]) -> bytes:
    edge = f"=_{secrets.token_hex(12)}"
    lines = [
        "Return-Path: <>",
        f"From: Mail Delivery System <MAILER-DAEMON@{REPORTING_MTA}>",
        f"To: <{mail.sender}>",
        f"Subject: {subject}",
        f"Date: {rfc2822(now_ms())}",
        f"Message-ID: <{secrets.token_hex(12)}@{REPORTING_MTA}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type={kind}; boundary="{edge}"',
        "",
        f"--{edge}",
        "Content-Type: text/plain; charset=utf-8",
        "",
        text,
        "",
        f"--{edge}",
        f"Content-Type: {machine_type}",
        "",
        *machine,
        "",
        f"--{edge}",
        "Content-Type: text/rfc822-headers",
        "",
    ]
    return "\r\n".join(lines).encode() + b"\r\n" + mail.head + f"\r\n--{edge}--\r\n".encode()
