"""A process is trusted while its lease is young, waits while it does not know, and ends when it was given up."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.observability.recorded import RecordedLogbook

from bellhouse.app.leases import AlwaysHeld, GivenUp, Membership, StoreLease
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.processes import Member
from bellhouse.ports.telemetry import NullLogbook
from bellhouse.testing.clock import ManualClock

TTL_S = 8.0
ME = Member("me", "worker")
OTHER = Member("other", "worker")


class Books:
    """A store of members and leases that answers as a test says."""

    def __init__(self) -> None:
        self.away = False
        self.given_up = False
        self.holder = "me"
        self.joined = 0
        self.renewed = 0
        self.left = 0
        self.taken = 0
        self.released: list[str] = []
        self.standing = 0
        self.alive: Sequence[Member] = (ME, OTHER)

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("unreachable", "wait")

    async def join(self, member: Member, ttl_s: float) -> None:
        self._answer()
        self.joined += 1

    async def renew(self, ttl_s: float) -> bool:
        self._answer()
        self.renewed += 1
        return not self.given_up

    async def end_silent_sessions(self) -> int:
        self._answer()
        ended, self.standing = self.standing, 0
        return ended

    async def leave(self) -> None:
        self._answer()
        self.left += 1

    async def members(self) -> Sequence[Member]:
        self._answer()
        return self.alive

    async def take(self, name: str, ttl_s: float) -> int:
        self.taken += 1
        self._answer()
        return int(self.holder == "me")

    async def release(self, name: str) -> None:
        self._answer()
        self.released.append(name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def membership(books: Books, clock: ManualClock) -> AsyncIterator[Membership]:
    membership = Membership(ME, books, clock, NullLogbook(), TTL_S)
    await membership.start()
    await clock.advance(0)
    yield membership
    await membership.stop()


async def _is_trusted(membership: Membership, clock: ManualClock) -> bool:
    asking = asyncio.create_task(membership.trusted())
    await clock.advance(0)
    trusted = asking.done()
    asking.cancel()
    await asyncio.wait([asking])
    return trusted


# --- membership ---


async def test_a_process_renews_four_times_in_the_life_of_its_lease(
    membership: Membership, books: Books, clock: ManualClock
) -> None:
    before = books.renewed
    await clock.advance(TTL_S)
    assert books.renewed - before == 4
    assert await _is_trusted(membership, clock)


async def test_members_are_those_of_the_last_look(membership: Membership, books: Books, clock: ManualClock) -> None:
    assert membership.members == (ME, OTHER)
    books.alive = (ME,)
    await clock.advance(TTL_S / 4)
    assert membership.members == (ME,)


async def test_what_silent_processes_stood_still_in_is_ended_and_told(books: Books, clock: ManualClock) -> None:
    logbook = RecordedLogbook()
    membership = Membership(ME, books, clock, logbook, TTL_S)
    await membership.start()
    books.standing = 2
    await clock.advance(TTL_S / 4)
    await membership.stop()
    assert logbook.notes == [("warning", "Ended what a silent process stood still in", {"count": 2})]


async def test_a_short_absence_of_the_store_changes_nothing(
    membership: Membership, books: Books, clock: ManualClock
) -> None:
    books.away = True
    await clock.advance(TTL_S / 2)
    assert await _is_trusted(membership, clock)


async def test_who_is_about_to_send_waits_while_the_lease_is_old_and_goes_on_when_it_is_renewed(
    membership: Membership, books: Books, clock: ManualClock
) -> None:
    books.away = True
    await clock.advance(TTL_S * 0.8)
    asking = [asyncio.create_task(membership.trusted()) for _ in range(3)]
    await clock.advance(TTL_S)
    assert not any(task.done() for task in asking)
    books.away = False
    await clock.advance(TTL_S / 4)
    assert all(task.done() for task in asking)


async def test_a_process_that_has_slept_is_not_trusted_before_it_has_renewed(
    membership: Membership, books: Books, clock: ManualClock
) -> None:
    """All of it slept, so that the renewal and whoever sends wake at the same moment."""
    clock._monotonic += 100.0
    asking = asyncio.create_task(membership.trusted())
    await asyncio.sleep(0)
    assert not asking.done()
    await clock.advance(TTL_S / 4)
    assert asking.done()


async def test_a_process_that_was_given_up_ends_and_sends_nothing_more(
    membership: Membership, books: Books, clock: ManualClock
) -> None:
    running = asyncio.create_task(membership.run())
    clock._monotonic += 100.0
    books.given_up = True
    await clock.advance(TTL_S / 4)
    with pytest.raises(GivenUp):
        await running
    assert not await _is_trusted(membership, clock)


async def test_a_renewal_counts_from_when_it_was_asked_for(books: Books, clock: ManualClock) -> None:
    """The store's clock began then at the latest; an answer that takes long is an old one."""
    membership = Membership(ME, books, clock, NullLogbook(), TTL_S)
    answered = asyncio.Event()

    async def slow(ttl_s: float) -> bool:
        await answered.wait()
        return True

    books.renew = slow  # type: ignore[method-assign]  # a store that takes its time
    await membership.start()
    await clock.advance(TTL_S * 0.9)
    answered.set()
    await clock.advance(0)
    assert not await _is_trusted(membership, clock)
    await clock.advance(TTL_S / 4)
    assert await _is_trusted(membership, clock)
    await membership.stop()


async def test_a_draining_process_keeps_its_lease_until_it_stops(
    membership: Membership, books: Books, clock: ManualClock
) -> None:
    running = asyncio.create_task(membership.run())
    membership.drain()
    await clock.advance(0)
    await running
    before = books.renewed
    await clock.advance(TTL_S)
    assert books.renewed > before
    assert books.left == 0
    await membership.stop()
    assert books.left == 1


async def test_a_process_can_stop_twice_and_while_the_store_is_away(
    membership: Membership, books: Books, clock: ManualClock
) -> None:
    books.away = True
    await membership.stop()
    await membership.stop()
    assert books.left == 0


# --- leases ---


async def test_a_lease_is_asked_for_again_only_after_a_while(books: Books, clock: ManualClock) -> None:
    lease = StoreLease("upkeep", books, clock, 10.0)
    assert await lease.held()
    assert await lease.held()
    assert books.taken == 1
    await clock.advance(2.1)
    assert await lease.held()
    assert books.taken == 2


async def test_a_lease_that_another_has_is_asked_for_each_time(books: Books, clock: ManualClock) -> None:
    lease = StoreLease("upkeep", books, clock, 10.0)
    books.holder = "other"
    assert not await lease.held()
    assert not await lease.held()
    assert books.taken == 2
    books.holder = "me"
    assert await lease.held()


async def test_a_lease_that_cannot_be_asked_for_is_not_held(books: Books, clock: ManualClock) -> None:
    lease = StoreLease("upkeep", books, clock, 10.0)
    assert await lease.held()
    await clock.advance(2.1)
    books.away = True
    assert not await lease.held()
    books.away = False
    assert await lease.held()


async def test_a_process_that_has_slept_asks_before_it_trusts_its_lease(books: Books, clock: ManualClock) -> None:
    lease = StoreLease("upkeep", books, clock, 10.0)
    assert await lease.held()
    await clock.advance(60.0)
    books.holder = "other"
    assert not await lease.held()


async def test_only_a_lease_that_is_held_is_given_back(books: Books, clock: ManualClock) -> None:
    lease = StoreLease("upkeep", books, clock, 10.0)
    await lease.release()
    assert books.released == []
    await lease.held()
    await lease.release()
    await lease.release()
    assert books.released == ["upkeep"]


async def test_a_single_process_holds_every_lease() -> None:
    assert await AlwaysHeld().held()
