"""A world and a house for a module's tests, in one process and in two; each test begins in calm."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.client import Client
from tests.acceptance.house import House, World
from tests.acceptance.kills import table
from tests.acceptance.people import define


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One outside world for all houses that do not disturb it beyond its dials."""
    running = World(tmp_path_factory.mktemp("world"))
    yield running
    running.stop()


@pytest.fixture(scope="module", params=[2, 1], ids=["two-processes", "one-process"])
def shared_house(
    request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A house that a module's tests share, with the tests' tenant in it."""
    world.fresh()
    house = House(tmp_path_factory.mktemp("house") / "data", world, request.param)
    with house:
        define(house.client())
        yield house


@pytest.fixture
def house(shared_house: House) -> Iterator[House]:
    """The module's house, its breakers closed and its outside world calm."""
    assert shared_house.world is not None
    shared_house.world.calm()
    shared_house.world.api.set_account(shared_house.url)
    client = shared_house.client()
    for provider in ("fcm", "sendgrid", "smtp", "twilio", "vonage"):
        client.post(f"/v1/breakers/{provider}/reset")
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was killed."""
    lines = table()
    if lines:
        terminalreporter.section("kill -9")
        for line in lines:
            terminalreporter.write_line(line)
