"""Whatever order a provider's callbacks come in, and however often, a delivery comes to the same state."""

import random
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from bellhouse.domain.delivery import MOVES, NewsKind, settled
from bellhouse.domain.words import DELIVERY_STATES, DeliveryState

# What a worker's own records can say; in flight is known by the intents and not by them.
WORKER_STATES = [state for state in DELIVERY_STATES if state != "in_flight"]
NEWS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(get_args(NewsKind))), max_size=8)


@given(st.sampled_from(WORKER_STATES), st.integers(1, 3), NEWS, st.randoms(use_true_random=False))
def test_order_and_repetition_of_news_do_not_matter(
    worker: DeliveryState, last: int, news: list[tuple[int, NewsKind]], luck: random.Random
) -> None:
    shuffled = news + [luck.choice(news) for _ in news]
    luck.shuffle(shuffled)
    assert settled(worker, last, shuffled) == settled(worker, last, news)


@given(st.sampled_from(WORKER_STATES), st.integers(1, 3), NEWS)
def test_news_moves_a_delivery_along_the_table_or_not_at_all(
    worker: DeliveryState, last: int, news: list[tuple[int, NewsKind]]
) -> None:
    state = settled(worker, last, news)
    assert state == worker or state in MOVES[worker]


@given(st.sampled_from(WORKER_STATES), st.integers(2, 3), NEWS)
def test_an_attempt_that_arrived_outweighs_all_others(
    worker: DeliveryState, last: int, news: list[tuple[int, NewsKind]]
) -> None:
    others = [(attempt, kind) for attempt, kind in news if attempt != 1]
    assert settled(worker, last, [*others, (1, "delivered")]) == "delivered"


@given(st.sampled_from(WORKER_STATES))
def test_the_failure_of_an_attempt_that_was_answered_by_another_counts_for_nothing(worker: DeliveryState) -> None:
    assert settled(worker, 2, [(1, "failed")]) == worker


def test_a_bounce_after_the_confirmation_of_the_same_attempt_is_a_failure() -> None:
    assert settled("sent", 1, [(1, "delivered"), (1, "failed")]) == "failed"
