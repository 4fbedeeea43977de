"""The embedded store and log keep the ports' promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.testing.store_suite import StoreSuite


class House(SqliteStore):
    """A store that can be opened once more beside itself, as another process would."""

    def __init__(self, path: Path, opened: list["House"]) -> None:
        super().__init__(path, LocalDoorbell())
        self._path = path
        self._opened = opened
        opened.append(self)

    async def reopen(self) -> "House":
        return House(self._path, self._opened)


class TestSqliteStore(StoreSuite):
    @pytest.fixture
    async def house(self, tmp_path: Path) -> AsyncIterator[House]:
        opened: list[House] = []
        House(tmp_path / "bellhouse.db", opened)
        yield opened[0]
        for house in opened:
            house.close()
