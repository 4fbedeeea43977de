"""Which brake holds a delivery: any that matches, and the one that says most is named."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.domain.ids import TenantNo
from bellhouse.domain.levers import PLATFORM, Lever, Selector
from bellhouse.domain.words import CHANNELS, PRIORITIES
from bellhouse.policy.pauses import NO_BRAKES, brakes_of, covered, pauses_of, said

TENANTS = {
    TenantNo(1): ("acme", "live"),
    TenantNo(2): ("acme", "test"),
    TenantNo(3): ("globex", "live"),
}


def _or_none(values: Any) -> Any:
    return st.none() | st.sampled_from(values)


selectors = st.builds(
    Selector,
    _or_none(CHANNELS),
    _or_none(PRIORITIES),
    _or_none(("acme", "globex", "gone")),
    _or_none(("order", "code")),
    _or_none(("order", "other")),
    _or_none(("spring", "order")),
)
deliveries = st.tuples(
    st.sampled_from(CHANNELS),
    st.sampled_from(PRIORITIES),
    st.sampled_from(sorted(TENANTS)),
    st.sampled_from(("order", "code")),
    st.sampled_from(("order", "other", None)),
    st.sampled_from(("spring", "order", None)),
)


def _matches(selector: Selector, delivery: Any) -> bool:
    channel, priority, tenant, *rest = delivery
    is_of = (channel, priority, TENANTS[tenant][0], *rest)
    wanted = msgspec.structs.astuple(selector)
    return all(want in (None, have) for want, have in zip(wanted, is_of, strict=True))


def _held(chosen: list[Selector], delivery: Any) -> Any:
    levers = [Lever("pause", selector.text, "", selector) for selector in chosen]
    channel, priority, *rest = delivery
    return brakes_of(pauses_of(levers, TENANTS), channel, priority).holding(*rest)


@given(st.lists(selectors, max_size=6), deliveries)
def test_a_delivery_is_held_when_any_brake_matches_it(chosen: list[Selector], delivery: Any) -> None:
    matching = [selector for selector in chosen if _matches(selector, delivery)]
    assert (_held(chosen, delivery) is not None) == bool(matching)


@given(st.lists(selectors, max_size=6), deliveries)
def test_the_brake_that_says_most_is_the_one_that_is_named(chosen: list[Selector], delivery: Any) -> None:
    pause = _held(chosen, delivery)
    matching = [said(selector) for selector in chosen if _matches(selector, delivery)]
    assert pause is None or said(pause.lever.selector) == max(matching)


@given(selectors)
def test_a_lane_stands_still_only_under_a_brake_that_chooses_nothing_within_it(chosen: Selector) -> None:
    (pause,) = pauses_of([Lever("pause", chosen.text, "", chosen)], TENANTS)
    within = msgspec.structs.replace(chosen, channel=None, priority=None)
    assert pause.whole == (within == Selector())


@given(selectors, selectors)
def test_two_selectors_are_written_alike_only_when_they_are_the_same(one: Selector, other: Selector) -> None:
    assert (one.text == other.text) == (one == other)
    assert (one.text == PLATFORM) == (one == Selector())


@given(selectors, selectors, deliveries)
def test_what_covers_a_selector_holds_all_that_it_holds(narrow: Selector, wide: Selector, delivery: Any) -> None:
    if covered(narrow, [wide]) and _matches(narrow, delivery):
        assert _matches(wide, delivery)


@given(st.lists(selectors, max_size=6))
def test_levers_that_are_no_brakes_hold_nothing(chosen: list[Selector]) -> None:
    levers = [Lever("prefer", "push", "fcm", selector) for selector in chosen]
    assert all(brakes_of(pauses_of(levers, TENANTS), c, p) is NO_BRAKES for c in CHANNELS for p in PRIORITIES)
