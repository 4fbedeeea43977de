"""A Kafka in a box survives a kill, signs clients in, lends its tools, and says what keeps it from starting."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Barrier

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from bellhouse.engines import java, kafka_jars
from bellhouse.engines import kafka as box
from bellhouse.engines.certificate import Certificate
from bellhouse.engines.errors import EngineDidNotStart
from bellhouse.engines.kafka import Kafka

DEADLINE_S = 30.0


def create(topic: str, configuration: dict[str, str]) -> None:
    """Make a topic of one partition."""
    admin = AdminClient(configuration)  # named: it gives up what it was asked when it is collected
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()


def append(topic: str, value: bytes, configuration: dict[str, str]) -> None:
    """Append one record and wait until it is acknowledged."""
    producer = Producer({**configuration, "acks": "all", "message.timeout.ms": int(DEADLINE_S * 1000)})
    refusals: list[object] = []
    producer.produce(topic, value, on_delivery=lambda error, _: refusals.append(error) if error else None)
    assert producer.flush(DEADLINE_S) == 0
    assert refusals == []


def first_value(topic: str, group: str, configuration: dict[str, str]) -> bytes | None:
    """Read the first record as a group, and commit it."""
    consumer = Consumer({**configuration, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    message = consumer.poll(DEADLINE_S)
    consumer.commit(asynchronous=False)
    consumer.close()
    return message.value() if message else None


def test_what_was_acknowledged_is_there_after_a_kill_at_the_same_address(mortal_kafka: Kafka) -> None:
    configuration = {"bootstrap.servers": mortal_kafka.brokers}
    create("kept", configuration)
    append("kept", b"seven", configuration)
    mortal_kafka.kill()
    mortal_kafka.start()
    assert first_value("kept", "readers", configuration) == b"seven"


@pytest.fixture(scope="module")
def guarded_kafka(certificate: Certificate) -> Iterator[Kafka]:
    """A node that is reached by TLS, and by those who know its password."""
    with Kafka(users={"bellhouse": "correct-horse"}, certificate=certificate) as engine:
        yield engine


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_user_signs_in_over_tls_that_names_it(guarded_kafka: Kafka, certificate: Certificate, mechanism: str) -> None:
    configuration = {
        "bootstrap.servers": guarded_kafka.brokers,
        "security.protocol": guarded_kafka.security,
        "sasl.mechanism": mechanism,
        "sasl.username": "bellhouse",
        "sasl.password": "correct-horse",
        "ssl.ca.location": str(certificate.authority),
    }
    create(mechanism, configuration)
    append(mechanism, b"seven", configuration)
    assert first_value(mechanism, "readers", configuration) == b"seven"
    with pytest.raises(KafkaException):
        AdminClient({**configuration, "sasl.password": "wrong"}).list_topics(timeout=1)


def test_no_password_is_on_a_command_line_or_in_a_file_that_others_may_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[str] = []
    modes: dict[str, int] = {}

    def seen(command: list[str | Path]) -> str:
        commands.extend(map(str, command))
        modes.update({path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()})
        return ""

    monkeypatch.setattr(box, "run_program", seen)
    engine = Kafka(tmp_path, users={"bellhouse": "correct-horse"})
    engine._prepare()
    assert "correct-horse" not in " ".join(commands)
    assert modes == {"scram": 0o600, "server.properties": 0o600}
    assert [path.name for path in tmp_path.iterdir()] == ["server.properties"]


def test_its_own_tool_tells_how_far_a_group_is(kafka: Kafka, topic_prefix: str) -> None:
    configuration = {"bootstrap.servers": kafka.brokers}
    create(f"{topic_prefix}kept", configuration)
    append(f"{topic_prefix}kept", b"seven", configuration)
    first_value(f"{topic_prefix}kept", f"{topic_prefix}readers", configuration)
    told = kafka.consumer_groups("--describe", "--group", f"{topic_prefix}readers").split("\n")
    row = next(line.split() for line in told if f"{topic_prefix}kept" in line)
    assert row[:6] == [f"{topic_prefix}readers", f"{topic_prefix}kept", "0", "1", "1", "0"]


def test_a_topic_that_nobody_made_is_not_made_by_the_way(kafka: Kafka, topic_prefix: str) -> None:
    topics = AdminClient({"bootstrap.servers": kafka.brokers}).list_topics(f"{topic_prefix}none", timeout=10).topics
    assert topics[f"{topic_prefix}none"].error is not None


def test_a_setting_that_it_refuses_is_told_in_its_own_words() -> None:
    with (
        pytest.raises(EngineDidNotStart, match=r"(?s)kafka .*num\.network\.threads"),
        Kafka(settings={"num.network.threads": "none"}),
    ):
        pass


def test_without_any_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EngineDidNotStart, match="Java 17 or newer and found none: `make setup-cluster`"), Kafka():
        pass


def test_a_java_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EngineDidNotStart, match=f"{old} is older"):
        java.java()


@pytest.fixture
def one_jar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder of the test's own, and a repository that has one jar."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kafka_jars, "_lock_text", lambda: f"org.example:bell:1 {sha256(b'a jar').hexdigest()}\n")
    monkeypatch.setattr(kafka_jars, "_resolve", lambda _, folder: repository_with(b"a jar", folder))
    return tmp_path / "bellhouse"


def repository_with(jar: bytes, folder: Path) -> Path:
    """What a fetch from a repository leaves."""
    path = folder / "downloaded"
    path.write_bytes(jar)
    return path


def test_jars_that_are_not_the_locked_ones_are_refused_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, one_jar: Path
) -> None:
    monkeypatch.setattr(kafka_jars, "_resolve", lambda _, folder: repository_with(b"another jar", folder))
    with pytest.raises(EngineDidNotStart, match=r"org\.example:bell:1 is not the locked one"):
        kafka_jars.jars()
    assert list(one_jar.iterdir()) == []


def test_two_that_fetch_at_once_both_find_whole_jars(monkeypatch: pytest.MonkeyPatch, one_jar: Path) -> None:
    both_fetch = Barrier(2)

    def resolve(_: object, folder: Path) -> Path:
        both_fetch.wait(DEADLINE_S)
        return repository_with(b"a jar", folder)

    monkeypatch.setattr(kafka_jars, "_resolve", resolve)
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: kafka_jars.jars(), range(2))
    assert first == second
    assert list(one_jar.iterdir()) == [first]
    assert (first / "bell-1.jar").read_bytes() == b"a jar"


def test_without_a_network_it_says_what_it_could_not_fetch(monkeypatch: pytest.MonkeyPatch, one_jar: Path) -> None:
    def refuse(*_: object) -> Path:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(kafka_jars, "_resolve", refuse)
    with pytest.raises(EngineDidNotStart, match=r"bell:1 could not be fetched from Maven Central \(Network is unr"):
        kafka_jars.jars()
