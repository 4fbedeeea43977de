"""Too much for the store, the log or the lanes: ingest goes up and down its steps, and critical still gets in."""

import fcntl
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bellhouse.engines.kafka import Kafka
from bellhouse.engines.valkey import Valkey
from tests.acceptance.client import Answer, Client
from tests.acceptance.cluster import ClusterHouse, Engines
from tests.acceptance.house import QUICK, House, World
from tests.acceptance.people import DATA, Person, define, of, person
from tests.acceptance.waiting import wait_until

LIMIT = 400
LOW, NORMAL, HIGH, CRITICAL = "promo", "news", "order", "alert"


def with_limits(*lines: str) -> str:
    return QUICK.replace("[limits]", "\n".join(("[limits]", *lines)))


def send(client: Client, who: Person, kind: str) -> Answer:
    return client.ask("POST", "/v1/notifications", body_of(who, kind))


def body_of(who: Person, kind: str) -> dict[str, object]:
    return {"user_id": who.id, "type": kind, "channels": ["push"], "data": DATA}


def pile_up(client: Client, who: Person, kind: str, count: int) -> None:
    """Have so many accepted at once."""
    body = {"notifications": [body_of(who, kind)] * count}
    results = client.post("/v1/notifications/batch", body)["results"]
    assert all("id" in result for result in results), results[:3]


def accepting(client: Client) -> str:
    """What `/readyz` says of accepting; no step makes it unready."""
    checks = client.get("/readyz")["checks"]
    (detail,) = [check["detail"] for check in checks if check["name"] == "accepting"]
    return str(detail)


def comes_to(client: Client, step: str, signal_name: str = "") -> None:
    """Wait until ingest is on a step, for the reason of a signal."""
    expected = f"{step}: {signal_name}:" if signal_name else step
    wait_until(lambda: accepting(client).startswith(expected), 60, lambda: accepting(client))


def metric(client: Client, name: str) -> float:
    """A sample of `/metrics`; 0 where there is none."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", client.ask("GET", "/metrics").body.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def refused(answer: Answer, step: str) -> None:
    assert (answer.status, answer.json["code"]) == (503, "degraded"), answer
    assert step in answer.json["detail"]
    assert int(answer.headers["retry-after"]) >= 5


def delivered(client: Client, answer: Answer) -> None:
    """Wait until a notification that was accepted has been delivered."""
    assert answer.status == 202, answer
    identifier = answer.json["id"]

    def arrived() -> bool:
        story = client.story(identifier)
        return bool(story["deliveries"]) and of(story, "push")["state"] == "delivered"

    wait_until(arrived, 40, lambda: client.story(identifier))


def changes(log: Path) -> list[tuple[str, str, str]]:
    """The level and the two steps of every line about a change."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    about = [line for line in lines if str(line.get("message", "")).startswith("Ingest accepts")]
    return [(line["level"], line["old_state"], line["new_state"]) for line in about]


def log_of(house: House) -> Path:
    return house.data.parent / f"{house.data.name}.log"


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_lanes_that_stand_still_let_in_less_and_less_while_critical_is_delivered(folder: Path, world: World) -> None:
    world.fresh()
    with House(folder, world, 2, with_limits(f"backlog = {LIMIT}")) as house:
        client = house.client()
        define(client)
        ada = person(client)
        assert accepting(client) == "open"
        with standing_still(house.roles()["bulk"]):
            _climb(client, ada, "backlog")
            assert metric(client, 'ingest_degraded_step{role="api"}') == 3
            assert metric(client, 'notifications_rejected_total{reason="degraded"}') == 7
            delivered(client, send(client, ada, CRITICAL))
        comes_to(client, "open")
        assert metric(client, 'ingest_degraded_step{role="api"}') == 0
        delivered(client, send(client, ada, HIGH))
        assert send(client, ada, LOW).status == 202
        up = [step for level, _, step in changes(log_of(house)) if level == "WARNING"]
        assert up == ["no_low", "no_normal", "critical_only"]
        down = [steps for level, *steps in changes(log_of(house)) if level == "INFO"]
        assert down == [["critical_only", "no_normal"], ["no_normal", "no_low"], ["no_low", "open"]]
        house.balances()


def _climb(client: Client, who: Person, signal_name: str) -> None:
    """Fill what holds LIMIT records, from step to step, and see at each who is refused."""
    pile_up(client, who, LOW, LIMIT * 65 // 100)
    comes_to(client, "no_low", signal_name)
    refused(send(client, who, LOW), "no_low")
    pile_up(client, who, NORMAL, LIMIT * 15 // 100)
    comes_to(client, "no_normal", signal_name)
    refused(send(client, who, LOW), "no_normal")
    refused(send(client, who, NORMAL), "no_normal")
    items = [body_of(who, kind) for kind in (NORMAL, HIGH, LOW, CRITICAL)]
    results = client.post("/v1/notifications/batch", {"notifications": items})["results"]
    assert [result.get("error", {}).get("code") for result in results] == ["degraded", None, "degraded", None]
    pile_up(client, who, HIGH, LIMIT * 12 // 100)
    comes_to(client, "critical_only", signal_name)
    refused(send(client, who, LOW), "critical_only")
    refused(send(client, who, HIGH), "critical_only")


def test_a_store_that_is_slow_to_commit_is_kept_for_critical(folder: Path, world: World) -> None:
    world.fresh()
    with House(folder, world, 2, with_limits("commit_wait_s = 1.0")) as house:
        client = house.client()
        define(client)
        ada = person(client)
        answers: list[Answer] = []
        caller = threading.Thread(target=lambda: answers.append(send(client, ada, HIGH)))
        with (folder / "bellhouse.db-writer").open("rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            caller.start()
            since = time.monotonic()
            wait_until(lambda: time.monotonic() > since + 1.5)
        caller.join(20)
        assert [answer.status for answer in answers] == [202], "slow is not refused"
        comes_to(client, "critical_only", "commit_wait")
        refused(send(client, ada, HIGH), "critical_only")
        delivered(client, send(client, ada, CRITICAL))
        comes_to(client, "open")
        delivered(client, send(client, ada, HIGH))
        house.balances()


@pytest.fixture
def cluster(
    folder: Path, world: World, database_url: str, mortal_kafka: Kafka, valkey: Valkey
) -> Iterator[ClusterHouse]:
    """A house of many processes whose outbox may hold LIMIT records."""
    world.fresh()
    engines = Engines(database_url, mortal_kafka.brokers, valkey.url)
    with ClusterHouse(folder, world, engines, "degraded.", with_limits(f"outbox = {LIMIT}")) as house:
        define(house.client())
        yield house


def test_without_the_log_the_outbox_fills_step_by_step_and_empties_again(
    cluster: ClusterHouse, mortal_kafka: Kafka
) -> None:
    client = cluster.client()
    ada = person(client, preferences={"consent": {"marketing": {"given": True, "source": "test"}}})
    mortal_kafka.stop()
    _climb(client, ada, "outbox")
    accepted = [send(client, ada, CRITICAL) for _ in range(10)]
    assert metric(client, 'ingest_degraded_step{role="api"}') == 3
    pile_up(client, ada, CRITICAL, LIMIT // 10)
    comes_to(client, "closed", "outbox")
    refused(send(client, ada, CRITICAL), "closed")
    assert _levels(cluster, "WARNING") == ["no_low", "no_normal", "critical_only", "closed"]
    mortal_kafka.start()
    comes_to(client, "open")
    for answer in (*accepted, send(client, ada, LOW)):
        delivered(client, answer)
    assert _levels(cluster, "INFO") == ["critical_only", "no_normal", "no_low", "open"]
    cluster.balances()


def _levels(house: ClusterHouse, level: str) -> Sequence[str]:
    return [new for said, _, new in changes(house.kept["api"].log) if said == level]
