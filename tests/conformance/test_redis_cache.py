"""The shared cache keeps the port's promises on one server, in a cluster and behind TLS, and fails quickly."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
from redis import Redis

from bellhouse.adapters.cache.redis import RedisCache, RedisConfig, RedisLink, RedisSubscription
from bellhouse.adapters.cache.redis_ear import Ear
from bellhouse.adapters.cache.redis_link import QUIET_S
from bellhouse.adapters.clock import SystemClock
from bellhouse.engines.certificate import Certificate
from bellhouse.engines.valkey import Valkey, ValkeyCluster
from bellhouse.ports.cache import CacheUnavailable
from bellhouse.ports.clock import Clock
from bellhouse.testing.cache_suite import LONG, CacheSuite
from bellhouse.testing.clock import ManualClock

PATIENCE_S = 10.0
SHORT_S = 0.2
TIMEOUT_S = 5.0
"""Longer than a busy machine makes a healthy server wait."""
PREFIXES = (f"test{number}:" for number in itertools.count())


class House:
    """A cache as two processes see it, among keys of its own."""

    def __init__(self, servers: list[Valkey], config: RedisConfig) -> None:
        self._servers = servers
        self._prefix = config.prefix
        self._links = [RedisLink(config, SystemClock()) for _ in range(2)]
        self.cache, self.beside = (RedisCache(link) for link in self._links)

    async def later(self, seconds: float) -> None:
        """Bring every end nearer, instead of waiting for it."""
        for server in self._servers:
            with server.client() as client:
                await asyncio.to_thread(_bring_ends_nearer, client, self._prefix, int(seconds * 1000))

    async def close(self) -> None:
        for cache in (self.cache, self.beside):
            await cache.close()
        for link in self._links:
            await link.close()


def _bring_ends_nearer(client: Redis, prefix: str, ms: int) -> None:
    for key in client.scan_iter(match=f"{prefix}*", count=1000):
        client.pexpire(key, max(0, client.pttl(key) - ms))


class TestRedisCache(CacheSuite):
    @pytest.fixture
    async def house(self, valkey: Valkey) -> AsyncIterator[House]:
        house = House([valkey], RedisConfig(valkey.url, prefix=next(PREFIXES), timeout_s=5 * SHORT_S))
        yield house
        await house.close()


class TestRedisClusterCache(CacheSuite):
    @pytest.fixture
    async def house(self, valkey_cluster: ValkeyCluster) -> AsyncIterator[House]:
        config = RedisConfig(valkey_cluster.url, cluster=True, prefix=next(PREFIXES), timeout_s=5 * SHORT_S)
        house = House(valkey_cluster.nodes, config)
        yield house
        await house.close()


class TestGuardedRedisCache(CacheSuite):
    @pytest.fixture
    async def house(self, guarded_valkey: Valkey, certificate: Certificate) -> AsyncIterator[House]:
        house = House([guarded_valkey], guarded(guarded_valkey, certificate))
        yield house
        await house.close()


def guarded(server: Valkey, certificate: Certificate) -> RedisConfig:
    return RedisConfig(
        server.url,
        username=server.username,
        password=server.password,
        ca_pem=certificate.authority.read_bytes(),
        prefix=next(PREFIXES),
        timeout_s=TIMEOUT_S,
    )


# --- time ---


async def test_values_and_counters_end_by_themselves(valkey: Valkey) -> None:
    async with opened(RedisConfig(valkey.url, prefix=next(PREFIXES), timeout_s=5 * SHORT_S)) as cache:
        await cache.put({"value": b"1"}, 0.05)
        await cache.count({"counter": 1}, 0.05)
        async with asyncio.timeout(PATIENCE_S):
            while await cache.get(["value", "counter"]) != [None, None]:
                await asyncio.sleep(0.01)


# --- one round trip ---


async def test_a_call_is_one_command_whatever_its_length(mortal_valkey: Valkey) -> None:
    keys = [f"k{number}" for number in range(2_000)]
    async with opened(RedisConfig(mortal_valkey.url, timeout_s=TIMEOUT_S)) as cache:
        await cache.put(dict.fromkeys(keys, b"v"), LONG)
        assert await cache.add(dict.fromkeys(keys, b"w"), LONG) == [False] * 2_000
        assert await cache.get(keys) == [b"v"] * 2_000
        assert await cache.count({f"n{key}": 1 for key in keys}, LONG) == [1] * 2_000
        await cache.delete(keys)
    with mortal_valkey.client() as client:
        stats = client.info("commandstats")
        assert {name: stats[f"cmdstat_{name}"]["calls"] for name in ("eval", "mget", "unlink")} == {
            "eval": 3, "mget": 1, "unlink": 1
        }  # fmt: skip


async def test_others_prefixes_are_left_alone(valkey: Valkey) -> None:
    ours, theirs = (RedisConfig(valkey.url, prefix=next(PREFIXES), timeout_s=5 * SHORT_S) for _ in range(2))
    async with opened(ours) as cache, opened(theirs) as other:
        await cache.put({"a": b"1"}, LONG)
        listener = await other.subscribe("news")
        await cache.publish("news", [b"ours"])
        await other.publish("news", [b"theirs"])
        assert await other.get(["a"]) == [None]
        assert await listener.receive() == [b"theirs"]


async def test_a_call_that_was_cancelled_leaves_no_answer_to_the_next(valkey: Valkey) -> None:
    async with opened(RedisConfig(valkey.url, prefix=next(PREFIXES), timeout_s=5 * SHORT_S, connections=1)) as cache:
        await cache.put({"a": b"a", "b": b"b"}, LONG)
        for turns in range(12):
            call = asyncio.create_task(cache.get(["a"] * 3))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            assert await cache.get(["b"]) == [b"b"]


# --- a Redis that does not answer ---


async def test_after_a_silence_calls_fail_at_once_until_one_was_answered(mortal_valkey: Valkey) -> None:
    clock = ManualClock()
    async with opened(RedisConfig(mortal_valkey.url, timeout_s=SHORT_S), clock) as cache:
        await cache.put({"a": b"1"}, LONG)
        mortal_valkey.pause()
        with pytest.raises(CacheUnavailable, match="does not answer"):
            await cache.get(["a"])
        with pytest.raises(CacheUnavailable, match="a moment ago"):
            await cache.get(["a"])
        await clock.advance(QUIET_S)
        answers = await asyncio.gather(*(cache.get(["a"]) for _ in range(5)), return_exceptions=True)
        assert sorted("a moment ago" in str(answer) for answer in answers) == [False, True, True, True, True]
        mortal_valkey.resume()
        with pytest.raises(CacheUnavailable, match="a moment ago"):
            await cache.get(["a"])
        await clock.advance(QUIET_S)
        assert await cache.get(["a"]) == [b"1"]
        assert await asyncio.gather(*(cache.get(["a"]) for _ in range(5))) == [[b"1"]] * 5


async def test_a_cancelled_try_lets_another_one_go(mortal_valkey: Valkey) -> None:
    clock = ManualClock()
    async with opened(RedisConfig(mortal_valkey.url, timeout_s=SHORT_S), clock) as cache:
        mortal_valkey.pause()
        with pytest.raises(CacheUnavailable):
            await cache.get(["a"])
        await clock.advance(QUIET_S)
        attempt = asyncio.create_task(cache.get(["a"]))
        await asyncio.sleep(0)
        attempt.cancel()
        await asyncio.wait([attempt])
        mortal_valkey.resume()
        assert await cache.get(["a"]) == [None]


async def test_a_redis_that_was_started_anew_is_found_again_and_is_empty(mortal_valkey: Valkey) -> None:
    clock = ManualClock()
    async with opened(RedisConfig(mortal_valkey.url, timeout_s=TIMEOUT_S), clock) as cache:
        await cache.put({"a": b"1"}, LONG)
        mortal_valkey.kill()
        with pytest.raises(CacheUnavailable):
            await cache.get(["a"])
        mortal_valkey.start()
        await clock.advance(QUIET_S)
        assert await cache.get(["a"]) == [None]


async def test_what_redis_refuses_is_unavailable_and_does_not_stop_other_calls(valkey: Valkey) -> None:
    async with opened(RedisConfig(valkey.url, prefix=next(PREFIXES), timeout_s=5 * SHORT_S), ManualClock()) as cache:
        await cache.put({"a": b"no number"}, LONG)
        with pytest.raises(CacheUnavailable, match="refused"):
            await cache.count({"a": 1}, LONG)
        assert await cache.get(["a"]) == [b"no number"]


async def test_a_wrong_password_and_an_unknown_authority_are_unavailable(
    guarded_valkey: Valkey, certificate: Certificate
) -> None:
    right = guarded(guarded_valkey, certificate)
    wrong = {"password": "wrong", "ca_pem": None, "username": None}
    for field, value in wrong.items():
        async with opened(msgspec.structs.replace(right, **{field: value})) as cache:
            with pytest.raises(CacheUnavailable):
                await cache.get(["a"])


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (RedisConfig("localhost:6379"), r"redis\.url.*redis://"),
        (RedisConfig("redis://localhost:port"), r"redis\.url"),
        (RedisConfig("redis://localhost:6379/3", cluster=True), r"redis\.url.*databases"),
        (RedisConfig("redis://localhost:6379", timeout_s=0.0), r"redis\.timeout_s"),
        (RedisConfig("redis://localhost:6379", connections=0), r"redis\.connections"),
    ],
)
async def test_bad_settings_are_refused_by_name(config: RedisConfig, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RedisLink(config, SystemClock())


# --- listening ---


async def test_a_listener_is_told_of_a_cut_and_listens_again(mortal_valkey: Valkey) -> None:
    clock = ManualClock()
    async with opened(RedisConfig(mortal_valkey.url, timeout_s=TIMEOUT_S), clock) as cache:
        first, second = await cache.subscribe("news"), await cache.subscribe("weather")
        await cache.publish("news", [b"1"])
        assert await first.receive() == [b"1"]
        mortal_valkey.kill()
        for listener in (first, second):
            with pytest.raises(CacheUnavailable, match="may be lost"):
                await listener.receive()
        with pytest.raises(CacheUnavailable):
            await first.receive()
        mortal_valkey.start()
        await clock.advance(QUIET_S)
        waiting = [asyncio.create_task(heard(listener)) for listener in (first, second)]
        with mortal_valkey.client() as client:
            async with asyncio.timeout(PATIENCE_S):
                while len(client.pubsub_channels()) < 2:
                    await asyncio.sleep(0.01)
        await cache.publish("weather", [b"rain"])
        await cache.publish("news", [b"2"])
        assert await asyncio.gather(*waiting) == [[b"2"], [b"rain"]]


async def test_a_process_listens_on_one_connection_and_leaves_what_nobody_hears(mortal_valkey: Valkey) -> None:
    async with opened(RedisConfig(mortal_valkey.url, timeout_s=TIMEOUT_S)) as cache:
        subscriptions = [await cache.subscribe(f"s{number % 10}") for number in range(20)]
        with mortal_valkey.client() as client:
            assert len(client.pubsub_channels()) == 10
            assert sum(int(each["sub"]) > 0 for each in client.client_list()) == 1
            for subscription in subscriptions[:15]:
                await subscription.close()
            async with asyncio.timeout(PATIENCE_S):
                while sorted(client.pubsub_channels()) != ["s5", "s6", "s7", "s8", "s9"]:
                    await asyncio.sleep(0.01)
        await cache.publish("s9", [b"1"])
        assert await subscriptions[19].receive() == [b"1"]


async def test_a_silent_connection_is_given_up_when_it_gives_no_sign(mortal_valkey: Valkey) -> None:
    link = RedisLink(RedisConfig(mortal_valkey.url, timeout_s=TIMEOUT_S), SystemClock())
    ear = Ear(lambda: link.connect(""), TIMEOUT_S, idle_s=0.05)
    listener = await ear.listen(b"news")
    waiting = asyncio.create_task(listener.heard())
    with mortal_valkey.client() as client:
        async with asyncio.timeout(PATIENCE_S):
            while client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"] < 3:
                await asyncio.sleep(0.01)
    assert not waiting.done()
    mortal_valkey.pause()
    assert await asyncio.wait_for(waiting, PATIENCE_S) == []
    await ear.close()
    await link.close()


async def test_a_slow_listener_loses_the_oldest_messages(valkey: Valkey) -> None:
    async with opened(RedisConfig(valkey.url, prefix=next(PREFIXES), timeout_s=5 * SHORT_S)) as cache:
        slow, quick = await cache.subscribe("news"), await cache.subscribe("news")
        await cache.publish("news", [b"%d" % number for number in range(3_000)])
        async with asyncio.timeout(PATIENCE_S):
            while (await quick.receive())[-1] != b"2999":
                pass
        assert await slow.receive() == [b"%d" % number for number in range(2_000, 3_000)]


# --- a cluster that changes ---


@pytest.fixture
def slot_0_back(valkey_cluster: ValkeyCluster) -> Iterator[ValkeyCluster]:
    """The cluster, in which a test may give slot 0 to another node than the first."""
    yield valkey_cluster
    give_slot(valkey_cluster, 0, 0)


def give_slot(cluster: ValkeyCluster, slot: int, to: int) -> None:
    with cluster.nodes[to].client() as client:
        name = client.execute_command("CLUSTER MYID")
    for node in [cluster.nodes[to], *cluster.nodes]:
        with node.client() as client:
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", name)


async def test_a_key_whose_slot_has_moved_is_found_at_its_new_node(slot_0_back: ValkeyCluster) -> None:
    nodes, key = slot_0_back.nodes, "{06S}"  # which is in slot 0
    async with opened(RedisConfig(slot_0_back.url, cluster=True, timeout_s=TIMEOUT_S)) as cache:
        await cache.put({"elsewhere": b"1"}, LONG)
        give_slot(slot_0_back, 0, 1)
        await cache.put({key: b"2", "other": b"3"}, LONG)
        assert await cache.get(["elsewhere", key, "other"]) == [b"1", b"2", b"3"]
        assert await cache.add({key: b"4"}, LONG) == [False]
        with nodes[1].client() as client:
            assert client.get(key) == "2"
        await cache.delete(["elsewhere", key, "other"])


async def test_a_cluster_is_unavailable_while_one_of_its_nodes_is_silent(valkey_cluster: ValkeyCluster) -> None:
    clock, keys = ManualClock(), [f"k{number}" for number in range(100)]
    config = RedisConfig(valkey_cluster.url, cluster=True, prefix=next(PREFIXES), timeout_s=5 * SHORT_S)
    async with opened(config, clock) as cache:
        await until_answered(cache, clock)
        valkey_cluster.nodes[2].pause()
        try:
            with pytest.raises(CacheUnavailable, match="does not answer"):
                await cache.get(keys)
            with pytest.raises(CacheUnavailable, match="a moment ago"):
                await cache.get(keys)
        finally:
            valkey_cluster.nodes[2].resume()
        await until_answered(cache, clock)
        assert await cache.get(keys) == [None] * 100


async def until_answered(cache: RedisCache, clock: ManualClock) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await clock.advance(QUIET_S)
            with contextlib.suppress(CacheUnavailable):
                await cache.get([f"k{number}" for number in range(100)])
                return


@contextlib.asynccontextmanager
async def opened(config: RedisConfig, clock: Clock | None = None) -> AsyncIterator[RedisCache]:
    link = RedisLink(config, clock or SystemClock())
    cache = RedisCache(link)
    try:
        yield cache
    finally:
        await cache.close()
    await link.close()


async def heard(subscription: RedisSubscription) -> list[bytes]:
    async with asyncio.timeout(PATIENCE_S):
        return list(await subscription.receive())
