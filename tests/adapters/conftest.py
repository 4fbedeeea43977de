"""Processes on one database, for tests that hold some of them back; a module may lay out a street of its own."""

from collections.abc import AsyncIterator

import pytest
from tests.postgres_houses import House, Street

from bellhouse.adapters.store.postgres import database as database_room
from bellhouse.adapters.store.postgres import members as members_room


@pytest.fixture
async def street(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Street]:
    # What is held back in these tests is not asleep.
    for room in (database_room, members_room):
        monkeypatch.setattr(room, "IDLE_IN_TRANSACTION_S", 60.0)
    street = Street(database_url)
    yield street
    await street.close()


@pytest.fixture
async def one(street: Street) -> House:
    return await street.house()
