"""A world and a house for a module's tests, in two processes, in one, and in many; each test begins in calm."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bellhouse.engines.kafka import Kafka
from bellhouse.engines.postgres import Postgres
from bellhouse.engines.valkey import Valkey
from tests.acceptance.client import Client
from tests.acceptance.cluster import ClusterHouse, cluster_engines
from tests.acceptance.ground import Ground
from tests.acceptance.house import PROVIDERS, House, World
from tests.acceptance.kills import KILLS, VERDICTS
from tests.acceptance.people import define


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One outside world for all houses that do not disturb it beyond its dials."""
    running = World(tmp_path_factory.mktemp("world"))
    yield running
    running.stop()


@pytest.fixture(scope="module", params=[2, 1, "cluster"], ids=["two-processes", "one-process", "cluster"])
def shared_house(
    request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A house that a module's tests share, with the tests' tenant in it."""
    world.fresh()
    folder = tmp_path_factory.mktemp("house") / "data"
    if request.param != "cluster":
        with House(folder, world, request.param) as house:
            define(house.client())
            yield house
        return
    with cluster_engines(request) as (engines, prefix), ClusterHouse(folder, world, engines, prefix) as house:
        define(house.client())
        yield house


@pytest.fixture
def house(shared_house: House) -> Iterator[House]:
    """The module's house, its breakers closed and its outside world calm."""
    assert shared_house.world is not None
    shared_house.world.calm()
    shared_house.world.api.set_account(shared_house.url)
    for provider in PROVIDERS:
        shared_house.force(provider, "reset")
    yield shared_house
    shared_house.world.calm()


@pytest.fixture
def client(house: House) -> Client:
    """A caller with the development key."""
    return house.client()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a test's own house may live."""
    return tmp_path / "data"


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Engines of a module's own, for all of its tests one after the other."""
    with ExitStack() as running:
        yield Ground(*(running.enter_context(engine()) for engine in (Postgres, Kafka, Valkey)))


@pytest.fixture(autouse=True)
def kills_are_told(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Gives what a test killed to its report, which may come from another process."""
    yield
    record_property("kills", [list(kill) for kill in KILLS])
    record_property("verdicts", list(VERDICTS))
    KILLS.clear()
    VERDICTS.clear()
