"""The distributed mode when what it stands on fails: nothing that was answered is lost, and the rest goes on."""

from pathlib import Path
from urllib.parse import urlsplit

from confluent_kafka import Producer

from bellhouse.engines.kafka import Kafka
from bellhouse.engines.postgres import Postgres, Standby
from tests.acceptance.cluster import LEASE_S, ROLES, SESSION_S, Engines
from tests.acceptance.cut import Wire
from tests.acceptance.ground import ClusterMatrix, Ground, under_traffic
from tests.acceptance.matrix import Way
from tests.acceptance.traffic import EMAIL, PUSH
from tests.acceptance.waiting import wait_until


def test_while_the_log_is_away_accepting_goes_on_and_everything_comes_when_it_is_back(
    ground: Ground, tmp_path: Path
) -> None:
    with under_traffic(ClusterMatrix, *ground.afresh(), tmp_path, 3) as running:
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


def test_a_priority_with_a_log_of_its_own_and_the_others_do_not_feel_one_anothers_outages(
    ground: Ground, tmp_path: Path
) -> None:
    engines, prefix = ground.afresh()
    alerts = (Way("alert", PUSH), Way("alert", PUSH, in_s=0.5))
    orders = (Way("order", PUSH), Way("order", EMAIL, in_s=0.5))
    with Kafka() as own:
        engines = engines._replace(critical_brokers=own.brokers)
        with under_traffic(ClusterMatrix, engines, prefix, tmp_path, 15) as running:
            running.arrives(*alerts, *orders)
            for away, goes_on, waits in ((ground.kafka, alerts, orders), (own, orders, alerts)):
                away.stop()
                try:
                    running.arrives(*goes_on)
                    running.arrives(*goes_on)
                finally:
                    away.start()
                running.arrives(*waits)
            running.finish("one log of two away")
            assert running.house.unexpected_ends() == {}


def test_what_an_operator_forced_outlives_a_flush_and_the_loss_of_redis(ground: Ground, tmp_path: Path) -> None:
    with under_traffic(ClusterMatrix, *ground.afresh(), tmp_path, 5) as running:
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
    with under_traffic(ClusterMatrix, *ground.afresh(), tmp_path, 7) as running:
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
    roles = {**ROLES, "push-2": ROLES["push"], "router-2": ROLES["router"]}
    with under_traffic(ClusterMatrix, *ground.afresh(), tmp_path, 9, roles=roles) as running:
        for _ in range(2):
            for role in ("push", "router-2", "push-2", "router"):
                running.sending()
                assert running.house.restart(role, 10.0) == 0
        running.arrives(Way("order", PUSH))
        running.finish("rebalance storm")


def test_a_worker_that_is_cut_off_from_the_store_is_taken_over_and_comes_back(ground: Ground, tmp_path: Path) -> None:
    engines, prefix = ground.afresh()
    port = urlsplit(engines.database).port
    wire = Wire(port or 0)
    given = {"push": {"BELLHOUSE_STORE__URL": engines.database.replace(f":{port}/", f":{wire.port}/")}}
    roles = {**ROLES, "push-2": ROLES["push"]}
    try:
        with under_traffic(ClusterMatrix, engines, prefix, tmp_path, 11, roles=roles, given=given) as running:
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
    with Postgres() as primary:
        url = primary.create_database("failover")
        with Standby(primary) as standby:
            primary.commit_on(standby)
            first, second = urlsplit(url), urlsplit(standby.url)
            both = url.replace(f":{first.port}/", f":{first.port},127.0.0.1:{second.port}/")
            engines = Engines(both, ground.kafka.brokers, ground.valkey.url)
            with under_traffic(ClusterMatrix, engines, "failover.", tmp_path, 13) as running:
                running.sending()
                running.count_in_flight()
                primary.kill()
                standby.promote()
                running.arrives(Way("order", PUSH))
                running.arrives(Way("alert", PUSH))
                running.arrives(Way("order", EMAIL))
                running.finish("failover")
                assert running.house.unexpected_ends() == {}
