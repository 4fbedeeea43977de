"""What every cache must do, whatever stands behind the port: one suite, run on each adapter.

A test class inherits CacheSuite and provides the fixture `house`: an object with `cache`, which is empty, `beside`, the
same cache as another process would see it, and `later(seconds)`, which returns when everything in the cache is nearer
to its end by that much: its clock was moved, or the ends were. The times are longer than any test takes.
"""

import asyncio
from typing import Any

import pytest

SOON = 20.0
AFTER_SOON = 25.0
LONG = 60.0
_PATIENCE_S = 5.0


class CacheSuite:
    """The conformance suite of the cache port."""

    # --- values ---

    async def test_values_are_answered_in_the_order_asked_for_with_none_for_what_is_not_there(self, house: Any) -> None:
        await house.cache.put({"a": b"1", "b": b"2"}, LONG)
        assert await house.cache.get(["b", "nothing", "a", "b"]) == [b"2", None, b"1", b"2"]

    async def test_another_process_sees_the_same(self, house: Any) -> None:
        await house.cache.put({"a": b"1"}, LONG)
        assert await house.beside.get(["a"]) == [b"1"]
        assert await house.beside.count({"n": 1}, LONG) == [1]
        assert await house.cache.count({"n": 1}, LONG) == [2]

    async def test_any_bytes_and_any_key_come_back_as_they_went(self, house: Any) -> None:
        values = {"empty": b"", "all": bytes(range(256)), "with blank\r\n": b"\r\n", "größe:✓": b"u", "k" * 1000: b"v"}
        await house.cache.put(values, LONG)
        assert list(await house.cache.get(list(values))) == list(values.values())

    async def test_a_value_ends_with_its_time(self, house: Any) -> None:
        await house.cache.put({"short": b"1"}, SOON)
        await house.cache.put({"long": b"2"}, LONG)
        await house.later(AFTER_SOON)
        assert await house.cache.get(["short", "long"]) == [None, b"2"]

    async def test_a_second_put_replaces_value_and_end(self, house: Any) -> None:
        await house.cache.put({"a": b"1", "b": b"1"}, SOON)
        await house.cache.put({"a": b"2"}, LONG)
        await house.later(AFTER_SOON)
        assert await house.cache.get(["a", "b"]) == [b"2", None]

    # --- add if absent ---

    async def test_what_is_added_is_new_once(self, house: Any) -> None:
        assert await house.cache.add({"a": b"1", "b": b"1"}, LONG) == [True, True]
        assert await house.cache.add({"b": b"2", "c": b"2"}, LONG) == [False, True]
        assert await house.cache.get(["a", "b", "c"]) == [b"1", b"1", b"2"]

    async def test_adding_does_not_prolong_what_is_there(self, house: Any) -> None:
        await house.cache.add({"a": b"1"}, SOON)
        await house.cache.add({"a": b"2"}, LONG)
        await house.later(AFTER_SOON)
        assert await house.cache.add({"a": b"3"}, LONG) == [True]
        assert await house.cache.get(["a"]) == [b"3"]

    async def test_of_many_that_add_a_key_at_once_one_finds_it_new(self, house: Any) -> None:
        caches = [house.cache, house.beside] * 10
        answers = await asyncio.gather(*(cache.add({"a": b"%d" % n}, LONG) for n, cache in enumerate(caches)))
        assert sum(new for (new,) in answers) == 1

    # --- counters ---

    async def test_counters_begin_at_nothing_and_are_answered_in_order(self, house: Any) -> None:
        assert await house.cache.count({"a": 1, "b": 5}, LONG) == [1, 5]
        assert await house.cache.count({"b": 2, "c": 1, "a": 1}, LONG) == [7, 1, 2]

    async def test_what_was_counted_can_be_taken_back(self, house: Any) -> None:
        await house.cache.count({"a": 5}, LONG)
        assert await house.cache.count({"a": -3}, LONG) == [2]
        assert await house.cache.count({"a": -2}, LONG) == [0]
        assert await house.cache.count({"a": 1}, LONG) == [1]

    async def test_a_counter_ends_with_the_window_of_its_first_count(self, house: Any) -> None:
        await house.cache.count({"a": 1}, SOON)
        assert await house.cache.count({"a": 1}, LONG) == [2]
        await house.later(AFTER_SOON)
        assert await house.cache.count({"a": 1}, LONG) == [1]
        await house.later(AFTER_SOON)
        assert await house.cache.count({"a": 1}, SOON) == [2]

    async def test_a_counter_that_stands_at_nothing_keeps_its_end(self, house: Any) -> None:
        await house.cache.count({"a": 1}, LONG)
        await house.cache.count({"a": -1}, LONG)
        await house.cache.count({"a": 1}, SOON)
        await house.later(AFTER_SOON)
        assert await house.cache.count({"a": 1}, LONG) == [2]

    async def test_no_increment_is_lost_among_many_at_once(self, house: Any) -> None:
        caches = [house.cache, house.beside] * 25
        answers = await asyncio.gather(*(cache.count({"a": 1, "b": 2}, LONG) for cache in caches))
        assert sorted(answer[0] for answer in answers) == list(range(1, 51))
        assert sorted(answer[1] for answer in answers) == list(range(2, 101, 2))

    # --- forgetting ---

    async def test_what_is_deleted_was_never_there(self, house: Any) -> None:
        await house.cache.put({"a": b"1", "b": b"1"}, LONG)
        await house.cache.count({"n": 3}, LONG)
        await house.cache.delete(["a", "n", "nothing"])
        assert await house.cache.get(["a", "b"]) == [None, b"1"]
        assert await house.cache.count({"n": 1}, LONG) == [1]
        assert await house.cache.add({"a": b"2"}, LONG) == [True]

    async def test_empty_calls_are_lawful(self, house: Any) -> None:
        assert list(await house.cache.get([])) == []
        assert list(await house.cache.add({}, LONG)) == []
        assert list(await house.cache.count({}, LONG)) == []
        await house.cache.put({}, LONG)
        await house.cache.delete([])
        await house.cache.publish("subject", [])

    @pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
    async def test_a_time_that_has_ended_before_it_began_is_refused(self, house: Any, seconds: float) -> None:
        for call in (house.cache.put({"a": b"1"}, seconds), house.cache.add({"a": b"1"}, seconds)):
            with pytest.raises(ValueError, match="ended"):
                await call
        with pytest.raises(ValueError, match="ended"):
            await house.cache.count({"a": 1}, seconds)
        assert await house.cache.get(["a"]) == [None]

    # --- publishing ---

    async def test_everyone_who_is_subscribed_hears_every_message_in_order(self, house: Any) -> None:
        first, second = await house.cache.subscribe("news"), await house.beside.subscribe("news")
        await house.cache.publish("news", [b"1", b"2"])
        await house.beside.publish("news", [b"3"])
        assert await _heard(first, 3) == [b"1", b"2", b"3"]
        assert await _heard(second, 3) == [b"1", b"2", b"3"]

    async def test_what_was_published_before_or_elsewhere_is_not_heard(self, house: Any) -> None:
        await house.cache.publish("news", [b"early"])
        listener = await house.cache.subscribe("news")
        await house.cache.publish("weather", [b"rain"])
        await house.cache.publish("news", [b"late"])
        assert await _heard(listener, 1) == [b"late"]

    async def test_who_waits_is_woken_by_a_message(self, house: Any) -> None:
        listener = await house.cache.subscribe("news")
        waiting = asyncio.create_task(_heard(listener, 1))
        await house.later(SOON)
        assert not waiting.done()
        await house.beside.publish("news", [b"1"])
        assert await waiting == [b"1"]

    async def test_a_wait_that_is_cancelled_loses_nothing(self, house: Any) -> None:
        listener = await house.cache.subscribe("news")
        waiting = asyncio.create_task(listener.receive())
        await house.later(SOON)
        waiting.cancel()
        await asyncio.wait([waiting])
        await house.cache.publish("news", [b"1"])
        assert await _heard(listener, 1) == [b"1"]

    async def test_who_has_closed_hears_nothing_and_disturbs_nobody(self, house: Any) -> None:
        gone, stays = await house.cache.subscribe("news"), await house.cache.subscribe("news")
        await gone.close()
        await gone.close()
        await house.cache.publish("news", [b"1"])
        assert await _heard(stays, 1) == [b"1"]


async def _heard(listener: Any, count: int) -> list[bytes]:
    """The next `count` messages; fails when they do not come."""
    heard: list[bytes] = []
    async with asyncio.timeout(_PATIENCE_S):
        while len(heard) < count:
            heard += await listener.receive()
    return heard
