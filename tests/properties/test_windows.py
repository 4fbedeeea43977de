"""Windows of local time against a plain reading of their rule, in zones with awkward clock changes."""

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bellhouse.domain.windows import minutes, moment, window, zone_of

ZONES = (
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "America/Santiago",
    "America/St_Johns",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "UTC",
)
DAY = 86_400_000

zones = st.sampled_from(ZONES)
clock = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda t: f"{t[0]:02}:{t[1]:02}")
days = st.dates(date(2000, 1, 1), date(2037, 1, 1))
weekdays = st.frozensets(st.integers(1, 7), max_size=7).map(lambda found: tuple(sorted(found)))


def changes(zone: str, year: int) -> list[int]:
    """The hours of a year (UTC, ms) after which the zone's offset is another."""
    tz = ZoneInfo(zone)
    start = datetime(year, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=i) for i in range(366 * 24)]
    return [
        int(a.timestamp() * 1000)
        for a, b in itertools.pairwise(hours)
        if a.astimezone(tz).utcoffset() != b.astimezone(tz).utcoffset()
    ]


CHANGES = {zone: [at for year in (2005, 2024, 2026) for at in changes(zone, year)] for zone in ZONES}
moments = zones.flatmap(
    lambda zone: st.tuples(
        st.just(zone),
        st.integers(946_684_800_000, 2_114_380_800_000)
        if not CHANGES[zone]
        else st.tuples(st.sampled_from(CHANGES[zone]), st.integers(-2 * DAY, 2 * DAY)).map(sum)
        | st.integers(946_684_800_000, 2_114_380_800_000),
    )
)


def first_shown(tz: ZoneInfo, day: date, minute: int) -> int:
    """By stepping through the day: the first moment at which its clock shows that time or a later one."""
    local = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    at = int(local.replace(tzinfo=UTC).timestamp()) - 15 * 3600
    for second in range(at, at + 31 * 3600, 60):
        if datetime.fromtimestamp(second, tz).replace(tzinfo=None) >= local:
            return second * 1000
    raise AssertionError("the day never came")


@given(moments, st.integers(0, 1440))
def test_a_moment_is_the_first_at_which_the_clock_shows_it_or_a_later_time(where: tuple[str, int], minute: int) -> None:
    tz = ZoneInfo(where[0])
    day = datetime.fromtimestamp(where[1] / 1000, tz).date()
    assert moment(tz, day, minute) == first_shown(tz, day, minute)


@given(zones, days, st.integers(0, 1438))
def test_moments_never_go_back(zone: str, day: date, minute: int) -> None:
    tz = zone_of(zone)
    assert moment(tz, day, minute) <= moment(tz, day, minute + 1) <= moment(tz, day, 1440)
    assert moment(tz, day, 1440) == moment(tz, day + timedelta(days=1), 0)


@given(moments, clock, clock, weekdays)
@example(("America/Santiago", 1_788_667_200_000), "23:30", "00:30", ())
@example(("Australia/Lord_Howe", 1_775_314_800_000), "01:45", "02:15", ())
def test_a_window_holds_a_moment_exactly_where_one_of_its_days_does(
    where: tuple[str, int], start: str, end: str, on: tuple[int, ...]
) -> None:
    assume(start != end)
    zone, now = where
    tz = ZoneInfo(zone)
    opens, closes = minutes(start), minutes(end)
    closes += 1440 if closes <= opens else 0
    today = datetime.fromtimestamp(now / 1000, tz).date()
    spans = [
        (moment(tz, day, opens), moment(tz, day, closes))
        for day in (today + timedelta(days=i) for i in range(-9, 10))
        if not on or day.isoweekday() in on
    ]
    holding = [(a, b) for a, b in spans if a <= now < b]
    made = window(zone, start, end, on)
    assert made.contains(now) == bool(holding)
    if holding:
        end_at = made.ends_at(now)
        assert end_at is not None
        assert end_at >= max(b for _, b in holding)
        assert not any(a <= end_at < b for a, b in spans)
        assert all(made.contains(at) for at in (now, (now + end_at) // 2, end_at - 1))
        assert not made.contains(end_at)


@given(zones, days, clock, clock)
def test_each_day_has_its_window_once_whatever_the_clock_does(zone: str, day: date, start: str, end: str) -> None:
    assume(minutes(start) < minutes(end))
    made = window(zone, start, end)
    tz = ZoneInfo(zone)
    begins, closes = moment(tz, day, minutes(start)), moment(tz, day, minutes(end))
    seen = [made.contains(at) for at in range(moment(tz, day, 0), moment(tz, day, 1440), 600_000)]
    entries = sum(later and not earlier for earlier, later in zip([False, *seen], seen, strict=False))
    assert entries <= 1
    assert made.contains(begins) == (begins < closes)


@pytest.mark.parametrize("zone", ZONES)
@given(data=st.data())
def test_the_answer_does_not_depend_on_what_was_asked_before(zone: str, data: st.DataObject) -> None:
    asked = data.draw(st.lists(st.integers(1_770_000_000_000, 1_771_000_000_000), min_size=2, max_size=6))
    made = window(zone, "21:15", "06:45", (1, 3, 5))
    first = [made.ends_at(at) for at in asked]
    assert [made.ends_at(at) for at in reversed(asked)] == first[::-1]
