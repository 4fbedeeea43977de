"""Engines are tried for real: what answers is named, and what does not is told with its remedy."""

from collections.abc import Iterator

import pytest

from bellhouse.app.reachable import Finding, reachable
from bellhouse.app.settings import load
from bellhouse.engines.certificate import Certificate
from bellhouse.engines.kafka import Kafka
from bellhouse.engines.postgres import Postgres, Standby
from bellhouse.engines.valkey import Valkey

PATIENCE_S = 3.0


@pytest.fixture(scope="module")
def guarded_postgres(certificate: Certificate) -> Iterator[Postgres]:
    with Postgres(password="p w", certificate=certificate) as engine:
        yield engine


@pytest.fixture(scope="module")
def guarded_kafka(certificate: Certificate) -> Iterator[Kafka]:
    with Kafka(users={"bell": "hush"}, certificate=certificate) as engine:
        yield engine


def store_settings(postgres: Postgres, certificate: Certificate, database: str = "postgres") -> dict[str, str]:
    return {
        "BELLHOUSE_STORE__URL": f"postgresql://postgres@localhost:{postgres.port}/{database}",
        "BELLHOUSE_STORE__PASSWORD": "p w",
        "BELLHOUSE_STORE__TLS": "verify-full",
        "BELLHOUSE_STORE__CA": f"@{certificate.authority}",
    }


def kafka_settings(kafka: Kafka, certificate: Certificate) -> dict[str, str]:
    return {
        "KAFKA_BROKERS": kafka.brokers,
        "BELLHOUSE_KAFKA__SECURITY": kafka.security,
        "BELLHOUSE_KAFKA__USERNAME": "bell",
        "BELLHOUSE_KAFKA__PASSWORD": "hush",
        "BELLHOUSE_KAFKA__CA": f"@{certificate.authority}",
    }


def valkey_settings(valkey: Valkey, certificate: Certificate) -> dict[str, str]:
    return {
        "BELLHOUSE_REDIS__URL": valkey.url,
        "BELLHOUSE_REDIS__USERNAME": valkey.username,
        "BELLHOUSE_REDIS__PASSWORD": valkey.password or "",
        "BELLHOUSE_REDIS__CA": f"@{certificate.authority}",
    }


def changed(given: dict[str, str], table: str, changes: dict[str, str | None]) -> dict[str, str]:
    """The settings with some others; None leaves one out."""
    new = given | {f"BELLHOUSE_{table}__{name}": value for name, value in changes.items()}
    return {name: value for name, value in new.items() if value is not None}


async def found(environment: dict[str, str]) -> list[Finding]:
    return await reachable(load(environment=environment).settings, PATIENCE_S)


async def only(environment: dict[str, str]) -> Finding:
    (finding,) = await found(environment)
    return finding


async def test_each_engine_that_answers_is_named(guarded_postgres, guarded_valkey, guarded_kafka, valkey, certificate):
    findings = await found(
        store_settings(guarded_postgres, certificate)
        | kafka_settings(guarded_kafka, certificate)
        | valkey_settings(guarded_valkey, certificate)
        | {
            "BELLHOUSE_KAFKA__LANES__LOW__BROKERS": guarded_kafka.inside_brokers,
            "BELLHOUSE_KAFKA__LANES__LOW__SECURITY": "plaintext",
            # Without a user of its own it would be asked to know the guarded one's.
            "BELLHOUSE_REDIS__LANES__HIGH__URL": valkey.url.replace("//", "//default:any@"),
        }
    )
    assert [(finding.table, finding.usable, finding.remedy) for finding in findings] == [
        (table, True, "") for table in ("store", "kafka", "kafka.lanes.low", "redis", "redis.lanes.high")
    ]
    words = [finding.words.split(" ")[0] for finding in findings]
    assert words == ["PostgreSQL", "Kafka", "Kafka", "Valkey", "Valkey"]


async def test_nothing_is_tried_where_nothing_is_named():
    assert await found({}) == []


@pytest.mark.parametrize(
    ("database", "changes", "words", "remedy"),
    [
        ("postgres", {"PASSWORD": "wrong"}, "password authentication failed", "Compare the user and store.password"),
        ("nowhere", {}, 'database "nowhere" does not exist', "Create the database"),
        ("postgres", {"CA": None}, "CERTIFICATE_VERIFY_FAILED", "Compare store.tls and store.ca"),
    ],
)
async def test_a_store_that_refuses_is_told_with_the_remedy(
    guarded_postgres, certificate, database, changes, words, remedy
):
    finding = await only(changed(store_settings(guarded_postgres, certificate, database), "STORE", changes))
    assert not finding.usable
    assert words in finding.words
    assert remedy in finding.remedy


async def test_a_ca_that_is_no_certificate_is_told_with_the_remedy(guarded_postgres, certificate):
    finding = await only(changed(store_settings(guarded_postgres, certificate), "STORE", {"CA": "no certificate"}))
    assert not finding.usable
    assert finding.remedy


async def test_a_standby_alone_is_not_enough_and_beside_its_primary_is():
    with Postgres() as primary, Standby(primary) as standby:
        alone = await only({"BELLHOUSE_STORE__URL": standby.url})
        assert not alone.usable
        assert "Name the primary in store.url as well" in alone.remedy
        both = f"postgresql://postgres@127.0.0.1:{standby.port},127.0.0.1:{primary.port}/postgres"
        assert (await only({"BELLHOUSE_STORE__URL": both})).usable


@pytest.mark.parametrize(
    ("changes", "words", "remedy"),
    [
        ({"PASSWORD": "wrong"}, "Authentication failed", "Compare username, password and sasl_mechanism under [kafka]"),
        ({"CA": None}, "certificate verify failed", "Compare security and ca under [kafka]"),
        ({"SECURITY": "sasl_plaintext", "CA": None}, "", "security"),
    ],
)
async def test_a_kafka_that_refuses_is_told_with_the_remedy(guarded_kafka, certificate, changes, words, remedy):
    finding = await only(changed(kafka_settings(guarded_kafka, certificate), "KAFKA", changes))
    assert not finding.usable
    assert words in finding.words
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("changes", "words", "remedy"),
    [
        ({"PASSWORD": "wrong"}, "invalid username-password pair", "Compare username and password under [redis]"),
        ({"CA": None}, "certificate verify failed", "Compare the url's scheme and ca under [redis]"),
    ],
)
async def test_a_redis_that_refuses_is_told_with_the_remedy(guarded_valkey, certificate, changes, words, remedy):
    finding = await only(changed(valkey_settings(guarded_valkey, certificate), "REDIS", changes))
    assert not finding.usable
    assert words in finding.words
    assert remedy in finding.remedy


async def test_whether_redis_is_a_cluster_is_seen_from_both_sides(valkey, valkey_cluster):
    is_one = {"BELLHOUSE_REDIS__CLUSTER": "true"}
    assert (await only({"BELLHOUSE_REDIS__URL": valkey_cluster.url} | is_one)).usable
    taken_for_one = await only({"BELLHOUSE_REDIS__URL": valkey.url} | is_one)
    taken_for_none = await only({"BELLHOUSE_REDIS__URL": valkey_cluster.url})
    assert (taken_for_one.usable, taken_for_none.usable) == (False, False)
    assert "Set cluster = false under [redis]" in taken_for_one.remedy
    assert "Set cluster = true under [redis]" in taken_for_none.remedy


async def test_an_engine_that_is_silent_is_given_up_in_time(mortal_valkey):
    mortal_valkey.pause()
    finding = await only({"BELLHOUSE_REDIS__URL": mortal_valkey.url})
    mortal_valkey.resume()
    assert not finding.usable
    assert "Is Redis up" in finding.remedy
