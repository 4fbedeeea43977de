"""What an HTTP call looks like to a provider's counter, whatever protocol version carried it."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import NamedTuple, Protocol

import msgspec


def _prefixed(first: int, bits: int, value: int) -> bytes:
    """An HPACK integer (RFC 7541, 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((first | value,))
    out = bytearray((first | limit,))
    value -= limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(name: str, value: str) -> bytes:
    """A literal field that touches no dynamic table (RFC 7541, 6.2.2): the block can be made once and kept."""
    raw_name, raw_value = name.encode(), value.encode()
    return b"\0" + _prefixed(0, 7, len(raw_name)) + raw_name + _prefixed(0, 7, len(raw_value)) + raw_value


_STATIC_STATUS = {200: 8, 204: 9, 206: 10, 304: 11, 400: 12, 404: 13, 500: 14}


def _status_field(status: int) -> bytes:
    index = _STATIC_STATUS.get(status)
    return bytes((0x80 | index,)) if index else b"\x08\x03%d" % status


class ReplyHead:
    """Status and header fields of an answer, encoded once for HTTP/1.1 and for HTTP/2."""

    __slots__ = ("h1", "h2", "status")

    def __init__(self, status: int, *fields: tuple[str, str]) -> None:
        self.status = status
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        phrase = HTTPStatus(status).phrase
        self.h1 = f"HTTP/1.1 {status} {phrase}\r\n{lines}content-length: ".encode("latin-1")
        # 0x0f 0x0d: literal without indexing, static name 28 (content-length); the digits follow.
        self.h2 = _status_field(status) + b"".join(_field(*field) for field in fields) + b"\x0f\x0d"


class Reply(NamedTuple):
    """An answer: its head and its body."""

    head: ReplyHead
    body: bytes
    date: bytes = b""
    """The value of its Date field; empty where it has none, and over HTTP/2."""


class Exchange(Protocol):
    """The way back to whoever made a call."""

    def reply(self, reply: Reply) -> bool:
        """Send the answer; False if the caller has gone."""

    def stream(self, head: ReplyHead, chunks: Iterator[bytes]) -> None:
        """Send an answer of unknown length piece by piece."""

    def drop(self) -> None:
        """Break the connection (or the stream) without an answer."""

    def refuse(self) -> None:
        """State, as far as the protocol can, that nothing was processed."""


class RequestHead(NamedTuple):
    """A parsed request head; the same bytes give the same object, so it holds nothing about one call."""

    method: str
    path: str
    query: str
    fields: dict[str, str]
    keep_alive: bool
    length: int
    chunked: bool
    handler: "Handler"


Handler = Callable[[RequestHead, bytes, Exchange], None]

JSON_UTF8 = ("content-type", "application/json; charset=UTF-8")
JSON = ("content-type", "application/json")
HTML = ("content-type", "text/html; charset=UTF-8")


def json_reply(status: int, body: object, *fields: tuple[str, str]) -> Reply:
    """An answer with `body` as JSON."""
    return Reply(ReplyHead(status, JSON_UTF8, *fields), msgspec.json.encode(body))


# What a load balancer says about a backend it lost: HTML, whatever the API behind it speaks.
HTML_502 = Reply(
    ReplyHead(502, HTML),
    b"<!DOCTYPE html>\n<html lang=en>\n<title>Error 502 (Server Error)!!1</title>\n"
    b"<p><b>502.</b> <ins>That\xe2\x80\x99s an error.</ins>\n",
)
