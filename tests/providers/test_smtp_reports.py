"""Bounces and complaints, as relays write them."""

import pytest

from bellhouse.domain.ids import to_text
from bellhouse.ports.provider import CallbackRefused, News
from bellhouse.providers.smtp.callback import SmtpReports
from bellhouse.providers.smtp.config import SmtpConfig

from .scripted import DELIVERY, NOW, callback

CONFIG = SmtpConfig("h", "bell@example.com", "bell.example", dsn_secret="pipe")
HEX, TEXT = DELIVERY.hex(), to_text(DELIVERY)


def report(
    *,
    to: str = "bounce@bell.example",
    per_message: str = "",
    recipient: str = "Action: failed\nStatus: 5.1.1\n",
    returned: str = "Subject: x\n",
    kind: str = "delivery-status",
) -> bytes:
    """A report in the shape of RFC 3464, section 6, as Postfix writes it."""
    text = f"""\
Return-Path: <>
Date: Wed, 18 Nov 2026 10:00:00 +0000
From: MAILER-DAEMON@relay.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind};
 boundary="9B095B5ADSN"

This is a MIME-encapsulated message.

--9B095B5ADSN
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you.

--9B095B5ADSN
Content-Type: message/{kind}

Reporting-MTA: dns; relay.example
{per_message}
Final-Recipient: rfc822; zoe@example.com
{recipient}Diagnostic-Code: smtp; 550 5.1.1 <zoe@example.com>:
 Recipient address rejected

--9B095B5ADSN
Content-Type: text/rfc822-headers

{returned}
--9B095B5ADSN--
"""
    return text.replace("\n", "\r\n").encode()


def news_of(body: bytes) -> list[News]:
    return SmtpReports(CONFIG).read(callback(body, authorization="Bearer pipe", content_type="message/rfc822"))


@pytest.mark.parametrize(
    ("body", "attempt"),
    [
        (report(per_message=f"Original-Envelope-Id: {HEX}-3\n"), 3),
        (report(returned=f"Message-ID: <{TEXT}@bell.example>\nX-Bellhouse-Attempt: 2\n"), 2),
        (report(returned=f"Message-ID: <{TEXT}@bell.example>\n"), 1),
        (report(to=f"bounce+{HEX}@bell.example", returned="X-Bellhouse-Attempt: 4\n"), 4),
        (report(to=f"Bell <BOUNCE+{HEX.upper()}@bell.example>"), 1),
    ],
)
def test_a_bounce_is_matched_by_envelope_id_message_id_or_bounce_address(body: bytes, attempt: int) -> None:
    (news,) = news_of(body)
    assert (news.delivery_id, news.attempt, news.kind, news.effect) == (DELIVERY, attempt, "failed", "suppress")
    assert (news.code, news.address, news.at) == ("5.1.1", "zoe@example.com", NOW)
    assert news.reason == "smtp; 550 5.1.1 <zoe@example.com>: Recipient address rejected"


OURS = f"Original-Envelope-Id: {HEX}-1\n"


@pytest.mark.parametrize(
    ("action", "status", "kind", "effect"),
    [
        ("failed", "5.1.1", "failed", "suppress"),
        ("failed", "5.2.2", "failed", "none"),
        ("failed", "4.4.7", "failed", "none"),
        ("Failed", "5.1.10 (null MX)", "failed", "suppress"),
        ("delivered", "2.0.0", "delivered", "none"),
        ("expanded", "2.0.0", "delivered", "none"),
        ("relayed", "2.0.0", "accepted", "none"),
    ],
)
def test_each_action_has_its_meaning(action: str, status: str, kind: str, effect: str) -> None:
    (news,) = news_of(report(per_message=OURS, recipient=f"Action: {action}\nStatus: {status}\n"))
    assert (news.kind, news.effect) == (kind, effect)


def test_a_delay_is_no_news() -> None:
    assert news_of(report(per_message=OURS, recipient="Action: delayed\nStatus: 4.4.1\n")) == []


def test_a_repeated_report_is_the_same_news() -> None:
    one, other = news_of(report(per_message=OURS)), news_of(report(per_message=OURS))
    assert one[0].event_id == other[0].event_id


def test_a_complaint_suppresses_and_leaves_the_state_alone() -> None:
    body = report(kind="feedback-report", returned=f"Message-ID: <{TEXT}@bell.example>\n")
    (news,) = news_of(body)
    assert (news.delivery_id, news.kind, news.effect, news.reason) == (DELIVERY, None, "suppress", "complaint")


@pytest.mark.parametrize(
    "body",
    [
        report(),
        report(returned="Message-ID: <someone-else@example.com>\n"),
        f"To: bounce+{HEX}@bell.example\r\nAuto-Submitted: auto-replied\r\n\r\nI am on holiday.\r\n".encode(),
        b"",
        b"\xff\x00",
    ],
)
def test_other_mail_at_the_bounce_address_is_no_news(body: bytes) -> None:
    assert news_of(body) == []


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "pipe", "Bearer pipe "])
def test_without_the_secret_nothing_is_read(given: str) -> None:
    with pytest.raises(CallbackRefused):
        SmtpReports(CONFIG).read(callback(report(per_message=OURS), authorization=given))


def test_a_report_without_end_is_refused() -> None:
    with pytest.raises(CallbackRefused):
        news_of(b"x" * (2 << 20))


def test_bounces_are_not_read_without_a_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        SmtpReports(SmtpConfig("h", "bell@example.com", "bell.example"))
