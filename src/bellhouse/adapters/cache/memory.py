"""The embedded cache: bounded dictionaries in one process, for what needs to be remembered in that process only."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from math import inf
from typing import Final, Generic, TypeVar

from bellhouse.ports.clock import Clock

ENTRIES: Final = 100_000
"""How many values, and how many counters, are kept unless told otherwise: 17 MB of counters with short keys."""
_UNHEARD: Final = 1_000
"""Messages that are kept for a subscriber that is slow; beyond them the oldest are lost."""

T = TypeVar("T", int, bytes)


class _Shelf(Generic[T]):
    """Entries with their ends, in two halves: what is written goes to the young one, and when that is full the old one
    is let go and the young one grows old.

    So making room costs nothing per entry, and of more entries than fit the newest stay. Entries that have ended go
    first.
    """

    __slots__ = ("_first_end", "half", "old", "young")

    def __init__(self, entries: int) -> None:
        self.half = entries // 2
        self._first_end = inf
        """Before this moment nothing ends that was written since the half is young; what came over from the old may."""
        self.young: dict[str, tuple[T, float]] = {}
        self.old: dict[str, tuple[T, float]] = {}

    def make_room(self, count: int, now: float, until: float) -> None:
        """Let `count` more entries in that end at `until`; only more than half of the bound at once exceed it."""
        if len(self.young) + count > self.half:
            self._sweep(now)
            # It pays only where it frees much: otherwise the next call would sweep again.
            if len(self.young) + count > self.half // 2:
                self.old = self.young
                self.young = {}
                self._first_end = inf
        self._first_end = min(self._first_end, until)

    def _sweep(self, now: float) -> None:
        if self._first_end <= now:
            self.young = {key: entry for key, entry in self.young.items() if entry[1] > now}
            self._first_end = min((entry[1] for entry in self.young.values()), default=inf)

    def find(self, key: str, now: float) -> T | None:
        """What `key` has, unless it has ended."""
        entry = self.young.get(key) or self.old.get(key)
        return entry[0] if entry is not None and entry[1] > now else None

    def set(self, key: str, value: T, until: float) -> None:
        """Write an entry, which is the newest then."""
        self.old.pop(key, None)
        self.young[key] = (value, until)

    def drop(self, key: str) -> None:
        """Forget an entry, if there is one."""
        self.young.pop(key, None)
        self.old.pop(key, None)

    def __len__(self) -> int:
        return len(self.young) + len(self.old)


class MemorySubscription:
    """What one listener has not heard yet."""

    def __init__(self, listeners: "list[MemorySubscription]") -> None:
        self._listeners = listeners
        self._unheard: deque[bytes] = deque(maxlen=_UNHEARD)
        self._rung = asyncio.Event()
        listeners.append(self)

    def tell(self, messages: Sequence[bytes]) -> None:
        """Keep messages for the next `receive`."""
        self._unheard.extend(messages)
        if messages:
            self._rung.set()

    async def receive(self) -> Sequence[bytes]:
        """The messages since the last call, in order; waits until there is one."""
        await self._rung.wait()
        self._rung.clear()
        heard = list(self._unheard)
        self._unheard.clear()
        return heard

    async def close(self) -> None:
        """Hear nothing any more."""
        if self in self._listeners:
            self._listeners.remove(self)


class MemoryCache:
    """A Cache of one process. It belongs to the event loop's thread, and is never unavailable."""

    def __init__(self, clock: Clock, entries: int = ENTRIES) -> None:
        """`entries`: the most values, and the most counters, at least 2. Of more of them the newest half stays."""
        self._clock = clock
        self._values: _Shelf[bytes] = _Shelf(entries)
        self._counters: _Shelf[int] = _Shelf(entries)
        self._listeners: defaultdict[str, list[MemorySubscription]] = defaultdict(list)

    def __len__(self) -> int:
        """How many entries are held, those that have ended and were not swept yet included."""
        return len(self._values) + len(self._counters)

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """The value of each key; None where there is none."""
        now = self._clock.monotonic()
        find = self._values.find
        return [find(key, now) for key in keys]

    async def put(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        """Set values, over what was there, until `ttl_s` from now."""
        now = self._clock.monotonic()
        until = _end(now, ttl_s)
        self._values.make_room(len(values), now, until)
        for key, value in values.items():
            self._values.set(key, value, until)

    async def add(self, values: Mapping[str, bytes], ttl_s: float) -> Sequence[bool]:
        """Set those values whose key has none, until `ttl_s` from now; answers for each whether it was new."""
        now = self._clock.monotonic()
        until = _end(now, ttl_s)
        shelf = self._values
        shelf.make_room(len(values), now, until)
        new = [shelf.find(key, now) is None for key in values]
        for (key, value), is_new in zip(values.items(), new, strict=True):
            if is_new:
                shelf.set(key, value, until)
        return new

    async def count(self, increments: Mapping[str, int], window_s: float) -> Sequence[int]:
        """Add to counters; answers where each stands now. A counter ends `window_s` after the call that began it."""
        now = self._clock.monotonic()
        end = _end(now, window_s)
        self._counters.make_room(len(increments), now, end)
        young, old = self._counters.young, self._counters.old
        totals: list[int] = []
        for key, by in increments.items():
            entry = young.get(key) or old.pop(key, None)
            if entry is not None and entry[1] > now:
                total, until = entry[0] + by, entry[1]
            else:
                total, until = by, end
            young[key] = (total, until)
            totals.append(total)
        return totals

    async def delete(self, keys: Sequence[str]) -> None:
        """Forget values and counters."""
        for key in keys:
            self._values.drop(key)
            self._counters.drop(key)

    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        """Tell everyone who is subscribed to `subject` now."""
        for listener in self._listeners.get(subject, ()):
            listener.tell(messages)

    async def subscribe(self, subject: str) -> MemorySubscription:
        """Hear what is published on `subject` from now on."""
        return MemorySubscription(self._listeners[subject])


def _end(now: float, seconds: float) -> float:
    if not seconds > 0:
        raise ValueError(f"a time of {seconds} s has ended before it began")
    return now + seconds
