"""Quiet hours: the end of them, and how the herd is spread."""

from bellhouse.domain.ids import RecipientNo
from bellhouse.domain.recipient import Preferences, QuietHours
from bellhouse.policy.quiet import DROPPED, SPREAD_MS, deferral, spread
from tests.unit.policy.facts import HOUR, NOON, kind, profile

MIDNIGHT = NOON + 12 * HOUR
FAR = NOON + 1000 * HOUR
ANN = RecipientNo(7)


def night(zone: str = "Europe/Paris", start: str = "22:00", end: str = "08:00", days: tuple[int, ...] = ()) -> object:
    return profile(preferences=Preferences(quiet_hours=QuietHours(start, end, days)), zone=zone)


def test_the_spread_is_even_stable_and_within_its_bounds() -> None:
    shares = [spread(RecipientNo(i), SPREAD_MS) for i in range(10_000)]
    assert shares == [spread(RecipientNo(i), SPREAD_MS) for i in range(10_000)]
    minutes = [0] * 10
    for share in shares:
        minutes[share // 60_000] += 1
    assert min(minutes) > 900
    assert max(minutes) < 1100


def test_the_spread_never_reaches_the_end_of_the_lifetime() -> None:
    end = MIDNIGHT + 8 * HOUR
    for recipient in range(200):
        later = deferral(kind(), night(), RecipientNo(recipient), MIDNIGHT, end + 1000)
        assert end <= later < end + 1000


def test_a_zone_that_nobody_knows_is_utc() -> None:
    assert deferral(kind(), night("Mars/Olympus"), ANN, MIDNIGHT, FAR) >= MIDNIGHT + 10 * HOUR


def test_hours_that_cannot_be_read_are_none() -> None:
    assert deferral(kind(), night(start="25:00"), ANN, MIDNIGHT, FAR) == 0


def test_a_weekday_on_which_they_do_not_begin_is_not_quiet() -> None:
    assert deferral(kind(), night(days=(6, 7)), ANN, MIDNIGHT, FAR) == 0
    assert deferral(kind(quiet_hours="drop"), night(days=(3,)), ANN, MIDNIGHT, FAR) == DROPPED
