"""What several processes send through one account: each by what it has to send, together never more than all of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.adapters.cache.memory import MemoryCache
from bellhouse.deliver.accounts import Account, Accounts
from bellhouse.deliver.breaker import Breaker
from bellhouse.deliver.limits import RESERVE, Limiter
from bellhouse.deliver.shares import SharedRates, part_of
from bellhouse.ports.cache import CacheUnavailable
from bellhouse.ports.provider import Sheet
from bellhouse.ports.store.processes import Member
from bellhouse.ports.telemetry import NullLogbook
from bellhouse.testing.clock import ManualClock

DEMANDS = st.lists(st.one_of(st.just(0.0), st.floats(0.001, 1e6)), min_size=1, max_size=120)


# --- parts ---


@given(DEMANDS, st.data())
def test_the_parts_of_all_processes_are_never_more_than_the_whole(demands: list[float], data: st.DataObject) -> None:
    critical = data.draw(st.integers(0, len(demands)))
    parts = [part_of(own, demands, i < critical, critical) for i, own in enumerate(demands)]
    assert sum(parts) <= 1.0 + 1e-9
    assert all(part > 0 for part in parts)


@given(DEMANDS, st.data())
def test_who_delivers_critical_has_its_share_of_the_reserve_whatever_others_claim(
    demands: list[float], data: st.DataObject
) -> None:
    critical = data.draw(st.integers(1, len(demands)))
    parts = [part_of(own, demands, i < critical, critical) for i, own in enumerate(demands)]
    assert all(part >= RESERVE / critical for part in parts[:critical])


@given(DEMANDS)
def test_who_has_more_to_send_has_no_smaller_part(demands: list[float]) -> None:
    parts = [part_of(own, demands, False, 0) for own in sorted(demands)]
    assert parts == sorted(parts)


def test_a_single_process_has_all() -> None:
    assert part_of(5.0, [5.0], True, 1) == pytest.approx(1.0)
    assert part_of(0.0, [0.0], False, 0) == pytest.approx(1.0)


def test_who_alone_has_something_to_send_has_nearly_all_of_it() -> None:
    assert part_of(100.0, [100.0, 0.0, 0.0], False, 0) > 0.9
    assert part_of(0.0, [100.0, 0.0, 0.0], False, 0) > 0.0


# --- the service ---


class Process:
    """A process's limiter and its service."""

    def __init__(self, name: str, cache: object, clock: ManualClock, members: list[Member]) -> None:
        self.limiter = Limiter(100.0, 0.0)
        provider = _Provider()
        account = Account(provider, {"push": Breaker("fcm", "push")}, self.limiter, clock)
        accounts = Accounts({"push": [account]}, None, clock, NullLogbook())  # type: ignore[arg-type]  # nothing asks it
        self.rates = SharedRates(name, accounts, lambda: members, cache, clock)  # type: ignore[arg-type]  # a cache
        self.clock = clock

    def sent(self, count: int) -> int:
        return self.limiter.take(count, self.clock.monotonic())


class _Provider:
    sheet = Sheet("fcm", ("push",), batch=100, price=0.0)


class _Away:
    """A cache that does not answer."""

    async def put(self, *_: object) -> None:
        raise CacheUnavailable("unreachable")

    get = put


def _members(count: int) -> list[Member]:
    return [Member(f"p{i}", "worker", ("deliveries.push.normal",)) for i in range(count)]


async def _second(processes: list[Process], clock: ManualClock, wanted: list[int]) -> list[int]:
    """What each may send within a second in which it asks for `wanted`, ten times."""
    for process in processes:
        await process.rates.adjust()
    sent = [0] * len(processes)
    for _ in range(10):
        await clock.advance(0.1)
        for i, process in enumerate(processes):
            sent[i] += process.sent(wanted[i] // 10)
            process.limiter.wait_s(1, clock.monotonic())
    return sent


async def test_processes_without_a_cache_have_the_same_part() -> None:
    clock = ManualClock()
    processes = [Process(f"p{i}", _Away(), clock, _members(4)) for i in range(4)]
    for _ in range(3):
        sent = await _second(processes, clock, [1_000] * 4)
    assert all(20 <= count <= 30 for count in sent)


async def test_the_rate_goes_to_where_the_work_is_and_the_sum_stays() -> None:
    clock = ManualClock()
    cache = MemoryCache(clock)
    processes = [Process(f"p{i}", cache, clock, _members(3)) for i in range(3)]
    for _ in range(8):
        sent = await _second(processes, clock, [1_000, 0, 0])
    assert sent[0] >= 80
    for _ in range(8):
        sent = await _second(processes, clock, [0, 0, 1_000])
    assert sent[2] >= 80
    for _ in range(8):
        sent = await _second(processes, clock, [1_000, 1_000, 1_000])
    assert sum(sent) <= 115
    assert min(sent) >= 20


async def test_fifty_processes_adjust_their_parts() -> None:
    clock = ManualClock()
    cache = MemoryCache(clock)
    processes = [Process(f"p{i}", cache, clock, _members(50)) for i in range(50)]
    for _ in range(3):
        sent = await _second(processes, clock, [1_000] + [0] * 49)
    assert sent[0] >= 30


async def test_who_has_left_claims_nothing_any_more() -> None:
    clock = ManualClock()
    cache = MemoryCache(clock)
    members = _members(2)
    processes = [Process(f"p{i}", cache, clock, members) for i in range(2)]
    for _ in range(3):
        await _second(processes, clock, [1_000, 1_000])
    del members[1]
    for _ in range(3):
        sent = await _second(processes[:1], clock, [1_000])
    assert sent[0] >= 95
