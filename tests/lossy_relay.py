"""A relay between a store and its PostgreSQL that can lose the answer to a commit, or the commit itself for a while."""

import asyncio
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from tests.postgres_room import WITHIN_S

Loss = Literal["answer", "delay"]


class LossyRelay:
    """Forwards bytes; what it is told to lose concerns the next COMMIT alone, whose client hears no more of it."""

    def __init__(self, url: str) -> None:
        """`url` leads to the server."""
        parts = urlsplit(url)
        self._parts = parts
        self._server = (parts.hostname, parts.port)
        self._listening: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loss: Loss | None = None
        self._lost = asyncio.Event()
        self._late = asyncio.Event()
        self.url = ""

    async def start(self) -> "LossyRelay":
        self._listening = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        port = self._listening.sockets[0].getsockname()[1]
        place = f"{self._parts.username}@127.0.0.1:{port}"
        self.url = urlunsplit(self._parts._replace(netloc=place))
        return self

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def lose_the_answer(self) -> None:
        """Let the next COMMIT come to the server, and its client hear of no answer."""
        self._loss = "answer"

    def delay_the_commit(self) -> None:
        """Cut the client off at its next COMMIT, which comes to the server when `let_the_commit_through` is called."""
        self._loss = "delay"
        self._late.clear()

    async def let_the_commit_through(self) -> None:
        """Return when the server has answered the COMMIT that was delayed."""
        self._lost.clear()
        self._late.set()
        async with asyncio.timeout(WITHIN_S):
            await self._lost.wait()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._server)
        answers = asyncio.ensure_future(_copy(there, writer))
        try:
            while chunk := await reader.read(65_536):
                if self._loss is not None and b"COMMIT" in chunk:
                    loss, self._loss = self._loss, None
                    answers.cancel()
                    await asyncio.wait([answers])  # of one stream only one may read
                    await self._commit_without_an_answer(loss, chunk, there, back, writer)
                    return
                back.write(chunk)
                await back.drain()
        except OSError:
            return
        finally:
            answers.cancel()
            writer.transport.abort()
            back.transport.abort()

    async def _commit_without_an_answer(
        self,
        loss: Loss,
        chunk: bytes,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
    ) -> None:
        if loss == "delay":
            writer.transport.abort()
            await self._late.wait()
        with suppress(OSError):
            back.write(chunk)
            await there.read(1)
        self._lost.set()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        writer.transport.abort()
