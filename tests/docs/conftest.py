"""A house and a world that all pages and examples share."""

from collections.abc import Iterator

import pytest

from tests.acceptance.house import QUICK, House, World


@pytest.fixture(scope="session")
def docs_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The outside world."""
    running = World(tmp_path_factory.mktemp("world"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def docs_house(docs_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose callbacks come."""
    with House(tmp_path_factory.mktemp("house") / "bellhouse-data", docs_world, 1, QUICK) as house:
        yield house


@pytest.fixture
def calm_house(docs_house: House, docs_world: World) -> House:
    """The same with every dial and every breaker as it comes."""
    docs_world.calm()
    for provider in ("fcm", "sendgrid", "smtp", "twilio", "vonage"):
        docs_house.client().post(f"/v1/breakers/{provider}/reset")
    return docs_house
