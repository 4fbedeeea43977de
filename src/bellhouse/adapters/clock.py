"""The machine's clock: the only place in the house that reads the time or sleeps."""

import asyncio
import time


class SystemClock:
    """Wall time and monotonic time of this machine."""

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of monotonic time."""
        await asyncio.sleep(seconds)

    def pause(self, seconds: float) -> None:
        """Block the calling thread for `seconds`; for what runs beside or before an event loop."""
        time.sleep(seconds)
