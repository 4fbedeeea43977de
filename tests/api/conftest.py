"""Fixtures of the HTTP face."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bellhouse.web.limits import Limits
from tests.api.face import Face, furnish, make_face


@pytest.fixture
def limits() -> Limits:
    """The default limits; a test may ask for others by its own fixture of this name."""
    return Limits()


@pytest.fixture
async def face(tmp_path: Path, limits: Limits) -> AsyncIterator[Face]:
    """A face with a key of every scope, a type, a template and a recipient."""
    made = make_face(tmp_path, limits)
    made.token = await made.key()
    await furnish(made)
    yield made
    made.store.close()
    assert made.logbook.errors == []
