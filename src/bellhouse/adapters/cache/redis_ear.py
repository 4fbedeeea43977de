"""One connection that listens to Redis for all subscriptions of a process, and notices when it is cut."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from bellhouse.ports.cache import CacheUnavailable

_UNHEARD: Final = 1_000
"""Messages that are kept for a subscriber that is slow; beyond them the oldest are lost."""
_CUT = (RedisError, OSError, TimeoutError)


class Listener:
    """What one subscription has not heard yet."""

    def __init__(self) -> None:
        self._unheard: deque[bytes] = deque(maxlen=_UNHEARD)
        self._rung = asyncio.Event()
        self.cut = False
        """Whether the connection has broken since it was made."""

    def tell(self, message: bytes) -> None:
        self._unheard.append(message)
        self._rung.set()

    def end(self) -> None:
        """Nothing will be told any more."""
        self.cut = True
        self._rung.set()

    async def heard(self) -> Sequence[bytes]:
        """What has been told since the last call; waits for it, and is empty only where there will be nothing more."""
        await self._rung.wait()
        messages = list(self._unheard)
        self._unheard.clear()
        if not self.cut:
            self._rung.clear()
        return messages


class Ear:
    """A connection in Redis's subscribed state. It is made with the first listener, and again after a cut."""

    def __init__(self, connect: Callable[[], Awaitable[AbstractConnection]], timeout_s: float, idle_s: float) -> None:
        """`timeout_s`: within which Redis confirms; `idle_s`: after so long a silence it is asked for a sign."""
        self._connect = connect
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._connection: AbstractConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._listeners: dict[bytes, list[Listener]] = {}
        self._confirmed: dict[bytes, asyncio.Future[None]] = {}
        self._turn = asyncio.Lock()

    async def listen(self, subject: bytes) -> Listener:
        """Hear a subject from the moment this returns. Raises CacheUnavailable."""
        async with self._turn:
            if subject not in self._listeners:
                await self._subscribe(subject)
            listener = Listener()
            self._listeners.setdefault(subject, []).append(listener)
            return listener

    async def forget(self, subject: bytes, listener: Listener) -> None:
        """Tell this listener nothing more. One that is not known (any more) is lawful."""
        listeners = self._listeners.get(subject, [])
        if listener not in listeners:
            return
        listeners.remove(listener)
        if not listeners:
            del self._listeners[subject]
            if self._connection is not None:
                with suppress(*_CUT):
                    await self._connection.send_command("UNSUBSCRIBE", subject)

    async def close(self) -> None:
        """Hang up: every listener is cut. Calling it twice is lawful."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._connection is not None:
            await self._hang_up(self._connection)  # the reading had not begun

    async def _subscribe(self, subject: bytes) -> None:
        connection = self._connection or await self._call()
        confirmed = self._confirmed[subject] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.send_command("SUBSCRIBE", subject)
                await confirmed
        except _CUT as error:
            await self.close()
            raise CacheUnavailable("Redis did not confirm a subscription") from error
        finally:
            self._confirmed.pop(subject, None)
        if self._connection is not connection:
            raise CacheUnavailable("the connection to Redis broke")

    async def _call(self) -> AbstractConnection:
        connection = self._connection = await self._connect()
        self._reading = asyncio.create_task(self._read(connection))
        return connection

    async def _read(self, connection: AbstractConnection) -> None:
        asked = False
        try:
            while True:
                answer = await connection.read_response(timeout=self._idle_s, disconnect_on_error=False)
                if answer is not None:
                    asked = False
                    self._take(answer)
                elif asked:
                    return
                else:
                    await connection.send_command("PING")
                    asked = True
        except _CUT:
            return
        finally:
            await self._hang_up(connection)

    async def _hang_up(self, connection: AbstractConnection) -> None:
        self._cut()
        await connection.disconnect(nowait=True)

    def _take(self, answer: Any) -> None:
        match answer:
            case [b"message", bytes(subject), bytes(message)]:
                for listener in self._listeners.get(subject, ()):
                    listener.tell(message)
            case [b"subscribe", bytes(subject), _]:
                confirmed = self._confirmed.get(subject)
                if confirmed is not None and not confirmed.done():
                    confirmed.set_result(None)
            case _:
                return  # that a subject was left, and that it is still there

    def _cut(self) -> None:
        self._connection = None
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.end()
        self._listeners.clear()
        for confirmed in self._confirmed.values():
            if not confirmed.done():
                confirmed.set_exception(ConnectionError("the connection broke"))
