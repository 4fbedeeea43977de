"""Which lines of a frequent kind are written: all of them while they are few, then one in a hundred."""

from collections.abc import Callable
from typing import Final, Literal

SampleMode = Literal["all", "sampled", "off"]

THRESHOLD: Final = 100
"""So many lines a second are written in full."""
ONE_IN: Final = 100
"""Of what comes beyond them in the same second, one in so many."""


class Sampler:
    """A decision for one kind of line; not for use by several threads at once, and harmless if it is."""

    def __init__(self, mode: SampleMode, monotonic: Callable[[], float]) -> None:
        self._mode = mode
        self._monotonic = monotonic
        self._second = -1
        self._left = 0
        self._skip = 0

    def take(self, n: int) -> tuple[range, range]:
        """Of `n` candidates, the indexes to write in full and those of which each stands for ONE_IN."""
        if self._mode != "sampled":
            return range(n if self._mode == "all" else 0), range(0)
        second = int(self._monotonic())
        if second != self._second:
            self._second, self._left = second, THRESHOLD
        full = min(n, self._left)
        self._left -= full
        thinned = range(full + self._skip, n, ONE_IN)
        self._skip = thinned[-1] + ONE_IN - n if thinned else self._skip - (n - full)
        return range(full), thinned

    def weight(self) -> int:
        """For one candidate: how many it stands for, 0 if it is not to be written."""
        if self._mode != "sampled":
            return 1 if self._mode == "all" else 0
        second = int(self._monotonic())
        if second != self._second:
            self._second, self._left = second, THRESHOLD
        if self._left:
            self._left -= 1
            return 1
        if self._skip:
            self._skip -= 1
            return 0
        self._skip = ONE_IN - 1
        return ONE_IN
