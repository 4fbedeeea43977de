"""One limit over several accounts: together they never send more, and what one leaves the other may take."""

from hypothesis import given
from hypothesis import strategies as st

from bellhouse.deliver.cap import CappedLimiter
from bellhouse.deliver.limits import Bucket


def pair(limit: float, rates: tuple[float | None, float | None] = (None, None)) -> tuple[CappedLimiter, CappedLimiter]:
    cap = Bucket(limit, 0.0)
    return CappedLimiter(rates[0], 0.0, 1.0, cap), CappedLimiter(rates[1], 0.0, 1.0, cap)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 400), st.floats(0, 0.5)), max_size=60))
def test_two_accounts_together_stay_under_the_limit(asks):
    accounts, now, sent = pair(100.0), 0.0, 0
    for which, wanted, pause in asks:
        now += pause
        sent += accounts[which].take(wanted, now)
        assert sent <= 100.0 + now * 100.0 + 1


def test_what_an_account_cannot_use_stays_for_the_other():
    slow, fast = pair(100.0, (10.0, None))
    assert slow.take(50, 0.0) <= 10
    assert fast.take(100, 0.0) >= 70


def test_what_was_granted_and_not_sent_comes_back_to_both():
    one, other = pair(100.0)
    granted = one.take(100, 0.0, critical=True)
    assert other.take(100, 0.0, critical=True) == 0
    one.give_back(granted)
    assert other.take(100, 0.0, critical=True) == granted


def test_the_wait_is_that_of_the_stricter():
    one, other = pair(10.0, (1_000.0, None))
    other.take(10, 0.0, critical=True)
    assert one.wait_s(1, 0.0, critical=True) > 0.05
