"""How far our clock is off: one late answer moves nothing, and one wrong source accuses nobody."""

from hypothesis import given
from hypothesis import strategies as st

from bellhouse.observability.skew import FRESH_MS, SAMPLES, Skew

NOON = 1_795_000_000_000


def test_nobody_who_has_told_the_time_is_no_skew_of_zero() -> None:
    assert Skew().seconds(0.0) is None


@given(st.integers(-100_000, 100_000), st.integers(0, 400))
def test_a_clock_that_is_ahead_is_seen_as_ahead_whatever_the_way_takes(ahead: int, way: int) -> None:
    skew = Skew()
    skew.add("store", NOON + ahead, NOON + ahead + 2 * way, NOON + way, 0.0)
    assert skew.seconds(0.0) == ahead / 1000


def test_one_answer_that_was_late_moves_nothing() -> None:
    skew = Skew()
    for second in range(SAMPLES):
        late = 8_000 if second == 2 else 0
        skew.add("store", NOON, NOON, NOON - late, float(second))
    assert skew.seconds(5.0) == 0


def test_our_clock_is_wrong_only_where_every_source_says_so() -> None:
    skew = Skew()
    skew.add("one", NOON + 60_000, NOON + 60_000, NOON, 0.0)
    skew.add("another", NOON, NOON, NOON, 0.0)
    assert skew.seconds(0.0) == 0


def test_a_source_that_fell_silent_counts_no_more() -> None:
    skew = Skew()
    skew.add("one", NOON + 60_000, NOON + 60_000, NOON, 0.0)
    assert skew.seconds(FRESH_MS / 1000) == 60
    assert skew.seconds(FRESH_MS / 1000 + 1) is None
