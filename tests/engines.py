"""PostgreSQL and Kafka for tests, each started by the first test that asks for it and shared by the run's others."""

import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from confluent_kafka.admin import AdminClient

from bellhouse.engines.kafka import Kafka
from bellhouse.engines.postgres import Postgres, create_database, drop_database

_NUMBERS = itertools.count(1)


class DatabaseServer(NamedTuple):
    """A PostgreSQL that anybody may make databases on; `url` is its superuser's."""

    url: str

    def create(self, name: str, template: str | None = None) -> str:
        """Make a database and return its URL."""
        return create_database(self.url, name, template)

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        drop_database(self.url, name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[DatabaseServer]:
    """One server: the one that DATABASE_URL names, else one of our own."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield DatabaseServer(given)
        return
    with Postgres() as engine:
        yield DatabaseServer(engine.url)


@pytest.fixture(scope="session")
def database_template() -> str | None:
    """The database that each test's own is a copy of; a conftest that prepares one overrides this fixture."""
    return None


@pytest.fixture
def database_url(postgres: DatabaseServer, database_template: str | None) -> Iterator[str]:
    """A fresh database for one test."""
    name = f"test_{os.getpid()}_{next(_NUMBERS)}"
    yield postgres.create(name, database_template)
    postgres.drop(name)


@pytest.fixture
def mortal_postgres() -> Iterator[Postgres]:
    """A server for one test, which may pause, kill and restart it."""
    with Postgres() as engine:
        yield engine


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """One node. What a test makes on it begins with its `topic_prefix`."""
    with Kafka() as engine:
        yield engine


@pytest.fixture(scope="session")
def kafka_admin(kafka: Kafka) -> AdminClient:
    """What makes and removes topics on the shared node."""
    return AdminClient({"bootstrap.servers": kafka.brokers})


@pytest.fixture
def topic_prefix(kafka_admin: AdminClient) -> Iterator[str]:
    """What the names of one test's topics and groups begin with; its topics are removed after the test."""
    prefix = f"test{next(_NUMBERS)}."
    yield prefix
    mine = [topic for topic in kafka_admin.list_topics(timeout=10).topics if topic.startswith(prefix)]
    for removed in kafka_admin.delete_topics(mine).values() if mine else ():
        removed.result()


@pytest.fixture
def mortal_kafka() -> Iterator[Kafka]:
    """A node for one test, which may pause, kill and restart it."""
    with Kafka() as engine:
        yield engine
