"""One limit over several provider accounts: what the whole deployment may send (`SEND_RATE_LIMIT`)."""

from bellhouse.deliver.limits import Bucket, Limiter


class CappedLimiter(Limiter):
    """The pace of one account that shares a bucket with others; the stricter of both decides."""

    __slots__ = ("_cap", "_free", "_limit_of_all")

    def __init__(self, rate: float | None, now: float, part: float, cap: Bucket) -> None:
        """`cap` is the bucket of all accounts of this process."""
        super().__init__(rate, now, part)
        self._cap = cap
        self._limit_of_all = cap.rate / part
        self._free = False
        """Whether an operator's lever says the rate: it wins over the limit of all."""

    def share(self, part: float, of_all: float, now: float) -> None:
        """Another part of the configured rate, and of the limit over all accounts."""
        super().share(part, of_all, now)
        self._cap.set_rate(self._limit_of_all * of_all, now)

    def pull(self, rate: float | None, now: float) -> None:
        """The rate that an operator's lever says, whatever the limit over all accounts; None is both again."""
        self._free = rate is not None
        super().pull(rate, now)

    def take(self, n: int, now: float, critical: bool = False) -> int:
        """How many of `n` messages may go out now."""
        if self._free:
            return super().take(n, now, critical)
        allowed = self._cap.take(n, now, critical)
        granted = super().take(allowed, now, critical) if allowed else 0
        self._cap.give_back(allowed - granted)
        return granted

    def give_back(self, n: int) -> None:
        """Return what was granted and not sent."""
        if not self._free:
            self._cap.give_back(n)
        super().give_back(n)

    def wait_s(self, n: int, now: float, critical: bool = False) -> float:
        """Seconds until `n` may go out, if nobody else takes and the rates stay."""
        own = super().wait_s(n, now, critical)
        return own if self._free else max(own, self._cap.wait_s(n, now, critical))
