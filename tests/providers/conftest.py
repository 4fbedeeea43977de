"""One simulator process for the contract tests, and a receiver for its callbacks."""

from collections.abc import Iterator

import pytest

from tests.simulator.outside import Outside, Receiver, running


@pytest.fixture(scope="session")
def _world() -> Iterator[Outside]:
    with running("--seed", "7") as outside:
        yield outside


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where callbacks arrive."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def world(_world: Outside, receiver: Receiver) -> Outside:
    """The shared simulator, as if just started, whose accounts know the receiver."""
    _world.reset()
    _world.client.set_account(receiver.url)
    return _world
