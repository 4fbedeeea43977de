"""One simulator process for all tests of this folder, and a receiver for its callbacks."""

from collections.abc import Iterator

import pytest

from .outside import Outside, Receiver, running


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Outside]:
    with running("--seed", "1") as outside:
        yield outside


@pytest.fixture
def outside(_simulator: Outside) -> Outside:
    """The shared simulator, as if just started."""
    _simulator.reset()
    return _simulator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where callbacks arrive."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def account(outside: Outside, receiver: Receiver) -> Receiver:
    """A receiver the simulator's accounts know."""
    outside.client.set_account(receiver.url)
    return receiver
