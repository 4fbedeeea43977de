"""The doorbell: how a committed record wakes whoever waits for its topic, in this process or the one beside it."""

from typing import Final, Protocol

from bellhouse.ports.log import OutboxLane

DUE: Final = "due"
"""What rings when a due row was written: it may be earlier than the one that is slept for."""


def outbox_bell(lane: OutboxLane) -> str:
    """What rings when something of a lane was committed for the log."""
    return f"outbox.{lane}"


class Doorbell(Protocol):
    """A hint, never a truth: a lost ring costs at most the waiter's timeout, a needless one costs an empty poll.

    Both calls belong to the event loop's thread. A ring that comes while a topic's waiter is busy is kept for its
    next `wait`.
    """

    def ring(self, topics: frozenset[str]) -> None:
        """Wake the waiters of `topics`; call it after the commit. Never blocks, never raises."""
        ...

    async def wait(self, topic: str, timeout_s: float) -> None:
        """Return as soon as `topic` has rung since the last `wait`, or after `timeout_s`."""
        ...
