"""The distributed mode when what it stands on fails: nothing that was answered is lost, and the rest goes on."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Producer

from bellhouse.engines.kafka import Kafka
from bellhouse.engines.postgres import Postgres, Standby
from bellhouse.engines.valkey import Valkey
from tests.acceptance.cluster import LEASE_S, ROLES, SESSION_S, ClusterHouse, Engines
from tests.acceptance.cut import Wire
from tests.acceptance.matrix import SETTINGS, Matrix, Way, slow_world, trafficked
from tests.acceptance.traffic import EMAIL, PUSH
from tests.acceptance.waiting import wait_until

_NUMBERS = itertools.count(1)


class Ground(NamedTuple):
    """Engines of these tests' own."""

    postgres: Postgres
    kafka: Kafka
    valkey: Valkey


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """One set for all of them, one after the other."""
    with ExitStack() as running:
        yield Ground(*(running.enter_context(engine()) for engine in (Postgres, Kafka, Valkey)))


class ClusterMatrix(Matrix):
    """A cluster house under traffic."""

    house: ClusterHouse


@contextmanager
def house_on(engines: Engines, name: str, folder: Path, seed: int, **given: object) -> Iterator[ClusterMatrix]:
    """A house under traffic on these engines."""
    with slow_world(folder / "world", seed) as world:
        house = ClusterHouse(folder / "data", world, engines, f"{name}.", SETTINGS, **given)  # type: ignore[arg-type]  # its own words
        with trafficked(house, seed) as traffic:
            yield ClusterMatrix(house, world, traffic, seed)


@contextmanager
def house_of(ground: Ground, folder: Path, seed: int) -> Iterator[ClusterMatrix]:
    """The same on the module's engines, with a database of its own."""
    name = f"faults_{next(_NUMBERS)}"
    engines = Engines(ground.postgres.create_database(name), ground.kafka.brokers, ground.valkey.url)
    with house_on(engines, name, folder, seed) as running:
        yield running


def test_while_the_log_is_away_accepting_goes_on_and_everything_comes_when_it_is_back(
    ground: Ground, tmp_path: Path
) -> None:
    with house_of(ground, tmp_path, 3) as running:
        running.arrives(Way("order", PUSH))
        ground.kafka.stop()
        try:
            before = len(running.traffic.accepted)
            running.traffic.batch(running.some("order", PUSH, 500))
            wait_until(lambda: len(running.traffic.accepted) > before + 600, 30, running.house.said)

            def says_so() -> bool:
                ready = running.house.client().get("/readyz")
                (log,) = [check for check in ready["checks"] if check["name"] == "log"]
                return bool(log["ok"] and "waits in the outbox" in log["detail"])

            wait_until(says_so, 40)
        finally:
            ground.kafka.start()
        running.arrives(Way("alert", PUSH))
        running.arrives(Way("order", EMAIL))
        running.finish("Kafka away")
        assert running.house.unexpected_ends() == {}


def test_what_an_operator_forced_outlives_a_flush_and_the_loss_of_redis(ground: Ground, tmp_path: Path) -> None:
    with house_of(ground, tmp_path, 5) as running:
        client = running.house.client()
        client.post("/v1/breakers/sendgrid/open")

        def is_forced() -> bool:
            rows = client.get("/v1/breakers")["breakers"]
            return next(row["forced"] for row in rows if row["provider"] == "sendgrid") == "open"

        def sends_by_the_other() -> None:
            since = running.world.api.summary()["last"]
            running.arrives(Way("order", EMAIL))
            calls = [one for one in running.world.api.receipts(since) if one["provider"] in ("sendgrid", "smtp")]
            assert {one["provider"] for one in calls} == {"smtp"}

        wait_until(is_forced)
        running.let_pass(0.5)
        sends_by_the_other()
        with ground.valkey.client() as by_hand:
            by_hand.flushall()
        assert is_forced()
        sends_by_the_other()
        ground.valkey.kill()
        try:
            wait_until(is_forced)
            sends_by_the_other()
        finally:
            ground.valkey.start()
        running.finish("Redis flushed and gone")
        assert running.house.unexpected_ends() == {}


def test_an_unreadable_record_stops_nothing_behind_it(ground: Ground, tmp_path: Path) -> None:
    with house_of(ground, tmp_path, 7) as running:
        prefix = running.house.prefix
        producer = Producer({"bootstrap.servers": ground.kafka.brokers})
        for topic in ("notifications.high", "deliveries.push.high", "notifications.critical"):
            for partition in range(2):
                producer.produce(prefix + topic, b"\xc1 no record of ours", partition=partition)
        assert producer.flush(10) == 0
        for way in (Way("order", PUSH), Way("alert", PUSH)):
            for _ in range(4):
                running.arrives(way)
        running.finish("poisoned")
        assert "Unreadable record skipped" in running.house.said_by("router")
        assert running.house.unexpected_ends() == {}


def test_a_rebalance_storm_repeats_nothing(ground: Ground, tmp_path: Path) -> None:
    name = f"faults_{next(_NUMBERS)}"
    engines = Engines(ground.postgres.create_database(name), ground.kafka.brokers, ground.valkey.url)
    roles = {**ROLES, "push-2": ROLES["push"], "router-2": ROLES["router"]}
    with house_on(engines, name, tmp_path, 9, roles=roles) as running:
        for _ in range(2):
            for role in ("push", "router-2", "push-2", "router"):
                running.sending()
                assert running.house.restart(role, 10.0) == 0
        running.arrives(Way("order", PUSH))
        running.finish("rebalance storm")


def test_a_worker_that_is_cut_off_from_the_store_is_taken_over_and_comes_back(ground: Ground, tmp_path: Path) -> None:
    name = f"faults_{next(_NUMBERS)}"
    url = ground.postgres.create_database(name)
    wire = Wire(urlsplit(url).port or 0)
    own = url.replace(f":{urlsplit(url).port}/", f":{wire.port}/")
    roles = {**ROLES, "push-2": ROLES["push"]}
    try:
        with slow_world(tmp_path / "world", 11) as world:
            engines = Engines(url, ground.kafka.brokers, ground.valkey.url)
            house = ClusterHouse(tmp_path / "data", world, engines, f"{name}.", SETTINGS, roles)
            house.kept["push"].given["BELLHOUSE_STORE__URL"] = own
            with trafficked(house, 11) as traffic:
                running = ClusterMatrix(house, world, traffic, 11)
                running.sending()
                running.count_in_flight()
                wire.cut()
                running.let_pass(LEASE_S + SESSION_S)
                running.arrives(Way("alert", PUSH))
                wire.mend()
                running.arrives(Way("order", PUSH))
                running.sending()
                running.finish("cut off")
    finally:
        wire.close()


def test_a_failover_of_the_database_loses_no_202(ground: Ground, tmp_path: Path) -> None:
    name = "faults_failover"
    with Postgres() as primary:
        url = primary.create_database(name)
        with Standby(primary) as standby:
            primary.commit_on(standby)
            first, second = urlsplit(url), urlsplit(standby.url)
            both = url.replace(f":{first.port}/", f":{first.port},127.0.0.1:{second.port}/")
            engines = Engines(both, ground.kafka.brokers, ground.valkey.url)
            with house_on(engines, name, tmp_path, 13) as running:
                running.sending()
                running.count_in_flight()
                primary.kill()
                standby.promote()
                running.arrives(Way("order", PUSH))
                running.arrives(Way("alert", PUSH))
                running.arrives(Way("order", EMAIL))
                running.finish("failover")
                assert running.house.unexpected_ends() == {}
