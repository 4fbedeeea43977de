"""Every command of every runbook works as it stands there."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bellhouse.cli import main
from bellhouse.engines.kafka import Kafka
from bellhouse.engines.process import ProgramFailed
from bellhouse.engines.valkey import Valkey
from bellhouse.ops.doctor import data, platform, providers, queue
from tests.docs.test_named import COMMANDS
from tests.runbooks import kubectl
from tests.runbooks.conftest import Ground
from tests.runbooks.pages import RUNBOOKS, commands_of

PAGES = pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
_TOPIC, _GROUP = "notifications.low", "notification-workers"
_TOOLS = {
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
}
_DIAGNOSIS = (0, 1)
"""The doctor answers, whatever it finds."""


def _on_host(command: str) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"


def _run(command: str, ground: Ground, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a line; one of Bellhouse's runs in this process."""
    given = {"ID": ground.notification, "DELIVERY": ground.letter, "USER": ground.recipient, "TYPE": "order"}
    words = [given.get(word, word) for word in shlex.split(command)]
    if words[0] != "bellhouse":
        _on_host(command)
        return ""
    is_diagnosis = words[1] == "doctor"
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*words[1:], *(("--window", "0.2") if is_diagnosis else ())])
    said = capsys.readouterr()
    assert int(ended.value.code or 0) in (_DIAGNOSIS if is_diagnosis else (0,)), f"{command}\n{said.out}{said.err}"
    return said.out


@pytest.fixture
def at_house(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """The reader's environment."""
    monkeypatch.setenv("BELLHOUSE_URL", ground.house.url)
    monkeypatch.setenv("BELLHOUSE_KEY", ground.house.key)
    monkeypatch.setenv("BELLHOUSE_DATA", str(ground.house.data))
    return ground


@PAGES
def test_what_is_asked_of_bellhouse_is_answered(
    page: Path, at_house: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    for _, command in commands_of(page, "run"):
        _run(command, at_house, capsys)
    for _, command in commands_of(page, "host"):
        _on_host(command)


def test_the_levers_that_runbooks_pull_are_let_go_again(at_house: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever follows a page to its end leaves nothing behind that he does not know of."""
    for page in RUNBOOKS:
        for _, command in commands_of(page, "run"):
            if not command.startswith("bellhouse doctor"):
                _run(command, at_house, capsys)
        assert at_house.house.client().get("/v1/levers")["levers"] == [], page.stem
        breakers = at_house.house.client().get("/v1/breakers")["breakers"]
        assert [one for one in breakers if one["forced"] != "none"] == [], page.stem


@PAGES
def test_what_is_asked_of_kubernetes_is_well_formed_and_names_what_exists(page: Path) -> None:
    for block, command in commands_of(page, "parsed"):
        inner = kubectl.check(command)
        if inner[:1] == ["bellhouse"]:
            assert any(" ".join(inner[:n]) in COMMANDS for n in range(len(inner), 1, -1)), str(block)


@pytest.mark.parametrize(
    "wrong",
    [
        "kubectl rollout restart deployment/push-workers",
        "kubectl rollout restart",
        "kubectl get pods -l app=worker",
        "kubectl scale deployment/notification-worker --replicas=many",
        "kubectl set env deployment/push-worker PRIMARY=smtp",
        "kubectl set env deployment/push-worker PRIMARY_PROVIDER=nobody",
        "kubectl create job --from=cronjob/cleanup token-cleanup-manual",
        "kubectl delete pod redis-0",
        "kubectl logs deployment/push-worker --follow-me",
        "kubectl exec redis-0",
        "kubectl get pods -- ls",
        "helm list",
    ],
)
def test_a_wrong_line_is_noticed(wrong: str) -> None:
    with pytest.raises(kubectl.Wrong):
        kubectl.check(wrong)


# --- Kafka ---


@pytest.fixture
def waiting(kafka: Kafka, kafka_admin: AdminClient) -> Iterator[Kafka]:
    """A topic of which the group has read a part, and is stopped."""
    for made in kafka_admin.create_topics([NewTopic(_TOPIC, 2, 1)]).values():
        made.result()
    producer = Producer({"bootstrap.servers": kafka.brokers})
    for number in range(20):
        producer.produce(_TOPIC, str(number))
    producer.flush()
    reader = _reader(kafka)
    assert reader.consume(5, 30.0)
    reader.commit(asynchronous=False)
    reader.close()
    yield kafka
    kafka_admin.delete_consumer_groups([_GROUP])[_GROUP].result()
    kafka_admin.delete_topics([_TOPIC])[_TOPIC].result()


def _reader(kafka: Kafka) -> Consumer:
    reader = Consumer(
        {"bootstrap.servers": kafka.brokers, "group.id": _GROUP, "auto.offset.reset": "earliest",
         "enable.auto.commit": False}
    )  # fmt: skip
    reader.subscribe([_TOPIC])
    return reader


def _kafka(kafka: Kafka, command: str) -> str:
    tool, *arguments = shlex.split(command)
    assert arguments[:2] == ["--bootstrap-server", "$KAFKA"], command
    return kafka.tool(_TOOLS[tool], *arguments[2:])


def test_what_is_asked_of_kafka_is_answered(waiting: Kafka) -> None:
    for page in RUNBOOKS:
        for _, command in commands_of(page, "kafka"):
            said = _kafka(waiting, command)
            if "--execute" in command:
                assert _TOPIC in said
    after = waiting.consumer_groups("--describe", "--group", _GROUP)
    lags = [line.split()[5] for line in after.splitlines() if line.startswith(_GROUP)]
    assert lags
    assert set(lags) == {"0"}


def test_the_last_resort_is_refused_while_anybody_of_the_group_lives(waiting: Kafka) -> None:
    (reset,) = [command for _, command in commands_of(_page("queue-backlog"), "kafka") if "--execute" in command]
    reader = _reader(waiting)
    try:
        assert reader.consume(1, 30.0)
        try:
            said = _kafka(waiting, reset)
        except ProgramFailed as failed:
            said = str(failed)
        assert "inactive" in said or "not empty" in said.lower() or "Stable" in said
    finally:
        reader.close()


# --- Redis ---


def test_what_is_asked_of_redis_is_answered(valkey: Valkey) -> None:
    with valkey.client() as client:
        for page in RUNBOOKS:
            for _, command in commands_of(page, "valkey"):
                program, *words = shlex.split(command)
                assert program == "redis-cli"
                if words[0] == "HGETALL":
                    client.hset(words[1], mapping={"push:state": "open"})
                answer = client.execute_command(*words)
                assert answer, command
                if words[0] == "DEL":
                    assert not client.exists(words[1])


# --- what the doctor names ---


def test_every_command_that_the_doctor_names_exists() -> None:
    from tests.doctor.test_causes import CASES  # noqa: PLC0415 - its facts are what make every cause speak

    rules = (*platform.RULES, *providers.RULES, *queue.RULES, *data.RULES)
    named = {
        command for _, facts in CASES.values() for rule in rules for cause in rule(facts) for command in cause.commands
    }
    assert len(named) > 50
    for command in named:
        words = shlex.split(command)
        if words[0] == "kubectl":
            kubectl.check(command)
        elif words[0] == "bellhouse":
            known = [n for n in range(len(words), 1, -1) if " ".join(words[:n]) in COMMANDS]
            assert known, command
            used = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert used <= COMMANDS[" ".join(words[: known[0]])], command
        elif words[0] != "bellhouse":
            assert words[0] in ("redis-cli", "df", "du", "timedatectl", "chronyc"), command


def _page(slug: str) -> Path:
    return next(page for page in RUNBOOKS if page.stem == slug)


def test_no_variable_of_the_machine_is_left_in_a_command() -> None:
    known = {"BELLHOUSE_URL", "BELLHOUSE_KEY", "BELLHOUSE_DATA", "KAFKA"}
    for page in RUNBOOKS:
        assert set(re.findall(r"\$(\w+)", page.read_text(encoding="utf-8"))) <= known, page
    assert "KAFKA" not in os.environ
