"""A recipient gets so many deliveries a minute: the others wait for their turn, and nobody counts twice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.adapters.cache.memory import MemoryCache
from bellhouse.deliver.flight import Flight, Ticket
from bellhouse.deliver.recipient_rate import MINUTE_MS, SPREAD_MS, RecipientRate
from bellhouse.domain.content import PushContent
from bellhouse.domain.ids import RecipientNo, TenantNo
from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.cache import CacheUnavailable
from bellhouse.ports.store.deliver import Claim
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import notification, routed

MINUTE = 29_400_000 * MINUTE_MS
"""The beginning of a minute."""

ADA, BOB = RecipientNo(1), RecipientNo(2)


class Counting(MemoryCache):
    """A cache that says how often it was asked, and breaks when told."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.asked = 0
        self.broken = False

    async def count(self, increments: Mapping[str, int], window_s: float) -> Sequence[int]:
        self.asked += 1
        if self.broken:
            raise CacheUnavailable
        return await super().count(increments, window_s)


class Stage:
    """The rate of one process, three a minute."""

    def __init__(self, per_minute: int = 3) -> None:
        self.clock = ManualClock(MINUTE + 20_000)
        self.cache = Counting(self.clock)
        self.rate = RecipientRate(self.cache, per_minute)

    async def ask(
        self, flights: Sequence[Flight], channel: Channel = "push", priority: Priority = "normal"
    ) -> tuple[int, list[int]]:
        """How many may go, and for how many whole minutes of the clock each of the others waits."""
        going, late = await self.rate.divide(channel, priority, flights, self.clock.now())
        return len(going), [until // MINUTE_MS - self.clock.now() // MINUTE_MS for _, until in late]


def flights_of(*recipients: RecipientNo) -> list[Flight]:
    flights = []
    for recipient in recipients:
        item = notification(TenantNo(1), recipient, MINUTE)
        (delivery,) = routed(item).deliveries
        flights.append(
            Flight(Claim(delivery, item), Ticket(1, 1), PushContent("Hello", "Hello Ada"), "token", (), "retry")
        )
    return flights


async def test_the_first_of_a_minute_go_and_the_others_wait_for_the_next() -> None:
    stage = Stage()
    assert await stage.ask(flights_of(ADA, ADA, BOB, ADA, ADA, BOB, ADA)) == (5, [1, 1])
    assert await stage.ask(flights_of(BOB, BOB, ADA)) == (1, [1, 1])


async def test_those_who_waited_go_before_the_moment_is_old_and_apart_from_one_another() -> None:
    stage = Stage(1)
    people = [RecipientNo(n) for n in range(1, 101)]
    _, late = await stage.rate.divide("push", "normal", flights_of(*people, *people), stage.clock.now())
    moments = [until - MINUTE - MINUTE_MS for _, until in late]
    assert len(moments) == 100
    assert all(0 <= moment < SPREAD_MS for moment in moments)
    assert max(Counter(moment // 1_000 for moment in moments).values()) < 20


async def test_many_at_once_wait_each_for_the_minute_of_its_place() -> None:
    stage = Stage()
    going, minutes = await stage.ask(flights_of(*[ADA] * 30))
    assert going == 3
    assert Counter(minutes) == dict.fromkeys(range(1, 10), 3)


async def test_a_new_minute_counts_anew_and_what_was_held_counts_in_it_once() -> None:
    stage = Stage()
    flights = flights_of(*[ADA] * 5)
    assert await stage.ask(flights) == (3, [1, 1])
    await stage.clock.advance(45)
    assert await stage.ask(flights[3:]) == (2, [])
    assert await stage.ask(flights_of(ADA, ADA)) == (1, [1])


async def test_what_comes_back_within_its_minute_keeps_its_place() -> None:
    stage = Stage()
    flights = flights_of(ADA, ADA, ADA, ADA)
    for _ in range(20):
        assert await stage.ask(flights) == (3, [1])
    assert await stage.ask(flights_of(ADA)) == (0, [1])


async def test_all_channels_and_lanes_count_together() -> None:
    stage = Stage()
    assert await stage.ask(flights_of(ADA), "push", "low") == (1, [])
    assert await stage.ask(flights_of(ADA), "sms", "high") == (1, [])
    assert await stage.ask(flights_of(ADA, ADA), "email", "normal") == (1, [1])


@pytest.mark.parametrize(("channel", "priority"), [("in_app", "normal"), ("push", "critical")])
async def test_critical_and_in_app_are_neither_held_nor_counted(channel: Channel, priority: Priority) -> None:
    stage = Stage()
    assert await stage.ask(flights_of(*[ADA] * 10), channel, priority) == (10, [])
    assert stage.cache.asked == 0
    assert await stage.ask(flights_of(ADA, ADA, ADA)) == (3, [])


async def test_without_a_limit_nobody_is_asked() -> None:
    stage = Stage(0)
    assert await stage.ask(flights_of(*[ADA] * 100)) == (100, [])
    assert stage.cache.asked == 0


async def test_without_the_cache_everything_goes() -> None:
    stage = Stage()
    stage.cache.broken = True
    assert await stage.ask(flights_of(*[ADA] * 10)) == (10, [])
    stage.cache.broken = False
    assert await stage.ask(flights_of(*[ADA] * 10)) == (3, [1, 1, 1, 2, 2, 2, 3])


async def test_a_batch_costs_one_call_of_the_cache_at_most() -> None:
    stage = Stage()
    flights = flights_of(*(RecipientNo(n % 100) for n in range(500)))
    await stage.ask(flights)
    assert stage.cache.asked == 1
    await stage.ask(flights)
    assert stage.cache.asked == 1
    await stage.ask([])
    assert stage.cache.asked == 1


async def test_a_clock_set_back_holds_nobody_longer_than_its_minute() -> None:
    stage = Stage()
    await stage.ask(flights_of(ADA, ADA, ADA))
    stage.clock.set(MINUTE - 30_000)
    assert await stage.ask(flights_of(ADA, ADA, ADA, ADA)) == (3, [1])


PEOPLE = st.lists(st.sampled_from([ADA, BOB]), max_size=12)


@given(st.lists(st.tuples(PEOPLE, st.sampled_from([0, 1, 20, 70])), max_size=15))
async def test_nobody_ever_gets_more_in_a_minute_and_all_that_wait_get_through(
    batches: list[tuple[list[RecipientNo], int]],
) -> None:
    stage = Stage()
    waiting: list[tuple[int, int, Flight]] = []
    sent: Counter[tuple[int, RecipientNo]] = Counter()
    order = count()

    async def send(flights: list[Flight]) -> None:
        going, late = await stage.rate.divide("push", "normal", flights, stage.clock.now())
        assert len(going) + len(late) == len(flights)
        sent.update((stage.clock.now() // MINUTE_MS, flight.notification.recipient) for flight in going)
        waiting.extend((until, next(order), flight) for flight, until in late)

    for people, pause in batches:
        await send(flights_of(*people))
        await stage.clock.advance(pause)
    for _ in range(1_000):
        due = [flight for until, _, flight in waiting if until <= stage.clock.now()]
        waiting[:] = [entry for entry in waiting if entry[0] > stage.clock.now()]
        if due:
            await send(due)
        if not waiting:
            break
        await stage.clock.advance(5)
    assert not waiting
    assert sum(sent.values()) == sum(len(people) for people, _ in batches)
    assert all(got <= 3 for got in sent.values())
