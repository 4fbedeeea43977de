"""Windows of local time, such as 22:00–08:00 in Europe/Paris, and the moments at which they begin and end.

The rule for clock changes: a local time stands for the *first* moment at which that day's clock shows it or, where
it is skipped, for the moment of the jump. So a repeated or skipped time counts once, each window of a day begins
and ends once, and a window lasts as long as its clock does: 01:00–03:00 is one hour long in spring and three in
autumn where 02:00–03:00 is skipped or repeated.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
_DAY_MINUTES: Final = 1440
_DAY: Final = timedelta(days=1)
_HORIZON_DAYS: Final = 8
"""A week and a day: whatever the weekdays, the next beginning or end lies within, or there is none."""


class Window:
    """A daily window in a zone. Make it by `window`, which keeps those already made."""

    __slots__ = ("_days", "_end", "_known", "_start", "_zone")

    def __init__(self, zone: ZoneInfo, start: int, end: int, days: frozenset[int]) -> None:
        self._zone = zone
        self._start = start
        self._end = end if end > start else end + _DAY_MINUTES
        self._days = days
        self._known = (0, 0, False)

    def ends_at(self, now: int) -> int | None:
        """The end (ms since the epoch) of the window in which `now` lies; None outside.

        Windows that touch are one. Where they cover everything, the end of the horizon of eight days is given.
        """
        since, until, inside = self._known
        if not since <= now < until:
            self._known = since, until, inside = self._span(now)
        return until if inside else None

    def contains(self, now: int) -> bool:
        """Whether `now` (ms since the epoch) lies in the window; its first moment does, its last does not."""
        return self.ends_at(now) is not None

    def _span(self, now: int) -> tuple[int, int, bool]:
        """The stretch from `now` over which the answer stays the same."""
        today = datetime.fromtimestamp(now / 1000, self._zone).date()
        end: int | None = None
        for opens, closes in self._occurrences(today):
            if end is None and opens > now:
                return now, opens, False
            if end is not None and opens > end:
                return now, end, True
            if closes > now:
                end = closes if end is None else max(end, closes)
        if end is None:
            return now, now + _HORIZON_DAYS * 86_400_000, False
        return now, end, True

    def _occurrences(self, today: date) -> Iterator[tuple[int, int]]:
        for offset in range(-2, _HORIZON_DAYS + 1):
            day = today + offset * _DAY
            if not self._days or day.isoweekday() in self._days:
                opens, closes = moment(self._zone, day, self._start), moment(self._zone, day, self._end)
                if opens < closes:
                    yield opens, closes


@lru_cache(maxsize=16_384)
def window(zone: str, start: str, end: str, days: tuple[int, ...] = ()) -> Window:
    """The window from `start` to `end` (HH:MM; `end` may be 24:00, or earlier than `start`: over midnight).

    `days` are the ISO weekdays (1 Monday … 7 Sunday) on which it begins; empty is every day. Raises ValueError for
    a zone, time or weekday that does not exist, and for a start that is the end: a whole day is 00:00–24:00.
    """
    opens, closes = minutes(start), minutes(end)
    if opens in (closes, _DAY_MINUTES):
        raise ValueError(f"{start}–{end} is no window: it begins where it ends; a whole day is 00:00–24:00")
    if not all(1 <= day <= 7 for day in days):
        raise ValueError(f"{days} are not ISO weekdays, 1 (Monday) to 7 (Sunday)")
    return Window(zone_of(zone), opens, closes, frozenset(days))


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises ValueError for one that does not exist."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Paris") from error


def minutes(text: str) -> int:
    """Minutes since midnight of HH:MM, 00:00 to 24:00. Raises ValueError for anything else."""
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is not a time HH:MM from 00:00 to 24:00")
    return int(text[:2]) * 60 + int(text[3:])


def moment(zone: ZoneInfo, day: date, minute: int) -> int:
    """When a local day's clock first shows `minute` (since midnight; 1440 and more are the next day's), in ms.

    A time that the zone skips is the moment of the jump.
    """
    local = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    at = local.replace(tzinfo=zone)
    after = int(at.timestamp())
    if datetime.fromtimestamp(after, zone).replace(tzinfo=None) == local:
        return after * 1000
    return _jump(zone, int(at.replace(fold=1).timestamp()), after) * 1000


def _jump(zone: ZoneInfo, before: int, after: int) -> int:
    """The first second after `before`, and not after `after`, at which the zone's offset is another."""
    old = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: ZoneInfo, second: int) -> timedelta | None:
    return datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()
