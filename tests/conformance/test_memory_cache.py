"""The embedded cache keeps the port's promises, and its bounds."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.adapters.cache.memory import MemoryCache
from bellhouse.ports.cache import Cache
from bellhouse.testing.cache_suite import LONG, CacheSuite
from bellhouse.testing.clock import ManualClock


class House:
    """A cache on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cache: Cache = MemoryCache(self.clock)
        self.beside = self.cache

    async def later(self, seconds: float) -> None:
        await self.clock.advance(seconds)


class TestMemoryCache(CacheSuite):
    @pytest.fixture
    def house(self) -> House:
        return House()


async def test_a_full_cache_keeps_the_newest_and_its_bound() -> None:
    cache = MemoryCache(ManualClock(), entries=100)
    for n in range(1_000):
        await cache.put({f"k{n}": b"v"}, LONG)
        await cache.count({f"n{n}": 1}, LONG)
        assert len(cache) <= 200
        newest = range(max(0, n - 49), n + 1)
        assert await cache.get([f"k{i}" for i in newest]) == [b"v"] * len(newest)
    assert await cache.count({"n999": 1, "n0": 1}, LONG) == [2, 1]


async def test_what_has_ended_makes_room_before_what_lives() -> None:
    clock = ManualClock()
    cache = MemoryCache(clock, entries=100)
    await cache.put({"lives": b"v"}, 10 * LONG)
    for n in range(1_000):
        await cache.put({f"k{n}": b"v"}, 1.0)
        await clock.advance(0.1)
    # Ten of the others live at a time, so they never fill the half that the first one is in.
    assert await cache.get(["lives", "k999", "k0"]) == [b"v", b"v", None]


async def test_a_counter_that_is_counted_stays_among_those_that_are_not() -> None:
    cache = MemoryCache(ManualClock(), entries=100)
    for n in range(1_000):
        assert await cache.count({f"once{n}": 1, "often": 1}, 10 * LONG) == [1, n + 1]


async def test_a_call_larger_than_the_bound_is_answered_and_forgotten_by_the_next() -> None:
    cache = MemoryCache(ManualClock(), entries=10)
    assert await cache.count({f"k{n}": n for n in range(50)}, LONG) == list(range(50))
    await cache.count({f"j{n}": 1 for n in range(5)}, LONG)
    await cache.count({f"i{n}": 1 for n in range(5)}, LONG)
    assert len(cache) <= 10


async def test_a_slow_listener_loses_the_oldest_messages_and_holds_no_more_than_a_thousand() -> None:
    cache = MemoryCache(ManualClock())
    listener = await cache.subscribe("news")
    for n in range(5_000):
        await cache.publish("news", [b"%d" % n])
    assert await listener.receive() == [b"%d" % n for n in range(4_000, 5_000)]


KEYS = st.sampled_from("abcd")
TIMES = st.sampled_from([1.0, 2.0, 5.0])
STEPS = st.one_of(
    st.tuples(st.just("get"), st.lists(KEYS)),
    st.tuples(st.just("delete"), st.lists(KEYS)),
    st.tuples(st.just("put"), st.dictionaries(KEYS, st.binary(max_size=2)), TIMES),
    st.tuples(st.just("add"), st.dictionaries(KEYS, st.binary(max_size=2)), TIMES),
    st.tuples(st.just("count"), st.dictionaries(KEYS.map(str.upper), st.integers(-3, 3)), TIMES),
    st.tuples(st.just("later"), st.sampled_from([0.5, 1.0, 3.0])),
)


class Model:
    """The port's promises, as slowly and plainly as they can be written."""

    def __init__(self) -> None:
        self.now = 0.0
        self.held: dict[str, tuple[Any, float]] = {}

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.held = {key: entry for key, entry in self.held.items() if entry[1] > self.now}

    def get(self, keys: list[str]) -> list[Any]:
        return [self.held.get(key, (None,))[0] for key in keys]

    def delete(self, keys: list[str]) -> None:
        for key in [*keys, *map(str.upper, keys)]:
            self.held.pop(key, None)

    def put(self, values: dict[str, bytes], ttl_s: float) -> None:
        self.held.update({key: (value, self.now + ttl_s) for key, value in values.items()})

    def add(self, values: dict[str, bytes], ttl_s: float) -> list[bool]:
        new = [key not in self.held for key in values]
        self.put({key: value for (key, value), is_new in zip(values.items(), new, strict=True) if is_new}, ttl_s)
        return new

    def count(self, increments: dict[str, int], window_s: float) -> list[int]:
        for key, by in increments.items():
            total, until = self.held.get(key, (0, self.now + window_s))
            self.held[key] = (total + by, until)
        return [self.held[key][0] for key in increments]


@given(st.lists(STEPS))
def test_it_answers_as_a_plain_dictionary_with_ends_would(steps: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        clock, model = ManualClock(), Model()
        cache = MemoryCache(clock, entries=100)
        for name, *arguments in steps:
            if name == "later":
                await clock.advance(*arguments)
                model.later(*arguments)
            elif name == "delete":
                (keys,) = arguments
                await cache.delete([*keys, *map(str.upper, keys)])
                model.delete(keys)
            else:
                assert await getattr(cache, name)(*arguments) == getattr(model, name)(*arguments)

    asyncio.run(run())


@given(st.lists(STEPS))
def test_a_full_cache_forgets_but_never_invents(steps: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        clock, model = ManualClock(), Model()
        cache = MemoryCache(clock, entries=2)
        for name, *arguments in steps:
            if name == "later":
                await clock.advance(*arguments)
                model.later(*arguments)
            elif name == "put":
                await cache.put(*arguments)
                model.put(*arguments)
            elif name == "get":
                pairs = zip(await cache.get(*arguments), model.get(*arguments), strict=True)
                assert all(found in (None, expected) for found, expected in pairs)

    asyncio.run(run())
