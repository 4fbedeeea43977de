"""Live series of a metric: counters, gauges and histograms that take a whole batch in one call.

Plain dictionaries under a lock, and not prometheus_client's objects, for three reasons (`benchmarks/telemetry.py`
measures them): a batch of durations is sorted once in place of 500 calls; the copies that the processes exchange
every second cost a fraction of its `collect`, and the text a fraction of its `generate_latest`, which would hold up
the event loop; and its registry refuses `dead_letters` beside `dead_letters_total`, which are the exact names.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from threading import Lock

import msgspec

from bellhouse.observability.catalogue import OTHER, Metric, Words

Labels = tuple[str, ...]

_STAY_MS = 86_400_000
_FEW = 6
"""Up to so many values it is cheaper to place each than to sort."""


class Distribution(msgspec.Struct, array_like=True, gc=False):
    """A histogram's series: a count for each bucket and one for what is above the last, and the sum of the values."""

    counts: list[int]
    total: float = 0.0


class Register:
    """Which label values are allowed: each list's own, and what the app registered up to the list's limit."""

    def __init__(self) -> None:
        self._allowed: dict[str, set[str]] = {}

    def add(self, words: Words, values: Iterable[str]) -> None:
        """Allow more values of a list that may grow; beyond its limit the rest is ignored."""
        allowed = self.allowed(words)
        for value in values:
            if len(allowed) >= words.limit:
                return
            allowed.add(value)

    def remove(self, words: Words, value: str) -> None:
        """Allow a value no longer."""
        self.allowed(words).discard(value)

    def allowed(self, words: Words) -> set[str]:
        return self._allowed.setdefault(words.name, set(words.values))

    def learn(self, metric: Metric, labels: Labels) -> None:
        """Allow the values of a series that an earlier life of this process had, before anything is registered."""
        for label, value in zip(metric.labels, labels, strict=True):
            self.add(label.words, (value,))

    def bound(self, metric: Metric, labels: Labels) -> Labels:
        """The labels with every unknown value replaced by `other`."""
        return tuple(
            value if value in self.allowed(label.words) else OTHER
            for label, value in zip(metric.labels, labels, strict=True)
        )


class Counter:
    """A counter's series."""

    def __init__(self, metric: Metric, register: Register) -> None:
        self.metric = metric
        self._register = register
        self._lock = Lock()
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels, n: float) -> None:
        """Add `n`. Labels that have a series already are known to be allowed; only the first time is checked."""
        with self._lock:
            if labels in self._values:
                self._values[labels] += n
                return
            bounded = self._register.bound(self.metric, labels)
            self._values[bounded] = self._values.get(bounded, 0) + n

    def restore(self, labels: Labels, base: float) -> None:
        """Add what an earlier life of this process had counted."""
        self._register.learn(self.metric, labels)
        self.add(labels, base)

    def drop(self, place: int, value: str) -> None:
        """End all series whose label at `place` has this value."""
        with self._lock:
            self._values = {labels: counted for labels, counted in self._values.items() if labels[place] != value}

    def copy(self) -> dict[Labels, float]:
        with self._lock:
            return self._values.copy()


class PassingCounter:
    """A counter one of whose labels has values that come and go, so that nobody can register them beforehand.

    There are as many at a time as the label's list has room for. Where there is none, the value that was not counted
    for the longest time makes room, and its series end, if that was a day; if not, the new one is `other`.
    """

    def __init__(self, counter: Counter, register: Register, label: str) -> None:
        self._counter = counter
        self._register = register
        self._place = [one.name for one in counter.metric.labels].index(label)
        self._words = counter.metric.labels[self._place].words
        self._lock = Lock()
        self._counted_at: dict[str, int] = {}
        """When each value was counted last (ms), those of the longest time ago first."""

    def add(self, labels: Labels, n: float, now: int) -> None:
        with self._lock:
            self._let_in(labels[self._place], now)
            self._counter.add(labels, n)

    def resume(self, now: int) -> None:
        """Take in the values that an earlier life of this process had counted."""
        with self._lock:
            for labels in self._counter.copy():
                if labels[self._place] != OTHER:
                    self._let_in(labels[self._place], now)

    def _let_in(self, value: str, now: int) -> None:
        if self._counted_at.pop(value, None) is None and not self._has_room(now):
            return
        self._counted_at[value] = now
        self._register.add(self._words, (value,))

    def _has_room(self, now: int) -> bool:
        if len(self._counted_at) < self._words.limit:
            return True
        longest_ago, at = next(iter(self._counted_at.items()))
        if now - at < _STAY_MS:
            return False
        del self._counted_at[longest_ago]
        self._register.remove(self._words, longest_ago)
        self._counter.drop(self._place, longest_ago)
        return True


class Gauge:
    """A gauge's series."""

    def __init__(self, metric: Metric, register: Register) -> None:
        self.metric = metric
        self._register = register
        self._lock = Lock()
        self._values: dict[Labels, float] = {}

    def set(self, labels: Labels, value: float) -> None:
        bounded = self._register.bound(self.metric, labels)
        with self._lock:
            self._values[bounded] = value

    def replace(self, values: Iterable[tuple[Labels, float]]) -> None:
        """Set the whole table; several values that fold into one series are summed, or the greatest counts."""
        table: dict[Labels, float] = {}
        for labels, value in values:
            bounded = self._register.bound(self.metric, labels)
            before = table.get(bounded)
            table[bounded] = value if before is None else self._folded(before, value)
        with self._lock:
            self._values = table

    def copy(self) -> dict[Labels, float]:
        with self._lock:
            return self._values.copy()

    def _folded(self, one: float, other: float) -> float:
        return one + other if self.metric.fold == "sum" else max(one, other)


class Histogram:
    """A histogram's series."""

    def __init__(self, metric: Metric, register: Register) -> None:
        self.metric = metric
        self._register = register
        self._lock = Lock()
        self._bounds = metric.buckets
        self._series: dict[Labels, Distribution] = {}

    def observe(self, labels: Labels, values: Sequence[float]) -> None:
        """Add all values at once; a negative one (the wall clock was set back) counts as 0."""
        if not values:
            return
        if min(values) < 0:
            values = [max(value, 0.0) for value in values]
        places = self._placed(values)
        total = sum(values)
        with self._lock:
            series = self._series.get(labels) or self._admitted(labels)
            counts = series.counts
            for bucket, count in places:
                counts[bucket] += count
            series.total += total

    def restore(self, labels: Labels, base: Distribution) -> None:
        """Add what an earlier life of this process had counted; a record with other buckets is left out."""
        if len(base.counts) != len(self._bounds) + 1:
            return
        self._register.learn(self.metric, labels)
        with self._lock:
            series = self._admitted(labels)
            series.counts = [mine + before for mine, before in zip(series.counts, base.counts, strict=True)]
            series.total += base.total

    def copy(self) -> dict[Labels, Distribution]:
        with self._lock:
            return {labels: Distribution(one.counts.copy(), one.total) for labels, one in self._series.items()}

    def _placed(self, values: Sequence[float]) -> list[tuple[int, int]]:
        """Which bucket gets how many. A bucket's bound belongs to it (`le`)."""
        bounds = self._bounds
        if len(values) <= _FEW:
            return [(bisect_left(bounds, value), 1) for value in values]
        ordered = sorted(values)
        places, below = [], 0
        for bucket, bound in enumerate(bounds):
            reached = bisect_right(ordered, bound, below)
            if reached > below:
                places.append((bucket, reached - below))
                below = reached
        if below < len(ordered):
            places.append((len(bounds), len(ordered) - below))
        return places

    def _admitted(self, labels: Labels) -> Distribution:
        bounded = self._register.bound(self.metric, labels)
        series = self._series.get(bounded)
        if series is None:
            series = self._series[bounded] = Distribution([0] * (len(self._bounds) + 1))
        return series
