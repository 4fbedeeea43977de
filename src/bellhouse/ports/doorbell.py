"""The doorbell: how a committed record wakes whoever waits for its topic, in this process or the one beside it."""

from typing import Protocol


class Doorbell(Protocol):
    """A hint, never a truth: a lost ring costs at most the waiter's timeout, a needless one costs an empty poll.

    Both calls belong to the event loop's thread. A topic has one waiter in the whole house, its consumer; a ring that
    comes while the waiter is busy is kept for its next `wait`.
    """

    def ring(self, topics: frozenset[str]) -> None:
        """Wake the waiters of `topics`; call it after the commit. Never blocks, never raises."""
        ...

    async def wait(self, topic: str, timeout_s: float) -> None:
        """Return as soon as `topic` has rung since the last `wait`, or after `timeout_s`."""
        ...
