"""Single requests share a commit: what came in while the last commit ran is the next one's batch; there is no timer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from bellhouse.ingest.accept import Draft, Outcome
from bellhouse.ingest.degrade import RISES, step_at
from bellhouse.ingest.steps import Waits
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import Telemetry
from bellhouse.web.problems import Problem

CUT: Final = 300
"""Items of a batch request in one commit, so that single requests get in between."""
_RETRY_S: Final = 1

Accept = Callable[[Sequence[Draft]], Awaitable[list[Outcome]]]


class _Entry(msgspec.Struct, gc=False):
    """Drafts that go into one commit together, and where their outcomes are awaited."""

    drafts: Sequence[Draft]
    outcomes: "asyncio.Future[list[Outcome]]"
    since: float
    """Since when (s, monotonic) it waits."""


class GroupCommit:
    """The queue before the store's only writer. Each commit takes single requests first, then one part of a batch."""

    def __init__(self, accept: Accept, clock: Clock, telemetry: Telemetry, queue: int, waits: Waits) -> None:
        self._accept = accept
        self._clock = clock
        self._telemetry = telemetry
        self._queue = queue
        self._roomy = queue * RISES[0]
        self._waits = waits
        self.waiting = 0
        """How many notifications are queued."""
        self._singles: deque[_Entry] = deque()
        self._parts: deque[_Entry] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def one(self, draft: Draft) -> Outcome:
        """Make one draft durable; raises Problem `busy` when the queue is full, and StoreUnavailable."""
        self.admit(1)
        return (await self._enqueue(self._singles, (draft,)))[0]

    async def many(self, drafts: Sequence[Draft]) -> list[Outcome | Exception]:
        """Make a batch durable, in parts; a part that failed has its exception in each place."""
        self.admit(len(drafts))
        parts = [drafts[start : start + CUT] for start in range(0, len(drafts), CUT)]
        waits = [self._enqueue(self._parts, part) for part in parts]
        outcomes: list[Outcome | Exception] = []
        for part, result in zip(parts, await asyncio.gather(*waits, return_exceptions=True), strict=True):
            if isinstance(result, Exception):
                outcomes.extend([result] * len(part))
            elif isinstance(result, BaseException):
                raise result
            else:
                outcomes.extend(result)
        return outcomes

    def admit(self, count: int) -> None:
        """Raise Problem `busy` if so many more do not fit into the queue."""
        if self.waiting + count > self._queue:
            raise self.busy

    @property
    def busy(self) -> Problem:
        """What those are answered who do not fit in any more."""
        return Problem("busy", f"{self.waiting:,} notifications wait for their commit.", retry_after_s=_RETRY_S)

    @property
    def crowded(self) -> bool:
        """Whether the queue has no more room for everybody."""
        return self.waiting >= self._roomy

    @property
    def crowding(self) -> int:
        """The number of the step that says for whom it has room, as full as it is now."""
        return step_at(self.waiting / self._queue)

    def _enqueue(self, queue: deque[_Entry], drafts: Sequence[Draft]) -> "asyncio.Future[list[Outcome]]":
        loop = asyncio.get_running_loop()
        entry = _Entry(drafts, loop.create_future(), self._clock.monotonic())
        queue.append(entry)
        self.waiting += len(drafts)
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        return entry.outcomes

    async def _run(self) -> None:
        """Commit until nothing waits."""
        try:
            while self._singles or self._parts:
                await self._clock.sleep(0)  # whoever is ready now belongs into this commit
                await self._commit(self._take())
        finally:
            self._runner = None

    def _take(self) -> list[_Entry]:
        entries = [self._singles.popleft() for _ in range(min(CUT, len(self._singles)))]
        if self._parts:
            entries.append(self._parts.popleft())
        return entries

    async def _commit(self, entries: Sequence[_Entry]) -> None:
        drafts = [draft for entry in entries for draft in entry.drafts]
        self.waiting -= len(drafts)
        started = self._clock.monotonic()
        self._waits.began(min(entries[0].since, entries[-1].since))  # singles first, in turn, then a part
        try:
            outcomes = await self._accept(drafts)
        except Exception as error:
            self._waits.ended(self._clock.monotonic())
            await self._fail(entries, error)
            return
        ended = self._clock.monotonic()
        self._waits.ended(ended)
        self._telemetry.committed(len(entries), ended - started)
        start = 0
        for entry in entries:
            end = start + len(entry.drafts)
            if not entry.outcomes.done():
                entry.outcomes.set_result(outcomes[start:end])
            start = end

    async def _fail(self, entries: Sequence[_Entry], error: Exception) -> None:
        """Nothing was written. What one entry may have caused must not fail the others: try each alone."""
        if len(entries) > 1 and not isinstance(error, StoreUnavailable):
            for entry in entries:
                self.waiting += len(entry.drafts)
                await self._commit((entry,))
            return
        for entry in entries:
            if not entry.outcomes.done():
                entry.outcomes.set_exception(error)
