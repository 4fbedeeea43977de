"""How long a failed delivery waits before its next attempt: exponential backoff with full jitter.

Full jitter draws the wait evenly from zero to the backoff, so that those who failed together do not return
together (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
"""

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    """When to try again, and when to stop."""

    base_ms: int = 1_000
    cap_ms: int = 300_000
    max_attempts: int = 3
    """Failed attempts after which a delivery is a dead letter."""

    def exhausted(self, attempts: int) -> bool:
        """Whether `attempts` failed ones are all that are allowed."""
        return attempts >= self.max_attempts

    def backoff_ms(self, attempts: int) -> int:
        """The longest wait after `attempts` (1 or more) failed ones: base · 2^(attempts − 1), at most the cap."""
        return min(self.cap_ms, self.base_ms << min(max(attempts, 1) - 1, 40))

    def wait_ms(self, attempts: int, luck: float, after_ms: int | None = None) -> int:
        """The wait after `attempts` failed ones; `luck` is a random number from 0 up to, but not including, 1.

        `after_ms` is the wait that the provider named (`Retry-After`): it is never shortened, and the jitter
        comes on top of it.
        """
        return (after_ms or 0) + int(self.backoff_ms(attempts) * luck)
