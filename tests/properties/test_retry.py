"""Backoff with full jitter stays within its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from bellhouse.domain.retry import RetryPolicy

luck = st.floats(0, 1, exclude_max=True)
attempts = st.integers(1, 10_000)


@given(attempts, luck)
def test_a_wait_is_below_its_backoff_and_never_above_the_cap(count: int, draw: float) -> None:
    policy = RetryPolicy()
    wait = policy.wait_ms(count, draw)
    assert 0 <= wait < policy.backoff_ms(count) <= policy.cap_ms


@given(attempts)
def test_the_backoff_doubles_until_the_cap(count: int) -> None:
    policy = RetryPolicy()
    assert policy.backoff_ms(1) == policy.base_ms
    assert policy.backoff_ms(count + 1) == min(policy.cap_ms, 2 * policy.backoff_ms(count))


@given(attempts, luck, st.integers(0, 10**7))
def test_the_providers_wait_is_never_shortened(count: int, draw: float, named: int) -> None:
    assert named <= RetryPolicy().wait_ms(count, draw, named) < named + RetryPolicy().backoff_ms(count)


def test_three_failed_attempts_are_all_there_are() -> None:
    assert [RetryPolicy().exhausted(count) for count in (1, 2, 3, 4)] == [False, False, True, True]
