"""Valkeys for tests, each started by the first test that asks for it and shared by the others of the run."""

from collections.abc import Iterator

import pytest

from bellhouse.engines.certificate import Certificate, make_certificate
from bellhouse.engines.valkey import Valkey, ValkeyCluster


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """One server that anybody may use. What a test writes begins with a prefix of its own."""
    with Valkey() as engine:
        yield engine


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[ValkeyCluster]:
    """Three servers that share the slots."""
    with ValkeyCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What a server shows that is spoken to by TLS."""
    return make_certificate(tmp_path_factory.mktemp("valkey-tls"))


@pytest.fixture(scope="session")
def guarded_valkey(certificate: Certificate) -> Iterator[Valkey]:
    """A server that is reached by TLS, and by those who know its password."""
    with Valkey(username="bellhouse", password="correct-horse", certificate=certificate) as engine:
        yield engine


@pytest.fixture
def mortal_valkey() -> Iterator[Valkey]:
    """A server for one test, which may pause, kill and restart it."""
    with Valkey() as engine:
        yield engine
