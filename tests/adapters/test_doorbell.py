"""The doorbell: rings inside a process, rings across a socket, none lost while the waiter is busy."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from bellhouse.adapters.doorbell import LocalDoorbell

LONG = 30.0
A, B = "notifications.critical", "notifications.low"


@pytest.fixture
def pair() -> Iterator[tuple[LocalDoorbell, LocalDoorbell]]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    bells = LocalDoorbell(frozenset({A}), left), LocalDoorbell(frozenset({B}), right)
    yield bells
    for bell in bells:
        bell.close()


async def rung(bell: LocalDoorbell, topic: str) -> bool:
    """Whether the topic rings well before its timeout."""
    try:
        async with asyncio.timeout(5):
            await bell.wait(topic, LONG)
    except TimeoutError:
        return False
    return True


async def test_a_waiter_wakes_when_its_topic_rings():
    bell = LocalDoorbell()
    waiting = asyncio.create_task(rung(bell, A))
    await asyncio.sleep(0)
    bell.ring(frozenset({A, B}))
    assert await waiting


async def test_a_ring_while_the_waiter_is_busy_is_kept_for_its_next_wait():
    bell = LocalDoorbell()
    bell.ring(frozenset({A}))
    bell.ring(frozenset({A}))
    await bell.wait(A, LONG)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bell.wait(A, LONG)


async def test_another_topic_does_not_wake_it():
    bell = LocalDoorbell()
    bell.ring(frozenset({B}))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bell.wait(A, LONG)
    assert await rung(bell, B)


async def test_a_wait_ends_after_its_timeout_and_leaves_nothing_behind():
    bell = LocalDoorbell()
    await bell.wait(A, 0.001)
    assert not bell._waiters
    assert not bell._rung


async def test_a_cancelled_wait_leaves_nothing_behind():
    bell = LocalDoorbell()
    waiting = asyncio.create_task(bell.wait(A, LONG))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not bell._waiters


async def test_a_topic_of_the_other_process_rings_there(pair: tuple[LocalDoorbell, LocalDoorbell]):
    here, there = pair
    here.open()
    there.open()
    here.ring(frozenset({A, B}))
    assert await rung(there, B)
    assert await rung(here, A)
    assert B not in here._rung


async def test_a_full_socket_delays_a_ring_and_loses_none(pair: tuple[LocalDoorbell, LocalDoorbell]):
    here, there = pair
    here.open()
    for _ in range(10_000):
        here.ring(frozenset({"elsewhere"}))
    here.ring(frozenset({B}))
    assert B in here._unsent, "the socket was meant to be full by now"
    there.open()
    assert await rung(there, B)


async def test_a_dead_peer_is_no_error(pair: tuple[LocalDoorbell, LocalDoorbell]):
    here, there = pair
    here.open()
    there.close()
    here.ring(frozenset({B}))
    here.ring(frozenset({A}))
    assert await rung(here, A)


async def test_closing_twice_is_lawful(pair: tuple[LocalDoorbell, LocalDoorbell]):
    here, _ = pair
    here.open()
    here.close()
    here.close()
