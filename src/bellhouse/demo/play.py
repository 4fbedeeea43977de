"""Plays the day's events at their pace: the critical ones singly, the others in batches, each answer written down."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

import msgspec

from bellhouse.demo.client import Client, Problem, problem_of
from bellhouse.demo.script import Asked, Day, EventLine, moment
from bellhouse.ports.clock import Clock
from bellhouse.web.times import rfc3339

DAY_MS: Final = 86_400_000
BATCH: Final = 1_000
_TICK_S: Final = 0.1
_BATCHES_AT_ONCE: Final = 4
_SINGLES_AT_ONCE: Final = 48
_LATER: Final = frozenset({"degraded", "busy", "store_unavailable"})
"""Refusals that say: nothing was taken, come back."""
_UNKNOWN: Final = "outcome_unknown"
"""May have been taken: to come back with it is safe with a key alone."""
_PAUSE_S: Final = 1.0
_PATIENCE_S: Final = 90.0
"""For how long a caller comes back."""


class Pace(msgspec.Struct, frozen=True):
    """How the day's moments become those of the play: the day's first moment is `start`, a day takes `length_ms`."""

    first: int
    start: int
    length_ms: int
    span_ms: int = DAY_MS

    def of(self, at: int) -> int:
        """The moment (ms since the epoch) in the play of a moment of the day."""
        return self.start + (at - self.first) * self.length_ms // self.span_ms

    def text(self, at: str, later_ms: int = 0) -> str:
        """The same for RFC 3339 texts: equal moments give equal texts. `later_ms`: for how long the day stood still."""
        return rfc3339(self.of(moment(at)) + later_ms)


class Answers:
    """What the caller was told, event by event."""

    def __init__(self) -> None:
        self.asked = 0
        self.ids: set[str] = set()
        self.repeats = 0
        self.refused: Counter[str] = Counter()
        self.unanswered = 0
        self.single_ms: list[float] = []
        self.batch_ms: list[float] = []

    def taken(self, identifier: str) -> None:
        if identifier in self.ids:
            self.repeats += 1
        self.ids.add(identifier)

    @property
    def accepted(self) -> int:
        """Notifications that were promised: distinct ids."""
        return len(self.ids)


class Expected(msgspec.Struct, frozen=True):
    """What must come of a day by its own lines, before anything is sent."""

    accepted: int
    repeats: int
    refused: int


def expected(day: Day) -> Expected:
    """Count the events that must be accepted, those that repeat one, and those that must be refused."""
    people = {line.user_id for line in day.recipients}
    types = {line.name for line in day.types}
    first: dict[str, Asked] = {}
    accepted = repeats = refused = 0
    for event in day.events:
        asked = event.notification
        if asked.user_id not in people or asked.type not in types:
            refused += 1
            continue
        key = asked.idempotency_key
        if key is None or key not in first:
            accepted += 1
        elif first[key] == asked:
            repeats += 1
        else:
            refused += 1
        if key is not None:
            first.setdefault(key, asked)
    return Expected(accepted, repeats, refused)


class _BatchItem(msgspec.Struct, frozen=True):
    id: str | None = None
    error: Problem | None = None


class _BatchAnswer(msgspec.Struct, frozen=True):
    results: list[_BatchItem]


class _Try(msgspec.Struct, frozen=True):
    """An event that is to be sent. Moments are the monotonic clock's."""

    event: EventLine
    until: float
    """When the caller's patience ends."""
    at: float = 0.0
    """When it is sent, if it was refused before."""


class Player:
    """Sends a day's events when their moments come, and again while the answer is to come back."""

    def __init__(self, day: Day, pace: Pace, client: Client, clock: Clock) -> None:
        self._events = deque(day.events)
        self._pace = pace
        self._client = client
        self._clock = clock
        self._critical = _critical_types(day)
        self._singles = asyncio.Semaphore(_SINGLES_AT_ONCE)
        self._batches = asyncio.Semaphore(_BATCHES_AT_ONCE)
        self._held_ms = 0
        self._held_since: int | None = None
        self._under_way = 0
        self._again: deque[_Try] = deque()
        self._bodies: dict[str, tuple[Asked, Asked]] = {}
        """What was sent for each key: its line, and its body."""
        self.answers = Answers()

    def hold(self, *, back: bool) -> None:
        """Let the day stand still, or go on: for a machine that cannot keep up with it."""
        now = self._clock.now()
        if back and self._held_since is None:
            self._held_since = now
        elif not back and self._held_since is not None:
            self._held_ms += now - self._held_since
            self._held_since = None

    @property
    def day_now(self) -> int:
        """What the clock shows in the play (ms since the epoch), without the time for which it stood still."""
        return (self._clock.now() if self._held_since is None else self._held_since) - self._held_ms

    async def play(self) -> Answers:
        """Send everything; returns when each event has its answer."""
        async with asyncio.TaskGroup() as group:
            while self._events or self._again or self._under_way:
                due = self._due()
                self.answers.asked += len(due)
                await self._send(group, [*due, *self._refused_before()])
                await self._clock.sleep(_TICK_S)
        return self.answers

    def _due(self) -> list[_Try]:
        now, until = self.day_now, self._clock.monotonic() + _PATIENCE_S
        due = []
        while self._events and self._pace.of(moment(self._events[0].at)) <= now:
            due.append(_Try(self._events.popleft(), until))
        return due

    def _refused_before(self) -> list[_Try]:
        now = self._clock.monotonic()
        due = []
        while self._again and self._again[0].at <= now:
            due.append(self._again.popleft())
        return due

    async def _send(self, group: asyncio.TaskGroup, tries: Sequence[_Try]) -> None:
        """Start the sending; waits only where as much as is allowed is under way."""
        batch: list[_Try] = []
        self._under_way += len(tries)
        for each in tries:
            asked = each.event.notification
            if (asked.priority or ("critical" if asked.type in self._critical else "")) == "critical":
                await self._singles.acquire()
                group.create_task(self._single(each))
            else:
                batch.append(each)
        for start in range(0, len(batch), BATCH):
            await self._batches.acquire()
            group.create_task(self._batch(batch[start : start + BATCH]))

    async def _single(self, one: _Try) -> None:
        began = self._clock.monotonic()
        try:
            asked = one.event.notification
            body = msgspec.json.encode(self._body(asked))
            keyed = asked.idempotency_key is not None
            answer = await self._client.ask("POST", "/v1/notifications", body, repeatable=keyed)
        finally:
            self._under_way -= 1
            self._singles.release()
        if answer.status == 202:
            self.answers.single_ms.append((self._clock.monotonic() - began) * 1_000)
            self.answers.taken(msgspec.json.decode(answer.body, type=_BatchItem).id or "")
        elif answer.status == 0:
            self.answers.unanswered += 1
        else:
            self._refused(one, problem_of(answer))

    async def _batch(self, tries: Sequence[_Try]) -> None:
        began = self._clock.monotonic()
        try:
            asked = [each.event.notification for each in tries]
            body = msgspec.json.encode({"notifications": [self._body(each) for each in asked]})
            keyed = all(each.idempotency_key for each in asked)
            answer = await self._client.ask("POST", "/v1/notifications/batch", body, repeatable=keyed)
        finally:
            self._under_way -= len(tries)
            self._batches.release()
        if answer.status == 202:
            self.answers.batch_ms.append((self._clock.monotonic() - began) * 1_000)
            self._read(tries, msgspec.json.decode(answer.body, type=_BatchAnswer).results)
        elif answer.status == 0:
            self.answers.unanswered += len(tries)
        else:
            for each in tries:
                self._refused(each, problem_of(answer))

    def _read(self, tries: Sequence[_Try], results: Sequence[_BatchItem]) -> None:
        for each, result in zip(tries, results, strict=True):
            if result.id is not None:
                self.answers.taken(result.id)
            else:
                self._refused(each, result.error or Problem())

    def _refused(self, one: _Try, problem: Problem) -> None:
        """Come back with it where that is the answer, for as long as the caller's patience lasts."""
        now = self._clock.monotonic()
        unknown = problem.code == _UNKNOWN
        if unknown and one.event.notification.idempotency_key is None:
            self.answers.unanswered += 1
        elif (unknown or problem.code in _LATER) and now < one.until:
            self._again.append(_Try(one.event, one.until, now + _PAUSE_S))
        else:
            self.answers.refused[problem.reason] += 1

    def _body(self, asked: Asked) -> Asked:
        """The body with its moments moved from the day to the play; a repeat has the body of the first."""
        if asked.send_at is None and asked.expires_at is None:
            return asked
        line, body = self._bodies.get(asked.idempotency_key or "", (None, None))
        if body is not None and line == asked:
            return body
        body = msgspec.structs.replace(
            asked,
            send_at=self._pace.text(asked.send_at, self._held_ms) if asked.send_at else None,
            expires_at=self._pace.text(asked.expires_at, self._held_ms) if asked.expires_at else None,
        )
        if asked.idempotency_key is not None:
            self._bodies.setdefault(asked.idempotency_key, (asked, body))
        return body


def _critical_types(day: Day) -> frozenset[str]:
    return frozenset(line.name for line in day.types if line.type.get("priority") == "critical")
