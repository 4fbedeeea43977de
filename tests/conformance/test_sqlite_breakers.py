"""The embedded store's breakers keep the port's promises."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.testing.breaker_suite import BreakerSuite


class TestSqliteBreakers(BreakerSuite):
    @pytest.fixture
    def house(self, tmp_path: Path) -> Iterator[SimpleNamespace]:
        stores = [SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell()) for _ in range(2)]
        yield SimpleNamespace(breakers=stores[0].catalogue, beside=stores[1].catalogue)
        for store in stores:
            store.close()
