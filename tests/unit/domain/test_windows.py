"""Windows of local time on the days that matter, written out."""

from datetime import UTC, datetime

import pytest

from bellhouse.domain.windows import window


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "start", "end", "inside", "ends"),
    [
        ("Europe/Paris", "22:00", "08:00", "2026-07-01T22:00", "2026-07-02T06:00"),
        ("Europe/Paris", "22:00", "08:00", "2026-03-28T22:00", "2026-03-29T06:00"),  # the night that is an hour short
        ("Europe/Paris", "22:00", "08:00", "2026-10-24T22:00", "2026-10-25T07:00"),  # the night that is an hour long
        ("Europe/Paris", "22:00", "02:30", "2026-03-28T22:00", "2026-03-29T01:00"),  # 02:30 is skipped: the jump
        ("Europe/Paris", "22:00", "02:30", "2026-10-24T22:00", "2026-10-25T00:30"),  # 02:30 comes twice: the first
        ("America/New_York", "01:30", "03:00", "2026-11-01T05:30", "2026-11-01T08:00"),  # from the first 01:30
        ("Australia/Lord_Howe", "22:00", "02:15", "2026-10-03T15:00", "2026-10-03T15:30"),  # skipped by half an hour
        ("Pacific/Chatham", "22:00", "03:00", "2026-09-26T13:00", "2026-09-26T14:00"),  # 02:45 jumps to 03:45
        ("Antarctica/Troll", "00:30", "01:30", "2026-03-29T00:45", "2026-03-29T01:00"),  # two hours skipped
        ("America/Santiago", "20:00", "00:30", "2026-09-06T03:30", "2026-09-06T04:00"),  # midnight is skipped
        ("America/Santiago", "20:00", "24:00", "2026-04-05T03:30", "2026-04-05T04:00"),  # 23:00 comes twice
    ],
)
def test_a_window_ends_once_on_the_days_of_a_clock_change(
    zone: str, start: str, end: str, inside: str, ends: str
) -> None:
    assert window(zone, start, end).ends_at(utc(inside)) == utc(ends)


def test_the_first_moment_is_in_and_the_last_is_out() -> None:
    night = window("UTC", "22:00", "08:00")
    assert night.contains(utc("2026-07-01T22:00"))
    assert not night.contains(utc("2026-07-01T22:00") - 1)
    assert night.contains(utc("2026-07-02T08:00") - 1)
    assert not night.contains(utc("2026-07-02T08:00"))


def test_weekdays_are_those_on_which_it_begins() -> None:
    friday_night = window("UTC", "22:00", "08:00", (5,))
    assert friday_night.contains(utc("2026-07-04T07:00"))
    assert not friday_night.contains(utc("2026-07-03T07:00"))


def test_windows_that_touch_are_one() -> None:
    weekend = window("UTC", "00:00", "24:00", (6, 7))
    assert weekend.ends_at(utc("2026-07-04T10:00")) == utc("2026-07-06T00:00")


def test_a_window_that_covers_everything_ends_at_its_horizon() -> None:
    always = window("UTC", "00:00", "24:00")
    end = always.ends_at(utc("2026-07-04T10:00"))
    assert end is not None
    assert end > utc("2026-07-11T10:00")


@pytest.mark.parametrize(
    "wrong",
    [
        ("Mars/Olympus", "22:00", "08:00", ()),
        ("../etc/passwd", "22:00", "08:00", ()),
        ("", "22:00", "08:00", ()),
        ("UTC", "22:00", "22:00", ()),
        ("UTC", "24:00", "08:00", ()),
        ("UTC", "8:00", "09:00", ()),
        ("UTC", "08:60", "09:00", ()),
        ("UTC", "08:00", "09:00", (0,)),
        ("UTC", "08:00", "09:00", (8,)),
    ],
)
def test_a_zone_time_or_weekday_that_does_not_exist_is_refused(wrong: tuple[str, str, str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"zone|window|time|weekdays"):
        window(*wrong)
