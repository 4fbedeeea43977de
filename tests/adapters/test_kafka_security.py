"""The log reaches brokers that ask who it is and speak TLS, and says what is wrong with what it was given."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.kafka_house import IMPATIENT_S, KafkaHouse, config_of, open_house

from bellhouse.engines.certificate import Certificate, make_certificate
from bellhouse.engines.kafka import Kafka
from bellhouse.ports.log import LogUnavailable
from bellhouse.testing.log_suite import NORMAL, behind, read, reading, records, values_of

USER, PASSWORD = "bellhouse", "correct-horse"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("kafka-tls"))


@pytest.fixture(scope="module")
def guarded_kafka(trusted: Certificate) -> Iterator[Kafka]:
    """A broker that is reached by TLS, and by those who know its password."""
    with Kafka(users={USER: PASSWORD}, certificate=trusted) as engine:
        yield engine


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_whoever_knows_the_password_appends_and_reads(
    guarded_kafka: Kafka, trusted: Certificate, mechanism: str
) -> None:
    known = {"sasl_mechanism": mechanism, "username": USER, "password": PASSWORD, "topic_prefix": f"{mechanism}."}
    async with open_house(guarded_kafka, [NORMAL], ca_pem=trusted.authority.read_text(), **known) as house:
        await house.publisher.append(records(range(10)))
        async with reading(house) as reader:
            polled = await read(reader, 10)
            await reader.commit(behind(polled))
        assert values_of(polled) == list(range(10))
        assert sum(lag.lag for lag in await house.log.lags()) == 0


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"password": "wrong-horse"}, "kafka.password"),
        ({"sasl_mechanism": "PLAIN", "username": "nobody"}, "kafka.username"),
        ({"ca_pem": "another"}, "kafka.ca"),
        ({"ca_pem": "no certificate"}, "kafka.ca"),
    ],
)
async def test_what_is_wrong_is_said_with_the_setting_and_without_the_password(
    guarded_kafka: Kafka, trusted: Certificate, tmp_path: Path, wrong: dict[str, Any], remedy: str
) -> None:
    if wrong.get("ca_pem") == "another":
        wrong = {"ca_pem": make_certificate(tmp_path).authority.read_text()}
    known = {"username": USER, "password": PASSWORD, "ca_pem": trusted.authority.read_text()}
    house = KafkaHouse(config_of(guarded_kafka, request_timeout_s=IMPATIENT_S, **known | wrong))
    for use in (house.log.reader(NORMAL).start, lambda: house.publisher.append(records([1])), house.log.lags):
        with pytest.raises(LogUnavailable) as failure:
            await use()
        assert remedy in failure.value.remedy
        assert "horse" not in str(failure.value)
    assert "horse" not in str(house.logbook.notes)
    await house.close()
