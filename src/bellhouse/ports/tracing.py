"""Where spans go. Batch-first, and nothing is asked of it where tracing is off or a notification is not sampled.

A stage looks at `on` once a batch and at `domain.trace.is_sampled` once a notification; only for the sampled does it
build spans. No call raises and none waits: what cannot be taken is dropped and counted.
"""

from collections.abc import Sequence
from typing import Protocol

from bellhouse.domain.ids import NotificationId
from bellhouse.domain.trace import Span
from bellhouse.ports.clock import Clock


class Tracing(Protocol):
    """One process's spans on their way to a collector."""

    @property
    def on(self) -> bool:
        """Whether anything is recorded at all."""
        ...

    def begin(self, notification: NotificationId) -> str | None:
        """The context of a new notification that came without one; None where it is not sampled."""
        ...

    def emit(self, spans: Sequence[Span]) -> None:
        """Hand finished spans over."""
        ...

    def is_slow(self, ended_ms: int) -> bool:
        """Whether a way of so many milliseconds, from ready to ended, is too long."""
        ...

    def keep(self, notification: NotificationId) -> None:
        """Ask for the whole trace of a notification that failed or was slow, though it was not sampled. Of more than
        a bounded number the latest are forgotten."""
        ...

    def kept(self, limit: int) -> Sequence[NotificationId]:
        """Take at most `limit` of those that were asked for, the oldest first."""
        ...


class NullTracing:
    """Records nothing."""

    on = False

    def begin(self, _notification: NotificationId) -> None:
        return None

    def emit(self, _spans: Sequence[Span]) -> None:
        return None

    def is_slow(self, _ended_ms: int) -> bool:
        return False

    def keep(self, _notification: NotificationId) -> None:
        return None

    def kept(self, _limit: int) -> Sequence[NotificationId]:
        return ()


class Moments:
    """Wall time (ns since the epoch) of one batch's monotonic moments, all by the same anchor, so that what lay within
    something else still does."""

    __slots__ = ("_anchor",)

    def __init__(self, clock: Clock) -> None:
        self._anchor = clock.now() * 1_000_000 - int(clock.monotonic() * 1e9)

    def at(self, monotonic: float) -> int:
        """A monotonic moment (s) as wall time."""
        return self._anchor + int(monotonic * 1e9)


NO_TRACING = NullTracing()
"""For whoever is not told otherwise."""
