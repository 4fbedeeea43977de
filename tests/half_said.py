"""A client of PostgreSQL that stands still in the middle of what it says."""

import asyncio
import struct
from urllib.parse import urlsplit


async def stand_still(url: str, application: str, statement: str) -> asyncio.StreamWriter:
    """Begin a transaction, run a statement in it, and fall silent within the next one; close the answer to be gone.

    A client that prepares a statement says `Parse`, hears of it, and says more until it ends with `Sync`. Before that
    the server's session is not idle but active, and no timeout for idle transactions counts.
    (https://www.postgresql.org/docs/current/protocol-flow.html, "Extended Query".)
    """
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    named = {"user": parts.username or "", "database": parts.path.lstrip("/"), "application_name": application}
    words = b"".join(f"{name}\0{value}\0".encode() for name, value in named.items()) + b"\0"
    writer.write(struct.pack(">ii", 8 + len(words), 196_608) + words)
    await _ready(reader)
    for text in ("SET idle_in_transaction_session_timeout = '1500ms'", "BEGIN", statement):
        writer.write(_message(b"Q", text.encode() + b"\0"))
        await _ready(reader)
    writer.write(_message(b"P", b"\0SELECT 1\0\0\0") + _message(b"H", b""))
    await writer.drain()
    while await _next(reader) != b"1":
        pass
    return writer


async def _ready(reader: asyncio.StreamReader) -> None:
    while await _next(reader) != b"Z":
        pass


async def _next(reader: asyncio.StreamReader) -> bytes:
    kind, length = struct.unpack(">ci", await reader.readexactly(5))
    said = await reader.readexactly(length - 4)
    assert kind != b"E", said
    return bytes(kind)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">i", 4 + len(body)) + body
