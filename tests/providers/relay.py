"""A raw SMTP server that says what a test tells it to, command by command, and keeps what it heard."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bellhouse.domain.attempt import Verdict
from bellhouse.providers.smtp.config import SmtpConfig
from bellhouse.providers.smtp.send import SmtpProvider
from bellhouse.testing.clock import ManualClock

from .scripted import NOW, mail, numbered, sent

HANG = "hang"
DROP = "drop"
OFFERS = ("PIPELINING", "SIZE 100000", "DSN", "8BITMIME")

Rule = Callable[["Line"], str | None]


class Line:
    """One thing a client said."""

    def __init__(self, connection: int, number: int, text: str) -> None:
        self.connection = connection
        self.number = number
        """How many mails this connection had brought before."""
        self.text = text

    def __repr__(self) -> str:
        return f"{self.connection}:{self.text[:60]!r}"


class Relay:
    """Answers by `rule`; None from it takes the polite reply."""

    def __init__(self, rule: Rule, offers: tuple[str, ...], greeting: str) -> None:
        self.rule = rule
        self.offers = offers
        self.greeting = greeting
        self.heard: list[Line] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    def words(self) -> list[str]:
        return [line.text.split(" ")[0] for line in self.heard]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection, mails = self.connections, 0
        if not await self._say(writer, self.greeting):
            return
        while line := await reader.readline():
            text = line.decode().rstrip("\r\n")
            assert line.endswith(b"\r\n"), "a bare line feed"
            said = Line(connection, mails, text)
            self.heard.append(said)
            if not await self._answer(writer, said):
                return
            if text == "DATA" and self._went_on:
                if not await self._body(reader, writer, connection, mails):
                    return
                mails += 1

    async def _answer(self, writer: asyncio.StreamWriter, said: Line) -> bool:
        told = self.rule(said)
        reply = told if told is not None else self._polite(said.text)
        self._went_on = reply.startswith("354")
        return await self._say(writer, reply)

    async def _body(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int, mails: int
    ) -> bool:
        body = b""
        while not (body.endswith(b"\r\n.\r\n") or body == b".\r\n"):
            piece = await reader.readline()
            if not piece:
                return False
            body += piece
        self.bodies.append(body)
        said = Line(connection, mails, ".")
        self.heard.append(said)
        told = self.rule(said)
        return await self._say(writer, told if told is not None else "250 2.0.0 Ok: queued as ABC")

    def _polite(self, text: str) -> str:
        match text.split(" ", maxsplit=1)[0]:
            case "EHLO":
                return "\r\n".join(["250-relay", *(f"250-{offer}" for offer in self.offers), "250 HELP"])
            case "DATA":
                return "354 go ahead"
            case "AUTH":
                return "235 2.7.0 ok"
            case "QUIT":
                return "221 bye"
            case _:
                return "250 2.1.0 Ok"

    async def _say(self, writer: asyncio.StreamWriter, reply: str) -> bool:
        if reply == HANG:
            await asyncio.Event().wait()
        if reply == DROP:
            return False
        writer.write(reply.encode() + b"\r\n")
        await writer.drain()
        return not reply.startswith("421")


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """A server's port; when it ends, so do all its conversations."""
    tasks: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        tasks.discard(task)

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def relay(
    rule: Rule = lambda _line: None, offers: tuple[str, ...] = OFFERS, greeting: str = "220 relay ESMTP"
) -> AsyncIterator[tuple[Relay, int]]:
    """A relay and its port."""
    made = Relay(rule, offers, greeting)
    async with listening(made.serve) as port:
        yield made, port


def config(port: int, **changes: object) -> SmtpConfig:
    """One connection without TLS, and little patience."""
    plain: dict[str, object] = {
        "host": "127.0.0.1",
        "from_email": "bell@example.com",
        "domain": "bell.example",
        "port": port,
        "security": "none",
        "connections": 1,
        "connect_timeout_s": 2.0,
        "command_timeout_s": 2.0,
        "dot_timeout_s": 2.0,
    }
    return SmtpConfig(**plain | changes)  # type: ignore[arg-type]  # the fields by name, as the tests want them


async def send_to(port: int, count: int = 1, **changes: object) -> list[Verdict]:
    """Send so many mails and close."""
    provider = SmtpProvider(config(port, **changes), ManualClock(NOW))
    try:
        return await sent(provider, *numbered(mail(), count))
    finally:
        await provider.stop()
