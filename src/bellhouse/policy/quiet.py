"""What quiet hours do to a delivery: nothing, a later moment, or the end of it."""

from typing import Final

from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.ids import RecipientNo
from bellhouse.domain.recipient import Profile
from bellhouse.domain.windows import Window, window

SPREAD_MS: Final = 600_000
"""Over how long those whose quiet hours end at one moment are spread: the herd of 08:00."""

DROPPED: Final = -1
"""What `deferral` answers where it must not or cannot wait."""

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = 0xFFFFFFFFFFFFFFFF


def deferral(kind: NotificationType, profile: Profile, recipient: RecipientNo, now: int, expires_at: int) -> int:
    """When a delivery on a disturbing channel may leave: 0 is at once, else ms since the epoch, or DROPPED.

    It is dropped where the type says so, or where the quiet hours outlast `expires_at`. A zone or time that cannot
    be read disturbs nobody's notification: UTC stands for such a zone, and such hours are none.
    """
    quiet = profile.preferences.quiet_hours
    if quiet is None or kind.quiet_hours == "ignore" or kind.category == "security":
        return 0
    hours = _hours(profile.zone, quiet.start, quiet.end, quiet.days)
    end = hours.ends_at(now) if hours is not None else None
    if end is None:
        return 0
    if kind.quiet_hours == "drop" or end >= expires_at:
        return DROPPED
    return end + spread(recipient, min(SPREAD_MS, (expires_at - end) // 2))


def spread(recipient: RecipientNo, over_ms: int) -> int:
    """A recipient's own moment within `over_ms`, the same each time; neighbours lie far apart (Fibonacci hashing)."""
    return ((recipient * _GOLDEN & _MASK) >> 32) * over_ms >> 32


def _hours(zone: str, start: str, end: str, days: tuple[int, ...]) -> Window | None:
    for known in (zone, "UTC"):
        try:
            return window(known, start, end, days)
        except ValueError:
            continue
    return None
