"""The house that is moved, killed once for all tests of a module, and the engines that it is moved to."""

from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import cluster_engines
from tests.acceptance.house import World
from tests.move.stopped import Stopped

__all__ = ["cluster_engines"]


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    """A killed house in a world of its own; whoever changes the folder takes a copy."""
    world = World(tmp_path_factory.mktemp("world"))
    left = Stopped(tmp_path_factory.mktemp("house"), world)
    try:
        left.live()
        yield left
    finally:
        left.house.end()
        world.stop()
