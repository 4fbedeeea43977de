"""Delayed actions: in time, in order, whatever an action does."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from bellhouse.simulator.segments import segments
from bellhouse.simulator.wheel import Wheel


async def test_actions_run_in_the_order_of_their_delays_and_never_early():
    loop = asyncio.get_running_loop()
    wheel, ran, done = Wheel(loop), [], asyncio.Event()
    start = loop.time()

    def act(delay: float) -> None:
        ran.append((delay, (loop.time() - start) * 1000))
        if len(ran) == 6:
            done.set()

    for delay in (40, 5, 20, 0, 60, 5):
        wheel.later(delay, act, delay)
    await asyncio.wait_for(done.wait(), 10)
    assert [delay for delay, _ in ran] == [0, 5, 5, 20, 40, 60]
    assert all(at >= delay for delay, at in ran)


async def test_an_action_that_plans_for_later_does_not_delay_the_others():
    loop = asyncio.get_running_loop()
    wheel, done = Wheel(loop), asyncio.Event()
    wheel.later(1, wheel.later, 3_600_000, print)
    wheel.later(30, done.set)
    await asyncio.wait_for(done.wait(), 5)


async def test_a_failing_action_does_not_stop_the_others(capsys):
    wheel, done = Wheel(asyncio.get_running_loop()), asyncio.Event()
    wheel.later(1, int, "no number")
    wheel.later(1, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert "no number" in capsys.readouterr().err


async def test_what_was_cleared_never_runs():
    wheel, ran, done = Wheel(asyncio.get_running_loop()), [], asyncio.Event()
    wheel.later(1, ran.append, "old")
    wheel.clear()
    assert len(wheel) == 0
    wheel.later(5, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert ran == []


@given(st.text())
def test_a_text_takes_as_many_parts_as_its_alphabet_needs(text):
    parts = segments(text)
    units = len(text.encode("utf-16-le")) // 2
    assert 1 <= parts <= max(1, -(-units // 67))


def test_the_limits_of_one_part():
    assert [segments(text) for text in ("", "a" * 160, "a" * 161, "€" * 80, "€" * 81)] == [1, 1, 2, 1, 2]
    assert [segments(text) for text in ("я" * 70, "я" * 71, "я" * 135, "😀" * 35, "😀" * 36)] == [1, 2, 3, 1, 2]
