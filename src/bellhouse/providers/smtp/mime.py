"""A delivery as a mail: envelope and bytes ready for the wire, from pieces that are the same for every mail."""

import base64
import binascii
import re
import secrets
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache

import msgspec

from bellhouse.domain.attempt import Permanent
from bellhouse.domain.content import EmailContent
from bellhouse.domain.ids import to_text
from bellhouse.ports.provider import Message
from bellhouse.providers.addresses import is_email
from bellhouse.providers.smtp.config import SmtpConfig

UNSUBSCRIBE = "list_unsubscribe"
"""The key of Message.data whose value becomes the header List-Unsubscribe (RFC 8058 with its one-click header)."""
LONGEST_SUBJECT = 900
_LONGEST_LINE = 998
"""RFC 5322, 2.1.1, without the line's end."""
_WORD_BYTES = 45
"""So many bytes fill an encoded word of at most 75 characters in base64 (RFC 2047, 2)."""
_WRAP = 76
_ALTERNATIVE = b'%bContent-Type: multipart/alternative;\r\n boundary="%b"\r\n\r\n--%b\r\n%b\r\n--%b\r\n%b\r\n--%b--\r\n'
_WRONG_CONTENT = Permanent("SMTP takes email content only", "wrong_content")
_BAD_ADDRESS = Permanent("not an email address that every relay takes", "bad_address")
_NOT_TEXT = Permanent("a text holds a lone surrogate", "not_text")
_FOLD_SAFE = re.compile(r"[!-~]+(?: [!-~]+)*")
_UNSUBSCRIBE_VALUE = re.compile(r"<[!-;=?-~]+>(?:, ?<[!-;=?-~]+>)*")


class Mail(msgspec.Struct, frozen=True, gc=False):
    """One mail as it goes over the wire."""

    sender: str
    """The envelope's sender: our bounce address for this delivery."""
    recipient: str
    envelope_id: str
    """What a delivery status notification returns as Original-Envelope-Id."""
    data: bytes
    """Headers and body, dot-stuffed, ending with the final dot's line."""


def mail_writer(config: SmtpConfig) -> Callable[[Message, int], Mail | Permanent]:
    """A function that writes a message as a mail, given the moment in epoch seconds; Permanent where none can be.

    What all mails share (From, the MIME frame) is assembled here, once.
    """
    boundary = f"=_{secrets.token_hex(12)}"
    frame = _Frame(
        _address_header("From", config.from_name, config.from_email)
        + (_address_header("Reply-To", "", config.reply_to) if config.reply_to else b"")
        + b"MIME-Version: 1.0\r\n",
        boundary.encode("ascii"),
        config.domain.encode("ascii"),
    )

    def write(message: Message, now_s: int) -> Mail | Permanent:
        content = message.content
        if not isinstance(content, EmailContent):
            return _WRONG_CONTENT
        recipient = wire_address(message.address)
        if recipient is None:
            return _BAD_ADDRESS
        identifier = message.delivery_id.hex()
        try:
            data = _data(frame, message, content, recipient, now_s)
        except UnicodeEncodeError:
            return _NOT_TEXT
        sender = f"bounce+{identifier}@{config.domain}"
        return Mail(sender, recipient, f"{identifier}-{message.attempt}", data)

    return write


def refusal(message: Message) -> Permanent | None:
    """Why no mail can be made of this message, or None."""
    content = message.content
    if not isinstance(content, EmailContent):
        return _WRONG_CONTENT
    if wire_address(message.address) is None:
        return _BAD_ADDRESS
    if not 0 < len(content.subject) <= LONGEST_SUBJECT or not content.text:
        return Permanent("a mail needs a subject of at most 900 characters, and a text", "bad_content")
    if not content.subject.isprintable():
        return Permanent("the subject holds a line break or control character", "bad_content")
    return None


def wire_address(address: str) -> str | None:
    """An address in ASCII, its domain in punycode; None where it is none or needs SMTPUTF8."""
    if not is_email(address):
        return None
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    try:
        ascii_address = f"{local}@{domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        return None
    return ascii_address if local.isascii() and is_email(ascii_address) else None


class _Frame(msgspec.Struct, frozen=True):
    """What is the same in every mail of a relay."""

    head: bytes
    boundary: bytes
    domain: bytes


def _data(frame: _Frame, message: Message, content: EmailContent, recipient: str, now_s: int) -> bytes:
    head = b"%bDate: %b\r\nMessage-ID: <%b@%b>\r\nX-Bellhouse-Attempt: %d\r\nTo: %b\r\nSubject: %b\r\n%b" % (
        frame.head,
        _date(now_s),
        to_text(message.delivery_id).encode("ascii"),
        frame.domain,
        message.attempt,
        recipient.encode("ascii"),
        header_text(content.subject),
        _unsubscribe(message.data[UNSUBSCRIBE]) if UNSUBSCRIBE in message.data else b"",
    )
    text = _part(b"text/plain", content.text, frame.boundary)
    if content.html is None:
        data = head + text
    else:
        html = _part(b"text/html", content.html, frame.boundary)
        mark = frame.boundary
        # A line's end before a boundary belongs to the boundary (RFC 2046, 5.1.1): each part keeps its own.
        data = _ALTERNATIVE % (head, mark, mark, text, mark, html, mark)
    return data.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def _part(kind: bytes, text: str, boundary: bytes) -> bytes:
    """One part with its headers, ending with a line's end; the encoding is chosen so that any relay carries it."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    body = text.replace("\n", "\r\n").encode("utf-8")
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    if text.isascii() and boundary not in body and max(map(len, body.split(b"\r\n"))) <= _LONGEST_LINE:
        encoding = b"7bit"
    elif len(body) > len(text) + len(text) // 4 + text.count("\n") or boundary in body:
        encoding, body = b"base64", _base64(body)
    else:
        encoding, body = b"quoted-printable", binascii.b2a_qp(body, istext=True)
    return b"Content-Type: %b; charset=utf-8\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (kind, encoding, body)


def _base64(body: bytes) -> bytes:
    text = base64.b64encode(body)
    return b"".join(text[at : at + _WRAP] + b"\r\n" for at in range(0, len(text), _WRAP))


@lru_cache(maxsize=1024)
def header_text(text: str) -> bytes:
    """A header's text: as it is where it is plain, else in encoded words (RFC 2047), so that no text can end a line."""
    if len(text) <= _LONGEST_SUBJECT_LINE and "=?" not in text and _FOLD_SAFE.fullmatch(text):
        return text.encode("ascii")
    words: list[bytes] = []
    chunk = b""
    for character in text:
        encoded = character.encode("utf-8")
        if len(chunk) + len(encoded) > _WORD_BYTES:
            words.append(chunk)
            chunk = b""
        chunk += encoded
    words.append(chunk)
    return b"\r\n ".join(b"=?utf-8?b?%b?=" % base64.b64encode(word) for word in words)


_LONGEST_SUBJECT_LINE = _LONGEST_LINE - len("Subject: ")


@lru_cache(maxsize=4)
def _date(now_s: int) -> bytes:
    return formatdate(now_s).encode("ascii")


def _address_header(name: str, display: str, address: str) -> bytes:
    """An address header for the configured sender. Raises ValueError where the address is none."""
    wire = wire_address(address)
    if wire is None:
        raise ValueError(f"{name} is not an email address")
    if not display:
        return f"{name}: {wire}\r\n".encode("ascii")
    quoted = display.replace("\\", "\\\\").replace('"', '\\"')
    shown = b'"%b"' % quoted.encode("ascii") if _FOLD_SAFE.fullmatch(display) else header_text(display)
    return b"%b: %b <%b>\r\n" % (name.encode("ascii"), shown, wire.encode("ascii"))


def _unsubscribe(value: str) -> bytes:
    """Both headers of one-click unsubscription (RFC 8058); nothing for a value that is no list of URIs in brackets."""
    if len(value) > _LONGEST_LINE - 20 or _UNSUBSCRIBE_VALUE.fullmatch(value) is None:
        return b""
    return b"List-Unsubscribe: %b\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" % value.encode("ascii")
