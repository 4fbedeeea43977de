"""Time: the one place from which the house learns what time it is, and waits."""

from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored, monotonic time for what is measured.

    Wall time may be set back by an operator or NTP; an answer of `now` never goes back within one process by more
    than the world's clock did, and nothing in the house may rely on it to be ascending.
    """

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of monotonic time."""
        ...
