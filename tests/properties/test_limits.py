"""The token bucket and the limiter keep their rates, whatever they are asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.deliver.limits import BURST_S, MIN_RATE, Bucket, Limiter

rates = st.floats(0.1, 50_000)
gaps = st.floats(0, 5)
asks = st.lists(st.tuples(gaps, st.integers(0, 2_000), st.booleans()), min_size=1, max_size=60)
EPSILON = 1e-6


@given(rates, asks)
def test_over_any_stretch_no_more_than_the_burst_and_the_rate_is_granted(rate: float, asked: list) -> None:
    bucket = Bucket(rate, 0.0)
    now, grants = 0.0, []
    for gap, n, urgent in asked:
        now += gap
        granted = bucket.take(n, now, urgent)
        assert 0 <= granted <= n
        grants.append((now, granted))
    for first in range(len(grants)):
        total = 0
        for at, granted in grants[first:]:
            total += granted
            assert total <= bucket.capacity + (at - grants[first][0]) * rate + EPSILON


@given(rates, asks)
def test_others_never_take_what_is_reserved_for_critical(rate: float, asked: list) -> None:
    bucket = Bucket(rate, 0.0)
    now = 0.0
    for gap, n, _ in asked:
        now += gap
        bucket.take(n, now, urgent=False)
        assert bucket.wait_s(1, now, urgent=True) == 0
    assert bucket.take(1, now, urgent=True) == 1


@given(rates)
def test_the_whole_rate_is_for_others_while_critical_is_silent(rate: float) -> None:
    bucket = Bucket(rate, 0.0)
    seconds = 100 + int(100 / rate)
    total = sum(bucket.take(10**6, at / 10) for at in range(seconds * 10 + 1))
    assert total >= rate * seconds * 0.99 - 2


@given(rates, asks, st.integers(1, 3_000), st.booleans())
def test_after_the_wait_it_is_granted(rate: float, asked: list, n: int, urgent: bool) -> None:
    bucket = Bucket(rate, 0.0)
    now = 0.0
    for gap, m, first in asked:
        now += gap
        bucket.take(m, now, first)
    most = int(bucket.capacity - (0 if urgent else bucket.floor))
    wait = bucket.wait_s(n, now, urgent)
    assert bucket.take(n, now + wait + EPSILON * (1 + now), urgent) == min(n, most)


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    bucket = Bucket(10, 100.0)
    taken = bucket.take(100, 100.0)
    assert (taken, bucket.take(100, 100.0), bucket.take(100, 50.0)) == (8, 0, 0)
    assert bucket.take(100, 100.5) == 5


def test_tokens_that_were_not_used_come_back() -> None:
    bucket = Bucket(10, 0.0)
    bucket.take(8, 0.0)
    bucket.give_back(3)
    assert bucket.take(8, 0.0) == 3


def test_what_was_granted_and_not_sent_is_no_part_of_the_pace() -> None:
    limiter = Limiter(None, 0.0)
    limiter.take(5_000, 0.5)
    limiter.give_back(4_900)
    limiter.throttled(0.9)
    assert limiter.rate == 50


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_of_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="sends nothing"):
        Bucket(rate, 0.0)


@given(rates, asks, st.floats(0, 60))
def test_nothing_goes_out_before_what_retry_after_said(rate: float, asked: list, after: float) -> None:
    limiter = Limiter(rate, 0.0)
    limiter.throttled(0.0, after)
    now = 0.0
    for gap, n, critical in asked:
        now += gap
        granted = limiter.take(n, now, critical)
        assert granted == 0 or now >= after
        assert limiter.wait_s(1, now, critical) >= after - now


@given(rates, st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=40))
def test_the_rate_stays_between_its_floor_and_what_is_configured(rate: float, happens: list) -> None:
    limiter = Limiter(rate, 0.0)
    now = 0.0
    for gap, throttle in happens:
        now += gap
        if throttle:
            limiter.throttled(now)
        limiter.take(1, now)
        assert limiter.rate is not None
        assert min(MIN_RATE, rate) - EPSILON <= limiter.rate <= rate + EPSILON


@given(st.floats(10, 50_000))
def test_a_throttle_halves_it_at_once_and_a_fifth_comes_back_each_second(rate: float) -> None:
    limiter = Limiter(rate, 0.0)
    limiter.throttled(100.0)
    assert limiter.rate == pytest.approx(rate / 2)
    limiter.take(1, 101.25)
    assert limiter.rate == pytest.approx(rate * 0.75)
    limiter.take(1, 102.501)
    assert limiter.rate == pytest.approx(rate)


def test_the_throttles_of_one_burst_count_once() -> None:
    limiter = Limiter(100, 0.0)
    for i in range(50):
        limiter.throttled(10 + i / 100)
    assert limiter.rate == 50


def test_an_account_without_a_rate_learns_one_from_a_throttle_and_forgets_it() -> None:
    limiter = Limiter(None, 0.0)
    assert [limiter.take(500, at / 10) for at in range(21)] == [500] * 21
    assert (limiter.rate, limiter.wait_s(10**6, 2.0)) == (None, 0)
    limiter.throttled(2.05, 1.0)
    assert limiter.rate == pytest.approx(2_500, rel=0.1)
    assert limiter.take(10, 3.0) == 0
    limiter.take(1, 20.0)
    assert limiter.rate is not None
    limiter.take(1, 80.0)
    assert limiter.rate is None


def test_a_process_has_its_part_of_the_deployments_rate() -> None:
    limiter = Limiter(100, 0.0, part=0.25)
    assert limiter.rate == 25
    limiter.configure(None, 0.0)
    assert limiter.rate is None
    limiter.configure(10, 1.0, part=1.0)
    assert limiter.rate == 10
    assert limiter.take(100, 1.0) == 0
    assert limiter.take(100, 1.0 + BURST_S) == 8
