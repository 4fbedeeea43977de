"""The clock moved by hand."""

import asyncio

from bellhouse.testing.clock import ManualClock


async def test_time_stands_still_until_it_is_moved():
    clock = ManualClock(now=1_000)
    assert (clock.now(), clock.monotonic()) == (1_000, 0.0)
    await clock.advance(1.5)
    assert (clock.now(), clock.monotonic()) == (2_500, 1.5)


async def test_sleepers_wake_in_the_order_of_their_moments_and_see_them():
    clock = ManualClock(now=0)
    seen: list[tuple[str, int]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        seen.append((name, clock.now()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 2))
        group.create_task(sleeper("early", 1))
        await clock.advance(0.5)
        assert clock.sleeping == 2
        await clock.advance(5)
    assert seen == [("early", 1_000), ("late", 2_000)]


async def test_a_sleeper_that_sleeps_again_wakes_as_often_as_the_time_allows():
    clock = ManualClock(now=0)
    ticks: list[int] = []

    async def every_second() -> None:
        while True:
            await clock.sleep(1)
            ticks.append(clock.now())

    ticking = asyncio.create_task(every_second())
    await clock.advance(3.5)
    ticking.cancel()
    assert ticks == [1_000, 2_000, 3_000]


async def test_setting_the_wall_clock_back_does_not_touch_monotonic_time():
    clock = ManualClock(now=10_000)
    clock.set(1_000)
    assert (clock.now(), clock.monotonic()) == (1_000, 0.0)


async def test_a_cancelled_sleeper_is_passed_over():
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await clock.advance(2)
    assert task.cancelled()
