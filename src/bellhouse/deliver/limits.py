"""How fast a provider account may be called: a token bucket that obeys `Retry-After` and adapts to throttles.

The last tokens of a bucket are critical's own: others leave them, so a flood of low never makes critical wait for
the rate; and since they are a level and not a second bucket, the whole rate is for others while critical is silent.
A throttle halves the rate at once; it grows back by a fifth of what it was each second (additive increase,
multiplicative decrease, as TCP does: Chiu and Jain, 1989). Times are monotonic seconds.
"""

import math
from typing import Final

BURST_S: Final = 1.0
"""How many seconds of its rate a bucket holds."""
RESERVE: Final = 0.2
"""The part of a bucket that only critical may take."""
DECREASE: Final = 0.5
INCREASE_PER_S: Final = 0.2
"""Of the rate at which the throttle came."""
MIN_STEP: Final = 2.0
"""Messages a second by which a rate grows each second at the least: a lane that sends little is soon itself again."""
MIN_RATE: Final = 1.0
"""Messages a second below which throttles do not push it."""
SAME_BURST_S: Final = 1.0
"""Throttles so soon after one another answer the same burst, and count once."""
WANTS_MORE: Final = 1.5
"""How much more than it sends a process claims that had to wait."""
FREE_AGAIN: Final = 4.0
"""An account without a rate of its own is free again at so many times the pace at which it was throttled."""


class Bucket:
    """A token bucket, filled evenly at `rate` a second up to `capacity`; the lowest `floor` are for the urgent."""

    __slots__ = ("_at", "_tokens", "capacity", "floor", "rate")

    def __init__(self, rate: float, now: float, full: bool = True) -> None:
        """Raises ValueError for a rate that is not above zero."""
        self._at = now
        self._tokens = 0.0
        self._size(rate)
        if full:
            self._tokens = self.capacity

    def set_rate(self, rate: float, now: float) -> None:
        """Change the rate; what is in the bucket stays, up to the new capacity."""
        self._fill(now)
        self._size(rate)
        self._tokens = min(self._tokens, self.capacity)

    def _size(self, rate: float) -> None:
        if not rate > 0:
            raise ValueError(f"a rate of {rate} sends nothing: pause the lane instead")
        self.rate = rate
        self.floor = max(1.0, rate * BURST_S * RESERVE)
        self.capacity = max(rate * BURST_S, 2.0 + self.floor)

    def take(self, n: int, now: float, urgent: bool = False) -> int:
        """Take up to `n` tokens; returns how many were there."""
        self._fill(now)
        free = self._tokens - (0.0 if urgent else self.floor)
        granted = min(n, int(free)) if free >= 1 else 0
        self._tokens -= granted
        return granted

    def give_back(self, n: int) -> None:
        """Return tokens that were taken and not used."""
        self._tokens = min(self.capacity, self._tokens + n)

    def wait_s(self, n: int, now: float, urgent: bool = False) -> float:
        """Seconds until `take` grants `n`, or as many as the bucket can ever hold, if nobody else takes."""
        self._fill(now)
        floor = 0.0 if urgent else self.floor
        return max(0.0, min(float(n), math.floor(self.capacity - floor)) + floor - self._tokens) / self.rate

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self.capacity, self._tokens + (now - self._at) * self.rate)
            self._at = now


class Limiter:
    """The pace of one provider account in one process."""

    __slots__ = (
        "_bucket",
        "_ceiling",
        "_changed_at",
        "_configured",
        "_pace",
        "_part",
        "_rate",
        "_step",
        "_throttled_at",
        "_throttled_pace",
        "_waited",
        "blocked_until",
    )

    def __init__(self, rate: float | None, now: float, part: float = 1.0) -> None:
        """`rate` in messages a second for the whole deployment, None where there is none worth keeping; `part` is
        this process's share of it."""
        self._rate = self._configured = rate
        self._part = part
        self._pace = _Pace(now)
        self._waited = False
        """Whether anybody had to wait since the demand was last asked for."""
        self._ceiling: float | None = None
        """The rate after throttles; None where it is the configured one."""
        self._step = self._throttled_pace = 0.0
        self._changed_at = self._throttled_at = -math.inf
        self.blocked_until = -math.inf
        """Nothing goes out before this moment: what `Retry-After` said."""
        self._bucket = None if rate is None else Bucket(rate * part, now)

    @property
    def rate(self) -> float | None:
        """Messages a second that this process may send now; None for any number."""
        return None if self._bucket is None else self._bucket.rate

    def configure(self, rate: float | None, now: float, part: float | None = None) -> None:
        """Another rate (an operator's lever) or part; what throttles had taught is forgotten."""
        self._rate = rate
        self._part = self._part if part is None else part
        self._ceiling = None
        self._apply(now)

    def pull(self, rate: float | None, now: float) -> None:
        """The rate that an operator's lever says, for the whole deployment; None is the configured one again."""
        self.configure(self._configured if rate is None else rate, now)

    def share(self, part: float, of_all: float, now: float) -> None:  # noqa: ARG002 - CappedLimiter's
        """Another part of the configured rate for this process; `of_all`: its part of what is sent through all
        accounts together. What throttles had taught stays, in proportion."""
        if part == self._part:
            return
        if self._ceiling is not None:
            self._ceiling *= part / self._part
        self._part = part
        self._apply(now)

    def demand(self, now: float) -> float:
        """Messages a second that this process would send if it might: what it sends, and more where it had to wait."""
        pace = self._pace.per_second(now)
        wanted = pace * WANTS_MORE + 1.0 if self._waited else pace
        self._waited = False
        return wanted

    def take(self, n: int, now: float, critical: bool = False) -> int:
        """How many of `n` messages may go out now."""
        if now < self.blocked_until:
            return 0
        if self._ceiling is not None:
            self._grow(now)
        granted = n if self._bucket is None else self._bucket.take(n, now, critical)
        self._pace.add(granted, now)
        return granted

    def give_back(self, n: int) -> None:
        """Return what was granted and not sent."""
        self._pace.take_back(n)
        if self._bucket is not None:
            self._bucket.give_back(n)

    def wait_s(self, n: int, now: float, critical: bool = False) -> float:
        """Seconds until `n` may go out, if nobody else takes and the rate stays."""
        blocked = max(0.0, self.blocked_until - now)
        wait = blocked if self._bucket is None else max(blocked, self._bucket.wait_s(n, now, critical))
        self._waited = self._waited or wait > 0
        return wait

    def throttled(self, now: float, after_s: float = 0.0) -> None:
        """The provider said too fast: stop for `after_s`, and go on at half the pace."""
        self.blocked_until = max(self.blocked_until, now + after_s)
        if now - self._throttled_at < SAME_BURST_S:
            return
        self._throttled_at = now
        pace = self._pace.per_second(now) if self._bucket is None else self._bucket.rate
        self._step = max(MIN_STEP, pace * INCREASE_PER_S)
        self._ceiling = max(pace * DECREASE, MIN_RATE if self._bucket is None else min(MIN_RATE, pace))
        self._throttled_pace = pace
        self._changed_at = max(now, self.blocked_until)
        self._apply(now)

    def _grow(self, now: float) -> None:
        """Raise the rate by what the time since its last change is worth."""
        if self._ceiling is None or now <= self._changed_at:
            return
        self._ceiling += (now - self._changed_at) * self._step
        self._changed_at = now
        if self._ceiling >= self._limit():
            self._ceiling = None
        self._apply(now)

    def _limit(self) -> float:
        return max(MIN_RATE, self._throttled_pace) * FREE_AGAIN if self._rate is None else self._rate * self._part

    def _apply(self, now: float) -> None:
        rate = self._ceiling
        if rate is None and self._rate is not None:
            rate = self._rate * self._part
        if rate is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = Bucket(rate, now, full=False)
        else:
            self._bucket.set_rate(rate, now)


class _Pace:
    """How many went out in the last second, about."""

    __slots__ = ("_before", "_count", "_since")

    def __init__(self, now: float) -> None:
        self._since = now
        self._count = 0
        self._before = 0.0

    def add(self, count: int, now: float) -> None:
        self._turn(now)
        self._count += count

    def take_back(self, count: int) -> None:
        self._count = max(0, self._count - count)

    def per_second(self, now: float) -> float:
        self._turn(now)
        return max(self._before, float(self._count))

    def _turn(self, now: float) -> None:
        elapsed = now - self._since
        if elapsed >= 1.0:
            self._before = self._count / elapsed
            self._count = 0
            self._since = now
