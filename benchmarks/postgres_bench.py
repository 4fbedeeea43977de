"""Measures statements on a PostgreSQL of its own: CPU of client and server, WAL and time per notification."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import UUID

import asyncpg
import msgspec

from bellhouse.domain.ids import new_notification_ids
from bellhouse.engines.postgres import Postgres
from benchmarks.procs import children

SIZE = 300
SLICES = 5
RECIPIENTS = 100_000
SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "60min",
    "autovacuum": "off",
    "jit": "off",
}
_DAY_MS = 86_400_000
_QUIET_S = 0.25  # in which the background processes finish what a slice left them

Prepared = asyncpg.prepared_stmt.PreparedStatement
Act = Callable[["Batch"], Awaitable[object]]


@dataclass(frozen=True)
class Batch:
    """A batch as ingest has it in its hands: columns, the ids ascending, the keys sorted."""

    ids: list[bytes]
    keys: list[bytes]
    fingerprints: list[int]
    recipients: list[int]
    records: list[bytes]

    @property
    def columns(self) -> tuple[list[bytes], list[bytes], list[int], list[int], list[bytes]]:
        return self.keys, self.ids, self.fingerprints, self.recipients, self.records

    @property
    def rows(self) -> list[tuple[bytes, int, bytes]]:
        return list(zip(self.ids, self.recipients, self.records, strict=True))


@dataclass(frozen=True)
class Measured:
    """What one alternative costs per notification."""

    group: str
    name: str
    client_us: float
    server_us: float
    wal_bytes: float
    per_second: float
    p99_ms: float
    """Of one batch, or of one commit."""

    def __str__(self) -> str:
        return (
            f"{self.group:8} {self.name:58} {self.client_us:6.1f} {self.server_us:6.1f} µs "
            f"{self.wal_bytes:6.0f} B {self.per_second:8.0f}/s {self.p99_ms:7.2f} ms"
        )


class Bench:
    """One server, one connection that watches and one that writes, and what was measured."""

    def __init__(
        self, server: Postgres, watch: asyncpg.Connection, conn: asyncpg.Connection, count: int, stored: int, loud: bool
    ):
        self.conn = conn
        self.count = count
        self.stored = stored
        self.results: list[Measured] = []
        self._loud = loud
        self._server = server
        self._watch = watch
        self._moment = time.time_ns() // 1_000_000
        self._today = self._moment // _DAY_MS

    def batches(self, count: int | None = None, size: int = SIZE) -> list[Batch]:
        return [self._batch(size) for _ in range((count or self.count) // size)]

    async def ddl(self, *statements: str) -> None:
        """Make ready what is measured; nothing of it counts."""
        for statement in statements:
            await self._watch.execute(statement)

    async def by_day(self, table: str, columns: str) -> None:
        """An empty table partitioned by day, with nine days made."""
        await self.ddl(f"DROP TABLE IF EXISTS {table}", f"CREATE TABLE {table} ({columns}) PARTITION BY RANGE (id)")
        for day in range(self._today - 3, self._today + 6):
            values = f"FROM ('{_first_of(day)}') TO ('{_first_of(day + 1)}')"
            await self.ddl(f"CREATE TABLE {table}_{day} PARTITION OF {table} FOR VALUES {values}")

    async def notifications(self) -> None:
        """Their empty table `n`."""
        await self.by_day("n", "id uuid PRIMARY KEY, recipient int8 NOT NULL, record bytea NOT NULL")

    async def keys(self, partitions: int = 16) -> None:
        """The empty table `k` of idempotency keys."""
        columns = "key uuid PRIMARY KEY, id uuid NOT NULL, fingerprint int8 NOT NULL"
        await self.ddl("DROP TABLE IF EXISTS k", f"CREATE TABLE k ({columns}) PARTITION BY HASH (key)")
        for i in range(partitions):
            values = f"FOR VALUES WITH (MODULUS {partitions}, REMAINDER {i})"
            await self.ddl(f"CREATE TABLE k_{i} PARTITION OF k {values}")

    async def outbox(self, storage: str) -> None:
        """The empty table `o` of outbox rows, a batch in each."""
        sequence = "seq int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        await self.ddl(
            "DROP TABLE IF EXISTS o", f"CREATE TABLE o ({sequence}, packed bytea STORAGE {storage} NOT NULL)"
        )

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
        # Without their names asyncpg looks the columns up, and remembers them although the table may change.
        await self.conn.copy_records_to_table(table, columns=columns, records=rows)

    async def write(self, batch: Batch) -> None:
        """The notifications alone, by COPY."""
        await self.copy("n", ("id", "recipient", "record"), batch.rows)

    async def both(self, group: str, name: str, act: Act) -> None:
        """Measure right after a checkpoint, and once more."""
        await self.measure(group, f"{name}, cold", act, self.batches(), cold=True)
        await self.measure(group, f"{name}, warm", act, self.batches())

    async def measure(
        self, group: str, name: str, act: Act, batches: Sequence[Batch], *, per_batch: int = 0, cold: bool = False
    ) -> None:
        """Do all batches one after another, and print and keep what each notification cost.

        `per_batch` is for an act on something else than the batch's own notifications.
        """
        if cold:
            await self._watch.execute("CHECKPOINT")
        each = per_batch or len(batches[0].ids)
        lsn = await self._watch.fetchval("SELECT pg_current_wal_lsn()")
        step = max(1, len(batches) // SLICES)
        took: list[float] = []
        slices = [await self._slice(act, batches[i : i + step], each, took) for i in range(0, len(batches), step)]
        wal = await self._watch.fetchval("SELECT (pg_current_wal_lsn() - $1)::float8", lsn)
        client, server = (median(column) for column in zip(*slices, strict=True))
        count = each * len(batches)
        self.keep(Measured(group, name, client, server, wal / count, count / sum(took), p99_ms(took)))

    async def side_by_side(self, group: str, name: str, workers: Sequence[Act], batches: Sequence[Batch]) -> None:
        """The same of several connections at once, each with as many batches."""
        each = len(batches[0].ids)
        took: list[float] = []

        async def work(number: int) -> None:
            for batch in batches[number :: len(workers)]:
                began = time.perf_counter()
                await workers[number](batch)
                took.append(time.perf_counter() - began)

        lsn = await self._watch.fetchval("SELECT pg_current_wal_lsn()")
        server, client, began = self._server_s(), time.process_time(), time.perf_counter()
        await asyncio.gather(*(work(number) for number in range(len(workers))))
        seconds, client = time.perf_counter() - began, time.process_time() - client
        await asyncio.sleep(_QUIET_S)
        server = self._server_s() - server
        wal = await self._watch.fetchval("SELECT (pg_current_wal_lsn() - $1)::float8", lsn)
        count = each * len(batches)
        self.keep(
            Measured(
                group, name, client / count * 1e6, server / count * 1e6, wal / count, count / seconds, p99_ms(took)
            )
        )

    async def connections(self, count: int) -> list[asyncpg.Connection]:
        return [await connect(self._server) for _ in range(count)]

    def keep(self, measured: Measured) -> None:
        self.results.append(measured)
        if self._loud:
            print(measured, flush=True)

    async def _slice(self, act: Act, batches: Sequence[Batch], each: int, took: list[float]) -> tuple[float, float]:
        server, client = self._server_s(), time.process_time()
        for batch in batches:
            began = time.perf_counter()
            await act(batch)
            took.append(time.perf_counter() - began)
        client = time.process_time() - client
        await asyncio.sleep(_QUIET_S)
        count = each * len(batches)
        return client / count * 1e6, (self._server_s() - server) / count * 1e6

    def _server_s(self) -> float:
        """CPU seconds of the server's living processes."""
        return sum(_ran_ns(pid) for pid in (self._server.pid, *children(self._server.pid))) / 1e9

    def _batch(self, size: int) -> Batch:
        self._moment += 5  # a batch each few milliseconds, so that ids ascend over batches too
        numbers = range(size)
        return Batch(
            ids=list(new_notification_ids(self._moment, size)),
            keys=sorted(os.urandom(16) for _ in numbers),
            fingerprints=[random.getrandbits(62) for _ in numbers],
            recipients=[random.randrange(RECIPIENTS) for _ in numbers],
            records=[_record() for _ in numbers],
        )


async def connect(server: Postgres) -> asyncpg.Connection:
    """A connection on which a uuid is its 16 bytes, both ways."""
    conn = await asyncpg.connect(server.url, ssl=False)
    await conn.set_type_codec("uuid", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")
    return conn


def p99_ms(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1e3


def _ran_ns(pid: int) -> int:
    """What a process has run, to the nanosecond, where its `stat` knows steps of 10 ms only; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _first_of(day: int) -> UUID:
    return UUID(bytes=(day * _DAY_MS).to_bytes(6) + bytes(10))


def _record() -> bytes:
    # Text that compresses, then noise that does not, as in real records.
    text = {
        "type": "order.shipped",
        "user_id": "user-1234567",
        "data": {"order": "A-123456", "carrier": "a parcel firm"},
    }
    return msgspec.msgpack.encode([text, {"title": "Your parcel is on its way"}, os.urandom(200)])
