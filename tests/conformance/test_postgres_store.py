"""The store on PostgreSQL keeps the ports' promises; the log beside it is played by a list."""

from collections.abc import AsyncIterator, Sequence

import pytest

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.postgres import PostgresConfig, PostgresStore
from bellhouse.adapters.store.postgres.migrate import migrate
from bellhouse.domain.ids import new_notification_ids, to_text
from bellhouse.domain.words import PRIORITIES
from bellhouse.ports.log import LogUnavailable, Record
from bellhouse.ports.store.processes import Member
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.lever_suite import LeverSuite
from bellhouse.testing.records import NOON


class Published:
    """A log that keeps what is appended, unless it is down."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.down = False

    async def append(self, records: Sequence[Record]) -> None:
        if self.down and records:
            raise LogUnavailable("unreachable", "wait")
        self.records.extend(records)


class House(PostgresStore):
    """A store that can be opened once more beside itself, as another process would."""

    def __init__(self, url: str, published: Published, opened: list["House"]) -> None:
        self.process = to_text(new_notification_ids(NOON, 1)[0])
        super().__init__(
            PostgresConfig(url, pool=4), published, LocalDoorbell(), ManualClock(NOON), self.process, fresh_s=0.0
        )
        self.published = published
        self._url = url
        self._opened = opened
        opened.append(self)

    async def begin(self) -> "House":
        await self.open()
        await migrate(self.database)
        await self.members.join(Member(self.process, "all"), 60.0)
        return self

    async def records(self, topic: str) -> list[bytes]:
        for priority in PRIORITIES:
            while await self.outbox.relay(priority, 100):
                pass
        await self.due.release_due(NOON, 1_000)
        return [record.value for record in self.published.records if record.topic == topic]

    async def reopen(self) -> "House":
        return await House(self._url, self.published, self._opened).begin()


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    opened: list[House] = []
    yield await House(database_url, Published(), opened).begin()
    for each in opened:
        await each.close()


class TestPostgresStore(LeverSuite):
    """The suite of the store's ports."""
