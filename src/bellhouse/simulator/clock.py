"""The simulator's own view of time: wall clock in milliseconds and its text forms."""

import time
from datetime import UTC, datetime
from email.utils import formatdate


def now_ms() -> int:
    """Milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds on a clock that never goes back."""
    return time.monotonic()


def rfc3339(at: int) -> str:
    """`at` (ms since the epoch) as RFC 3339 with milliseconds and zone `Z`."""
    moment = datetime.fromtimestamp(at // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}Z"


def rfc2822(at: int) -> str:
    """`at` (ms since the epoch) as RFC 2822, zone `+0000`."""
    return formatdate(at / 1000, usegmt=False, localtime=False).replace("-0000", "+0000")
