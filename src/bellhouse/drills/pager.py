"""Who is called by Alertmanager in a tour: says what each receiver is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from bellhouse.engines.ports import HOST

_MOST: Final = 4_194_304
_OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_QUIET: Final = ("Watchdog",)


@asynccontextmanager
async def pager(say: Callable[[str], None]) -> AsyncIterator[str]:
    """A receiver of Alertmanager's webhooks on a free port; gives its address, below which each receiver has a path."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, ValueError, KeyError):
            receiver, body = await _read(reader)
            writer.write(_OK)
            await writer.drain()
            for line in told(receiver, body):
                say(line)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def told(receiver: str, body: Any) -> list[str]:
    """What a receiver is told, a line for each alert; that alerts arrive at all is not worth one."""
    lines = []
    for one in body["alerts"]:
        if one["labels"]["alertname"] in _QUIET:
            continue
        word = "FIRING" if one["status"] == "firing" else "resolved"
        lines.append(f"    [{receiver}] {word} {one['labels']['alertname']}: {one['annotations']['summary']}")
        if word == "FIRING":
            lines.append(f"    [{receiver}]   {one['annotations']['diagnosis']} · {one['annotations']['runbook_url']}")
    return lines


async def _read(reader: asyncio.StreamReader) -> tuple[str, Any]:
    """The receiver's name and what it is told. Raises ValueError for what is no such request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request, *fields = head.split("\r\n")
    _, path, _ = request.split(" ")
    sizes = [line.partition(":")[2] for line in fields if line.lower().startswith("content-length:")]
    length = int(sizes[0]) if sizes else 0
    if length > _MOST:
        raise ValueError("too long")
    return path.strip("/"), json.loads(await reader.readexactly(length))
