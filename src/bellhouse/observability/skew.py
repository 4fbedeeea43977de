"""How far our clock is from those outside, told from answers that carry the time."""

from collections import deque
from statistics import median
from typing import Final

SAMPLES: Final = 5
"""Answers of one source of which the median counts: one that was late on its way moves nothing."""
FRESH_MS: Final = 600_000
"""A source that has said nothing for so long counts no more."""


class Skew:
    """Our clock minus those of several sources."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[int]] = {}
        self._heard: dict[str, float] = {}

    def add(self, source: str, asked_at: int, answered_at: int, theirs: int, now_s: float) -> None:
        """An answer of a source: `theirs` is its time, between our asking and our reading it (ms since the epoch);
        `now_s` is monotonic."""
        ahead = (asked_at + answered_at) // 2 - theirs
        self._seen.setdefault(source, deque(maxlen=SAMPLES)).append(ahead)
        self._heard[source] = now_s

    def seconds(self, now_s: float) -> float | None:
        """How far we are ahead; None where nobody has told the time of late.

        Of several sources the one that is nearest to us counts: it is our clock that is wrong only where all say so.
        """
        ahead = [
            median(seen) for source, seen in self._seen.items() if (now_s - self._heard[source]) * 1000 <= FRESH_MS
        ]
        return min(ahead, key=abs) / 1000 if ahead else None
