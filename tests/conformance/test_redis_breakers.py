"""Breakers in Redis keep the port's promises, and what is forced outlives whatever happens to Redis."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellhouse.adapters.cache.circuits import REFRESH_S, RedisBreakers
from bellhouse.adapters.cache.redis_link import QUIET_S, RedisConfig, RedisLink
from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.engines.valkey import Valkey, ValkeyCluster
from bellhouse.ports.store.providers import BreakerRow, BreakerStore
from bellhouse.testing.breaker_suite import NOON, OPEN, BreakerSuite
from bellhouse.testing.clock import ManualClock

PROVIDERS = ("fcm", "twilio")
TIMEOUT_S = 5.0
PATIENCE_S = 10.0
FCM = "circuit:fcm:state"
FORCED = BreakerRow("fcm", "push", "open", "open", NOON, version=1)


class Process:
    """The breakers as one process has them."""

    def __init__(self, config: RedisConfig, durable: BreakerStore, refresh_s: float = 0.0) -> None:
        self.clock = ManualClock(NOON)
        self.link = RedisLink(config, self.clock)
        self.breakers = RedisBreakers(self.link, durable, self.clock, PROVIDERS, refresh_s)

    async def rows(self) -> list[BreakerRow]:
        return list(await self.breakers.breakers())

    async def change(self, row: BreakerRow) -> bool:
        """Change what this process sees, as a worker and an operator do."""
        seen = {(found.provider, found.channel): found.version for found in await self.rows()}
        version = seen.get((row.provider, row.channel), 0)
        return await self.breakers.change_breaker(msgspec.structs.replace(row, version=version + 1), version)

    async def close(self) -> None:
        await self.breakers.close()
        await self.link.close()


class House:
    """Two processes on one Redis and one durable store."""

    def __init__(self, path: Path, config: RedisConfig) -> None:
        self.durable = [SqliteStore(path / "bellhouse.db", LocalDoorbell()) for _ in range(2)]
        self.ours, self.theirs = (Process(config, store.catalogue) for store in self.durable)
        self.breakers, self.beside = self.ours.breakers, self.theirs.breakers

    async def until(self, *expected: tuple[str, str]) -> None:
        """Let both look again and again, their clocks moved in between, until both see these states and words."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._seen() != [list(expected)] * 2:
                for process in (self.ours, self.theirs):
                    await process.clock.advance(QUIET_S)
                await asyncio.sleep(0.01)

    async def _seen(self) -> list[list[tuple[str, str]]]:
        return [[(row.state, row.forced) for row in await process.rows()] for process in (self.ours, self.theirs)]

    async def close(self) -> None:
        for process in (self.ours, self.theirs):
            await process.close()
        for store in self.durable:
            store.close()


class TestRedisBreakers(BreakerSuite):
    @pytest.fixture
    async def house(self, tmp_path: Path, mortal_valkey: Valkey) -> AsyncIterator[House]:
        house = House(tmp_path, RedisConfig(mortal_valkey.url, timeout_s=TIMEOUT_S, prefix="of-the-cache-alone:"))
        yield house
        await house.close()


class TestRedisClusterBreakers(BreakerSuite):
    @pytest.fixture
    async def house(self, tmp_path: Path, valkey_cluster: ValkeyCluster) -> AsyncIterator[House]:
        for node in valkey_cluster.nodes:
            with node.client() as client:
                client.flushall()
        house = House(tmp_path, RedisConfig(valkey_cluster.url, cluster=True, timeout_s=TIMEOUT_S))
        yield house
        await house.close()


@pytest.fixture
async def house(tmp_path: Path, mortal_valkey: Valkey) -> AsyncIterator[House]:
    house = House(tmp_path, RedisConfig(mortal_valkey.url, timeout_s=0.2))
    yield house
    await house.close()


def words(valkey: Valkey, field: str = "push") -> Any:
    """What somebody reads who looks with redis-cli."""
    with valkey.client() as client:
        text = client.hget(FCM, field)
        return None if text is None else msgspec.json.decode(str(text))


async def test_a_person_can_read_a_breaker_in_redis(house: House, mortal_valkey: Valkey) -> None:
    assert await house.ours.change(BreakerRow("fcm", "push", "half_open", "none", NOON, 5, "worker-1"))
    assert words(mortal_valkey) == {
        "state": "half_open",
        "changed_at": "2026-11-18T12:00:00.123000Z",
        "forced": "none",
        "failures": 5,
        "probe_owner": "worker-1",
        "version": 1,
        "reason": "failures",
    }


async def test_a_deleted_key_closes_the_breaker_for_everybody(house: House, mortal_valkey: Valkey) -> None:
    assert await house.ours.change(OPEN)
    assert await house.theirs.rows() == [OPEN]
    with mortal_valkey.client() as client:
        client.delete(FCM)
    assert await house.ours.rows() == []
    assert await house.theirs.rows() == []
    assert not await house.ours.breakers.change_breaker(msgspec.structs.replace(OPEN, version=2), 1)


async def test_after_a_deletion_a_version_never_stands_for_another_row(house: House, mortal_valkey: Valkey) -> None:
    assert await house.ours.change(OPEN)
    assert await house.theirs.rows() == [OPEN]
    with mortal_valkey.client() as client:
        client.delete(FCM)
    again = msgspec.structs.replace(OPEN, changed_at=NOON + 1)
    assert await house.ours.change(again)
    # They have not looked in between, and what they know has the same version as what there is.
    assert not await house.beside.change_breaker(msgspec.structs.replace(OPEN, state="closed", version=2), 1)
    assert await house.theirs.rows() == [msgspec.structs.replace(again, version=2)]
    assert await house.theirs.change(msgspec.structs.replace(OPEN, state="closed", changed_at=NOON + 2))
    assert [row.state for row in await house.ours.rows()] == ["closed"]


async def test_what_makes_no_sense_is_as_good_as_absent_and_can_be_written_over(
    house: House, mortal_valkey: Valkey
) -> None:
    with mortal_valkey.client() as client:
        client.hset(FCM, mapping={"push": "closed!", "pigeon": "{}", "sms": '{"state":"ajar","changed_at":0}'})
    assert await house.ours.rows() == []
    assert await house.ours.change(OPEN)
    assert await house.theirs.rows() == [OPEN]


# --- what is forced ---


async def test_what_is_forced_outlives_a_flush_and_redis_is_told_of_it(house: House, mortal_valkey: Valkey) -> None:
    assert await house.ours.change(FORCED)
    assert await house.theirs.rows() == [FORCED]
    with mortal_valkey.client() as client:
        client.flushall()
    assert await house.ours.rows() == [FORCED]
    assert await house.theirs.rows() == [FORCED]
    assert words(mortal_valkey)["forced"] == "open"


async def test_what_is_forced_is_known_to_a_process_that_starts_while_redis_is_away(
    house: House, mortal_valkey: Valkey
) -> None:
    assert await house.ours.change(FORCED)
    mortal_valkey.kill()
    assert [(row.state, row.forced) for row in await house.theirs.rows()] == [("open", "open")]


async def test_a_word_taken_back_while_redis_is_away_stays_taken_back(house: House, mortal_valkey: Valkey) -> None:
    assert await house.ours.change(FORCED)
    assert await house.theirs.rows() == [FORCED]
    mortal_valkey.pause()
    assert await house.ours.change(BreakerRow("fcm", "push", "closed", "none", NOON + 1))
    await house.until(("closed", "none"))
    mortal_valkey.resume()
    async with asyncio.timeout(PATIENCE_S):
        while words(mortal_valkey)["forced"] != "none":
            await house.until(("closed", "none"))
            await house.ours.clock.advance(QUIET_S)
    await house.until(("closed", "none"))


async def test_a_word_written_into_redis_by_hand_does_not_count(house: House, mortal_valkey: Valkey) -> None:
    with mortal_valkey.client() as client:
        client.hset(FCM, "push", '{"state":"open","forced":"open","changed_at":"2026-11-18T12:00:00Z"}')
    assert await house.ours.rows() == []
    assert await house.ours.change(OPEN)


async def test_of_two_operators_at_once_the_later_looks_first(house: House) -> None:
    closed = BreakerRow("fcm", "push", "closed", "closed", NOON, version=1)
    assert await asyncio.gather(house.breakers.change_breaker(FORCED, 0), house.beside.change_breaker(closed, 0)) in (
        [True, False],
        [False, True],
    )
    ours, theirs = await house.ours.rows(), await house.theirs.rows()
    assert [row.forced for row in ours] == [row.forced for row in theirs]


# --- without Redis ---


async def test_while_redis_is_away_each_process_goes_on_with_what_it_knew(house: House, mortal_valkey: Valkey) -> None:
    assert await house.ours.change(OPEN)
    assert await house.theirs.rows() == [OPEN]
    mortal_valkey.kill()
    probed = BreakerRow("fcm", "push", "half_open", "none", NOON + 1, 5, "ours")
    assert await house.ours.change(probed)
    assert [row.probe_owner for row in await house.ours.rows()] == ["ours"]
    assert await house.theirs.rows() == [OPEN]
    assert not await house.breakers.change_breaker(msgspec.structs.replace(OPEN, version=2), 1)


async def test_when_redis_is_back_and_empty_the_newest_change_of_all_is_written(
    house: House, mortal_valkey: Valkey
) -> None:
    mortal_valkey.kill()
    assert await house.ours.change(OPEN)
    assert await house.theirs.change(BreakerRow("fcm", "push", "closed", "none", NOON + 5))
    mortal_valkey.start()
    await house.until(("closed", "none"))
    assert words(mortal_valkey)["state"] == "closed"


async def test_when_redis_is_back_an_older_change_is_dropped(house: House, mortal_valkey: Valkey) -> None:
    mortal_valkey.pause()
    assert await house.ours.change(OPEN)
    mortal_valkey.resume()
    assert await house.theirs.change(BreakerRow("fcm", "push", "closed", "none", NOON + 5))
    await house.until(("closed", "none"))
    assert words(mortal_valkey)["state"] == "closed"


async def test_when_redis_is_back_and_empty_what_it_alone_knew_is_closed(house: House, mortal_valkey: Valkey) -> None:
    assert await house.ours.change(OPEN)
    mortal_valkey.restart()
    await house.until()


async def test_while_redis_is_silent_nobody_waits_for_it_but_the_first(tmp_path: Path, mortal_valkey: Valkey) -> None:
    store = SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell())
    process = Process(RedisConfig(mortal_valkey.url, timeout_s=1.0), store.catalogue)
    assert await process.change(OPEN)
    mortal_valkey.pause()
    assert await process.rows() == [OPEN]
    loop = asyncio.get_running_loop()
    for _ in range(20):
        await process.clock.advance(QUIET_S)
        began = loop.time()
        assert await process.rows() == [OPEN]
        assert loop.time() - began < process.link.config.timeout_s / 2
    await process.close()
    store.close()


# --- how often it looks ---


async def test_redis_is_asked_once_in_a_while_and_not_for_each_batch(tmp_path: Path, mortal_valkey: Valkey) -> None:
    store = SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell())
    process = Process(RedisConfig(mortal_valkey.url, timeout_s=TIMEOUT_S), store.catalogue, REFRESH_S)
    assert await process.change(OPEN)
    with mortal_valkey.client() as client:
        for _ in range(3):
            before = client.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"]
            for _ in range(50):
                await asyncio.gather(*(process.rows() for _ in range(4)))
            client.delete(FCM)
            assert [row.state for row in await process.rows()] == ["open"]
            await process.clock.advance(REFRESH_S)
            assert await process.rows() == []
            assert client.info("commandstats")["cmdstat_hgetall"]["calls"] - before == len(PROVIDERS)
            assert await process.change(OPEN)
    await process.close()
    store.close()
