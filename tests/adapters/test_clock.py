"""The machine's clock agrees with the machine."""

import time

from bellhouse.adapters.clock import SystemClock


def test_now_is_the_machines_time_in_milliseconds():
    before = time.time()
    now = SystemClock().now()
    assert before * 1000 - 1 <= now <= time.time() * 1000


async def test_a_sleep_lasts_at_least_its_seconds():
    clock = SystemClock()
    start = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - start >= 0.009
