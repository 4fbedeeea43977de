"""However the signals go: the step is never below what they ask for, and is left slowly, one at a time."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bellhouse.ingest.degrade import CLOSED, HOLD_S, RISES, SLACK, Standing, stand, step_at

EPSILON = 1e-6
shares = st.floats(0, 2)
looks = st.lists(st.tuples(st.floats(0, 8), shares), min_size=1, max_size=60)
Walk = list[tuple[float, float, int]]
"""When, the share seen, and the step stood on after it."""


def walk(seen: list[tuple[float, float]]) -> Walk:
    standing, now, walked = Standing(), 0.0, []
    for gap, share in seen:
        now += gap
        standing = stand(standing, share, now)
        walked.append((now, share, standing.step))
    return walked


@given(looks)
def test_a_step_is_never_below_what_is_asked_for(seen: list[tuple[float, float]]) -> None:
    for _, share, step in walk(seen):
        assert step_at(share) <= step <= CLOSED


@given(looks)
def test_it_goes_up_only_where_that_is_asked_for_and_down_one_by_one(seen: list[tuple[float, float]]) -> None:
    for (_, _, before), (_, share, step) in pairwise(walk(seen)):
        if step > before:
            assert step == step_at(share)
        assert step >= before - 1


@given(looks)
def test_a_step_is_left_after_some_seconds_of_calm_only(seen: list[tuple[float, float]]) -> None:
    walked = walk(seen)
    left = -HOLD_S
    for (_, _, before), (now, _, step) in pairwise(walked):
        if step < before:
            assert now - left >= HOLD_S - EPSILON
            recent = [share for at, share, _ in walked if now - HOLD_S < at <= now]
            assert all(share <= RISES[before - 1] - SLACK for share in recent[:-1])
            left = now


@given(looks, st.floats(0, RISES[0] - SLACK))
def test_in_lasting_calm_everything_is_open_again(seen: list[tuple[float, float]], calm: float) -> None:
    rest = [(0.0, calm)] + [(HOLD_S + EPSILON, calm)] * CLOSED
    assert walk(seen + rest)[-1][2] == 0


@given(shares, shares)
def test_more_pressure_never_asks_for_less(one: float, other: float) -> None:
    assert step_at(min(one, other)) <= step_at(max(one, other))
