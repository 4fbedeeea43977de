"""Several processes' stores on one PostgreSQL database, any of which can be held back at any of its statements."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import msgspec

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.postgres import PostgresConfig, PostgresStore
from bellhouse.adapters.store.postgres.database import Connection
from bellhouse.adapters.store.postgres.migrate import migrate
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.domain.ids import RecipientNo, TenantNo, new_notification_ids, to_text
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import PRIORITIES
from bellhouse.ports.log import LogUnavailable, Record, deliveries_topic
from bellhouse.ports.store.deliver import Claim
from bellhouse.ports.store.processes import Member
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import NOON, acceptance, found_tenant, notification, open_claim, routed
from tests.postgres_room import WITHIN_S

PUSH = deliveries_topic("push", "normal")
COMMIT = "COMMIT"
"""The end of a transaction, after its last statement."""

T = TypeVar("T")


class Log:
    """A log that keeps what is appended, unless it is down, and whose next answer can be held back."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.down = False
        self.gate: Gate | None = None

    async def append(self, records: Sequence[Record]) -> None:
        if self.down and records:
            raise LogUnavailable("unreachable", "wait")
        self.records.extend(records)
        if records and self.gate is not None:
            gate, self.gate = self.gate, None
            await gate.passed()

    def of(self, topic: str) -> list[Record]:
        return [record for record in self.records if record.topic == topic]


class Gate:
    """Stops whoever comes to it first, until it is opened."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def reached(self) -> None:
        """Return when somebody stands before it."""
        async with asyncio.timeout(WITHIN_S):
            await self._reached.wait()

    def open(self) -> None:
        self._opened.set()

    async def passed(self) -> None:
        self._reached.set()
        await self._opened.wait()


class _Gated:
    """A connection that stops at the gates before its statements."""

    def __init__(self, connection: Connection, gates: dict[str, Gate]) -> None:
        self._connection = connection
        self._gates = gates

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._connection, name)
        if name not in ("fetch", "fetchrow", "fetchval", "execute"):
            return act

        async def gated(sql: str, *values: Any, **words: Any) -> Any:
            gate = self._gates.pop(sql, None)
            if gate is not None:
                await gate.passed()
            return await act(sql, *values, **words)

        return gated


@asynccontextmanager
async def _gated(
    opened: AbstractAsyncContextManager[Connection], gates: dict[str, Gate], last: str = ""
) -> AsyncIterator[Connection]:
    async with opened as connection:
        yield _Gated(connection, gates)
        gate = gates.pop(last, None)
        if gate is not None:
            await gate.passed()


class House(PostgresStore):
    """The store of one process."""

    def __init__(self, url: str, log: Log) -> None:
        self.process = to_text(new_notification_ids(NOON, 1)[0])
        self.log = log
        super().__init__(PostgresConfig(url, pool=6), log, LocalDoorbell(), ManualClock(NOON), self.process, fresh_s=0)
        self.gates: dict[str, Gate] = {}
        transaction, connection = self.database.transaction, self.database.connection
        self.database.transaction = lambda: _gated(transaction(), self.gates, COMMIT)
        self.database.connection = lambda: _gated(connection(), self.gates)

    def hold(self, statement: str) -> Gate:
        """A gate before the next `statement`: a file and a name (`deliver.intend`), or COMMIT."""
        gate = Gate()
        if statement != COMMIT:
            file, _, name = statement.partition(".")
            statement = queries(file)[name]
        self.gates[statement] = gate
        return gate

    async def join(self, ttl_s: float = 60.0) -> None:
        await self.members.join(Member(self.process, "all"), ttl_s)

    # --- what is often done ---

    async def carried(self) -> None:
        """Carry everything that waits into the log."""
        for priority in PRIORITIES:
            while await self.outbox.relay(priority, 100):
                pass

    async def polled(self, again: bool = False) -> list[Claim]:
        """All records of PUSH."""
        return [msgspec.structs.replace(open_claim(r.value), again=again) for r in self.log.of(PUSH)]

    async def counts(self) -> dict[str, int]:
        """Deliveries by state, proven to be what counting the rows gives."""
        ledger = await self.insights.ledger(None, NOON, True)
        assert [check for check in ledger.checks if not check.holds] == []
        return {line.state: line.counted for line in ledger.lines if line.level == "delivery" and line.counted}


class Street:
    """Houses on one database and one log."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.log = Log()
        self.houses: list[House] = []
        self.tenant = TenantNo(0)
        self.recipients: list[RecipientNo] = []

    async def house(self, ttl_s: float = 60.0) -> House:
        """One more process."""
        house = House(self.url, self.log)
        self.houses.append(house)
        await house.open()
        await migrate(house.database)
        await house.join(ttl_s)
        return house

    async def close(self) -> None:
        for house in self.houses:
            await house.close()

    async def accepted(self, count: int = 1, now: int = NOON, **words: Any) -> list[Notification]:
        """Notifications in the first house."""
        house = self.houses[0]
        if not self.tenant:
            self.tenant, self.recipients = await found_tenant(house.catalogue, house.recipients)
        items = [notification(self.tenant, self.recipients[0], now, **words) for _ in range(count)]
        await house.ingest.accept([acceptance(item) for item in items], now)
        return items

    async def planned(self, count: int = 1, deliveries: int = 1) -> list[Claim]:
        """The claims of notifications that are accepted and decided, in the order of the log."""
        before = len(self.log.of(PUSH))
        items = await self.accepted(count)
        await self.houses[0].route.decide([routed(item, deliveries) for item in items], NOON, ())
        return [open_claim(record.value) for record in self.log.of(PUSH)[before:]]


async def ended(work: Awaitable[T]) -> T:
    """What some work comes to; raises TimeoutError where it does not end in time."""
    async with asyncio.timeout(WITHIN_S):
        return await work


def again(claims: Sequence[Claim]) -> list[Claim]:
    """The claims as whoever polls them after another process does."""
    return [msgspec.structs.replace(claim, again=True) for claim in claims]
