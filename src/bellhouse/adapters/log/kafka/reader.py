"""The Reader of a Kafka topic: the event loop's side of a group member."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from bellhouse.adapters.log.kafka.assignment import Assignment
from bellhouse.adapters.log.kafka.config import KafkaConfig
from bellhouse.adapters.log.kafka.member import Member
from bellhouse.adapters.log.kafka.notes import Notes
from bellhouse.adapters.log.kafka.reach import Reach
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import Polled, Position


class KafkaReader:
    """A Reader. `poll` raises LogUnavailable once another process has come with the same `instance`, and `rejoin`
    where the group cannot be asked for its positions."""

    def __init__(self, config: KafkaConfig, topic: str, clock: Clock, notes: Notes, reach: Reach) -> None:
        self._assignment = Assignment()
        self._member = Member(config, topic, self._assignment, self._wake, self._left, clock, notes, reach)
        self._woken = asyncio.Event()
        self._has_left = asyncio.Event()
        self._waiting = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._member.open)

    async def poll(self, limit: int) -> Sequence[Polled]:
        if self._member.failure is not None:
            raise self._member.failure
        polled = self._assignment.take(limit)
        if polled:
            self._member.made_room()
        return polled

    def taken(self) -> None:
        self._assignment.taken()

    async def wait(self, timeout_s: float) -> None:
        self._woken.clear()
        self._waiting = True
        try:
            if not self._assignment and self._member.failure is None:
                async with asyncio.timeout(timeout_s):
                    await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._waiting = False

    async def commit(self, done: Sequence[Position]) -> None:
        self._assignment.done(done)

    async def rejoin(self) -> None:
        self._assignment.taken()
        await self._done(self._member.begin_anew)

    async def pause(self, partitions: Sequence[int]) -> None:
        self._assignment.pause(partitions)
        self._member.ask(lambda: self._member.hold(partitions))

    async def resume(self, partitions: Sequence[int]) -> None:
        self._assignment.resume(partitions)
        self._member.ask(lambda: self._member.release(partitions))

    async def stop(self) -> None:
        self._assignment.taken()
        if not self._member.leave():
            return
        # The member's own thread tells of its end: readers that leave side by side need no threads to wait in, and
        # with dead brokers all of them are through after the time of one.
        try:
            async with asyncio.timeout(self._member.leaving_s):
                await self._has_left.wait()
        except TimeoutError:
            self._member.leave_behind()

    async def _done(self, act: Callable[[], None]) -> None:
        """Return when the member's thread has done it; raises what it raised."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(error: Exception | None) -> None:
            if not done.done():
                done.set_exception(error) if error else done.set_result(None)

        def acting() -> None:
            failure = None
            try:
                act()
            except Exception as error:  # it is raised where it was asked for
                failure = error
            with contextlib.suppress(RuntimeError):
                done.get_loop().call_soon_threadsafe(answered, failure)

        if self._member.ask(acting):
            await done

    def _wake(self) -> None:
        """Called by the member's thread; costs the loop nothing while nobody waits."""
        if self._waiting:
            self._tell(self._woken)

    def _left(self) -> None:
        """Called by the member's thread."""
        self._tell(self._has_left)

    def _tell(self, event: asyncio.Event) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(event.set)
