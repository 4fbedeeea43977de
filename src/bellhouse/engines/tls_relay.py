"""Speaks TLS to clients before a server that cannot: what it decrypts goes on to the server, and back."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress

from bellhouse.engines.certificate import Certificate
from bellhouse.engines.ports import HOST

_CHUNK = 65_536

Greeting = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""What a client and the relay say in the clear before TLS; false when the client wants none."""


class TlsRelay:
    """A loopback port of TLS before a server's plain one, on a thread with an event loop of its own.

    TLS begins with the first byte, or after the `greeting` where the protocol has one.
    """

    def __init__(self, certificate: Certificate, port: int, greeting: Greeting | None = None) -> None:
        self.port = port
        self._greeting = greeting
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.certificate, certificate.key)
        self._thread: threading.Thread | None = None
        self._ends: Future[asyncio.Event] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, server_port: int) -> None:
        """Listen, and return once it does; a relay that runs is left alone. Raises OSError for a port in use."""
        if self._thread is not None:
            return
        self._ends = Future()
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve(server_port)], daemon=True)
        self._thread.start()
        self._ends.result()

    def stop(self) -> None:
        """Close the port and all connections. Calling it twice is lawful."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._ends.result().set)
            self._thread.join()
            self._thread = None

    async def _serve(self, server_port: int) -> None:
        self._loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._answer(reader, writer, server_port))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: writer.transport.abort())  # also where it never began

        try:
            at_once = self._context if self._greeting is None else None
            server = await asyncio.start_server(accept, HOST, self.port, ssl=at_once)
        except OSError as error:
            self._ends.set_exception(error)
            return
        self._ends.set_result(ended)
        await ended.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server_port: int) -> None:
        try:
            if self._greeting is not None:
                if not await self._greeting(reader, writer):
                    return
                await writer.start_tls(self._context)
            await _relay(reader, writer, server_port)
        except (OSError, EOFError):
            return  # the client went away, or does not trust the certificate


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server_port: int) -> None:
    there, back = await asyncio.open_connection(HOST, server_port)
    ways = [asyncio.ensure_future(_copy(reader, back)), asyncio.ensure_future(_copy(there, writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        back.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
