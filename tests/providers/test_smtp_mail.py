"""The mail as it stands on the wire, read back by the standard library's parser."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.domain.attempt import Permanent
from bellhouse.domain.content import EmailContent
from bellhouse.domain.ids import to_text
from bellhouse.ports.provider import Message
from bellhouse.providers.smtp.config import SmtpConfig
from bellhouse.providers.smtp.mime import Mail, header_text, mail_writer, refusal, wire_address

from .scripted import DELIVERY, NOW, mail, push

CONFIG = SmtpConfig("h", "bell@example.com", "bell.example", from_name="Bell", reply_to="help@example.com")
write = mail_writer(CONFIG)


def written(message: Message) -> Mail:
    made = write(message, NOW // 1000)
    assert isinstance(made, Mail)
    return made


def read(message: Message) -> EmailMessage:
    """What a mailbox would read, after the relay has taken the dots out."""
    data = written(message).data
    assert data.endswith(b"\r\n.\r\n")
    undotted = data[:-3].replace(b"\r\n..", b"\r\n.")
    parsed = message_from_bytes(undotted, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def content(subject: str = "s", text: str = "t", html: str | None = None) -> EmailContent:
    return EmailContent(subject, text, html)


def parts_of(parsed: EmailMessage) -> list[str]:
    leaves = [part for part in parsed.walk() if not part.is_multipart()]
    return [bytes(part.get_payload(decode=True) or b"").decode() for part in leaves]


def test_the_headers_are_ours() -> None:
    parsed = read(mail(attempt=2, data={"list_unsubscribe": "<https://bell.example/u/1>, <mailto:u@bell.example>"}))
    assert parsed["From"] == '"Bell" <bell@example.com>' or parsed["From"] == "Bell <bell@example.com>"
    assert parsed["Reply-To"] == "help@example.com"
    assert parsed["To"] == "zoe@example.com"
    assert parsed["Subject"] == "Your order"
    assert parsed["Message-ID"] == f"<{to_text(DELIVERY)}@bell.example>"
    assert parsed["X-Bellhouse-Attempt"] == "2"
    assert parsed["Date"].datetime.timestamp() == NOW // 1000
    assert parsed["List-Unsubscribe"] == "<https://bell.example/u/1>, <mailto:u@bell.example>"
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_text_and_html_are_alternatives_with_the_text_first() -> None:
    parsed = read(mail())
    assert parsed.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
    assert parts_of(parsed) == ["It is on its way.\r\n", "<p>It is on its way.</p>\r\n"]


def test_text_alone_needs_no_frame() -> None:
    parsed = read(mail(content=content()))
    assert (parsed.get_content_type(), parts_of(parsed)) == ("text/plain", ["t\r\n"])


def test_the_message_id_and_the_bounce_address_are_the_same_on_every_attempt() -> None:
    first, second = written(mail()), written(mail(attempt=2))
    assert first.sender == second.sender == f"bounce+{DELIVERY.hex()}@bell.example"
    assert (first.envelope_id, second.envelope_id) == (f"{DELIVERY.hex()}-1", f"{DELIVERY.hex()}-2")
    assert read(mail())["Message-ID"] == read(mail(attempt=2))["Message-ID"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.text("a.\r\n=é ", max_size=200)


def normal(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    return lines if lines.endswith("\r\n") else lines + "\r\n"


@given(TEXT, st.none() | TEXT)
def test_any_text_arrives_as_it_was_and_no_line_is_too_long(text: str, html: str | None) -> None:
    message = mail(content=content(text=text, html=html))
    assert parts_of(read(message)) == [normal(part) for part in (text, html) if part is not None]
    for line in written(message).data.split(b"\r\n"):
        assert len(line) <= 999
        assert b"\n" not in line
        assert b"\r" not in line
        assert line.isascii()


@given(st.text(max_size=300))
def test_no_subject_ends_its_line_or_is_lost(subject: str) -> None:
    encoded = header_text(subject)
    lines = b"Subject: ".join([b"", encoded]).split(b"\r\n")
    assert all(len(line) <= 998 for line in lines)
    assert all(line.startswith(b" ") for line in lines[1:])
    parsed = message_from_bytes(b"Subject: " + encoded + b"\r\nX: y\r\n\r\n", policy=policy.compat32)
    assert parsed["X"] == "y"
    assert len(parsed.keys()) == 2


@pytest.mark.parametrize("subject", ["Zoë", "naïve " * 40, "日本語" * 60, "=?utf-8?q?a?=", "🎂 " * 90, "x" * 900])
def test_a_subject_is_read_back_whole(subject: str) -> None:
    assert (
        read(mail(content=content(subject)))["Subject"] == subject.strip()
        or read(mail(content=content(subject)))["Subject"] == subject
    )


def test_encoded_words_stay_within_75_characters() -> None:
    for word in header_text("日本語" * 60).split(b"\r\n "):
        assert len(word) <= 75


@given(st.text(max_size=60))
def test_no_unsubscribe_value_adds_a_header_of_its_own(value: str) -> None:
    parsed = read(mail(content=content(), data={"list_unsubscribe": value}))
    assert set(parsed.keys()) - {"List-Unsubscribe", "List-Unsubscribe-Post"} == set(
        read(mail(content=content())).keys()
    )


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_address_adds_a_line(local: str, domain: str) -> None:
    made = write(mail(f"{local}@{domain}"), 0)
    if isinstance(made, Mail):
        assert made.recipient.isascii()
        assert not set(made.recipient) & set("\r\n <>")


def test_a_text_with_our_boundary_cannot_break_the_frame() -> None:
    boundary = read(mail()).get_boundary()
    evil = f"x\r\n--{boundary}\r\nContent-Type: text/html\r\n\r\n<b>evil</b>\r\n--{boundary}--\r\n"
    parsed = read(mail(content=content(text=evil, html="<p>fine</p>")))
    assert len(list(parsed.iter_parts())) == 2
    assert parts_of(parsed)[0] == evil


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n", "7bit"),
        ("naïve text, mostly plain\n", "quoted-printable"),
        ("日本語\n", "base64"),
        ("x" * 999, "quoted-printable"),
    ],
)
def test_the_encoding_is_the_cheapest_that_any_relay_carries(text: str, encoding: str) -> None:
    assert read(mail(content=content(text=text)))["Content-Transfer-Encoding"] == encoding


def test_an_international_domain_is_written_in_punycode() -> None:
    assert wire_address("zoe@münchen.example") == "zoe@xn--mnchen-3ya.example"
    assert wire_address("zoë@example.com") is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (push(), "wrong_content"),
        (mail("zoë@example.com"), "bad_address"),
        (mail("nobody"), "bad_address"),
        (mail(content=content("")), "bad_content"),
        (mail(content=content("a\nb")), "bad_content"),
        (mail(content=content("x" * 901)), "bad_content"),
        (mail(content=content(text="")), "bad_content"),
    ],
)
def test_what_could_never_be_a_mail_is_known_before(message: Any, code: str) -> None:
    refused = refusal(message)
    assert refused is not None
    assert refused.code == code
    assert refusal(mail()) is None


def test_what_cannot_be_written_is_refused() -> None:
    for message in (push(), mail("a@b\r\nX: y"), mail(content=content("\ud800")), mail(content=content(text="\ud800"))):
        assert isinstance(write(message, 0), Permanent)


def test_a_sender_that_is_no_address_is_an_error_at_once() -> None:
    for field in ("from_email", "reply_to"):
        with pytest.raises(ValueError, match="not an email address"):
            mail_writer(msgspec.structs.replace(CONFIG, **{field: "a@b\r\nX: y"}))


@given(st.text(max_size=80))
def test_any_display_name_is_one_header(name: str) -> None:
    made = mail_writer(msgspec.structs.replace(CONFIG, from_name=name))(mail(), 0)
    assert isinstance(made, Mail)
    head = message_from_bytes(made.data, policy=policy.compat32)
    assert head.keys()[:3] == ["From", "Reply-To", "MIME-Version"]
    assert "bell@example.com" in str(head["From"])
