"""Runs the services of one process: started in order, side by side, drained at a signal, stopped in reverse."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from bellhouse.ports.service import MustEnd, Service
from bellhouse.ports.telemetry import Logbook

CRASHED: Final = 1
"""The exit status of a process in which a service ended by itself: the supervisor starts it again."""
CUT_OFF: Final = 3
"""The exit status where work in flight did not end in time; the store has it, and the next process takes it up."""

_LAST_WORDS_S: Final = 2.0
"""How long is waited, in a process that may begin nothing any more, for what it has under way to be answered: whatever
waits for leave to begin would wait for ever, and its partitions stand still meanwhile."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Resource:
    """A service that does nothing by itself: it is opened before those that need it and closed after them."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Awaitable[None]] | None = None,
        stop: Callable[[], Awaitable[None] | None] | None = None,
    ) -> None:
        self.name = name
        self._start = start
        self._stop = stop
        self._drained = asyncio.Event()

    async def start(self) -> None:
        if self._start is not None:
            await self._start()

    async def run(self) -> None:
        await self._drained.wait()

    def drain(self) -> None:
        self._drained.set()

    async def stop(self) -> None:
        stop, self._stop = self._stop, None
        answer = stop() if stop is not None else None
        if answer is not None:
            await answer


class Runner:
    """One process's services from start to stop."""

    def __init__(self, services: Sequence[Service], drain_timeout_s: float, logbook: Logbook) -> None:
        self._services = services
        self._drain_timeout_s = drain_timeout_s
        self._logbook = logbook
        self._draining = asyncio.Event()
        self._ended_now = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], Service] = {}
        self._status = 0
        self._must_end = False

    async def run(self, ready: Callable[[], None]) -> int:
        """Run until drained or crashed; answers the process's exit status. Raises what a service's `start` raised.

        `ready` is called once all have started.
        """
        with self._signals():
            try:
                for service in self._services:
                    await service.start()
                ready()
                self._tasks = {
                    asyncio.create_task(service.run(), name=service.name): service for service in self._services
                }
                await self._until_drained_or_crashed()
                await self._drain()
            finally:
                await self._stop()
        return self._status

    def drain(self) -> None:
        """End in good order; the second call ends at once."""
        if self._draining.is_set():
            self._ended_now.set()
        self._draining.set()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.drain)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    async def _until_drained_or_crashed(self) -> None:
        drained = asyncio.create_task(self._draining.wait())
        await asyncio.wait({drained, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        for task in self._tasks:
            if task.done():
                self._look_at(task)

    def _look_at(self, task: "asyncio.Task[None]") -> None:
        """Whether a service that has ended was meant to."""
        error = task.exception()
        if error is None and self._draining.is_set():
            return
        self._status = CRASHED
        self._must_end = self._must_end or isinstance(error, MustEnd)
        reason = "; ".join(_leaves(error)) if error else "it ended by itself"
        self._logbook.note("error", f"Service {task.get_name()} crashed", error=reason)
        if error is not None:
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": f"service {task.get_name()} crashed", "exception": error})

    async def _drain(self) -> None:
        for service in self._services:
            service.drain()
        cut = asyncio.create_task(self._ended_now.wait())
        pending = {task for task in self._tasks if not task.done()}
        try:
            limit = min(self._drain_timeout_s, _LAST_WORDS_S) if self._must_end else self._drain_timeout_s
            async with asyncio.timeout(limit):
                while pending and not cut.done():
                    done, _ = await asyncio.wait({cut, *pending}, return_when=asyncio.FIRST_COMPLETED)
                    pending -= done
        except TimeoutError:
            pass
        cut.cancel()
        self._draining.set()
        await self._cut_off(pending)

    async def _cut_off(self, pending: set["asyncio.Task[None]"]) -> None:
        """End what did not end by itself, and look at how all the others ended."""
        for task in pending:
            self._logbook.note("warning", f"Service {task.get_name()} was cut off at the stop")
            self._status = self._status or CUT_OFF
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=1.0)
        if self._status != CRASHED:
            for task in set(self._tasks) - pending:
                self._look_at(task)

    async def _stop(self) -> None:
        for service in reversed(self._services):
            try:
                await service.stop()
            except Exception as error:
                # One that cannot close must not keep the others open.
                self._logbook.note("error", f"Service {service.name} did not stop", error=repr(error))


def _leaves(error: BaseException) -> Iterator[str]:
    """What went wrong, each in words: a group says nothing by itself."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield f"{type(error).__name__}: {error}"
