"""The two workloads of the distributed mode, each on a place of its own: `log`, and FCM over TLS; their figures."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import procs
from benchmarks.cluster.cost import Cost, cost_of
from benchmarks.cluster.doors import Singles, at_rate
from benchmarks.cluster.engines import Engines
from benchmarks.cluster.growth import growth
from benchmarks.cluster.lanes import urgency
from benchmarks.cluster.limits import Bare, bare_copy, bare_log
from benchmarks.cluster.roles import ROLES
from benchmarks.cluster.stand import Stand, place, running
from benchmarks.cluster.stored import Stored, log_bytes, stored
from benchmarks.figures import Figure
from benchmarks.stand import outside_world

PARTS: Final = ("idle", "cost", "singles", "lanes", "growth")
_KIND: Final = "bench_push"
_BARE: Final = 20_000


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    name: str
    idle_s: float
    """How long nothing is sent to see what nothing costs, and that PostgreSQL has come to rest."""
    count: int
    """Notifications of one cost."""
    per_second: int
    """Single POSTs."""
    single_s: int
    """For how long."""
    flood: int
    """Low ones that wait while the urgent is measured."""
    urgent: int
    stored: int
    """Notifications of past days."""


@dataclass(frozen=True)
class Ground:
    """What the workloads stand on."""

    engines: Engines
    folder: Path
    key: str
    """Of the API."""


async def to_log(ground: Ground, size: Size, parts: Collection[str]) -> list[Figure]:
    """A provider that does nothing: what the platform itself costs, idle, in bulk, one by one, beside many stored."""
    if not {"idle", "cost", "singles", "growth"} & set(parts):
        return []
    figures: list[Figure] = []
    here = await place(ground.engines, ground.folder, "log", ground.key)
    cost: Cost | None = None
    in_log = 0.0
    async with running(here, None) as stand:
        if "idle" in parts:
            figures += await _idle(stand, size.idle_s)
        if "cost" in parts or "growth" in parts:
            cost = await cost_of(stand, _KIND, size.count)
            figures += _memory(stand)
            in_log = log_bytes(here.engines.kafka, "log.") / (await stand.ledger())["notification", "planned"]
        if "singles" in parts:
            figures += _singles(await at_rate(stand, _KIND, size.per_second * size.single_s, size.per_second), size)
        if "growth" in parts:
            figures += await _growth(stand, size)
        if cost is not None:
            figures += _stored(await stored(stand.database), in_log)
    if cost is not None:
        sample = min(size.count, _BARE)
        figures = [*_cost("log", cost, await bare_copy(here, sample), bare_log(here, sample), size.count), *figures]
    return figures


async def to_fcm(ground: Ground, size: Size, parts: Collection[str]) -> list[Figure]:
    """FCM over TLS and HTTP/2: what a push costs, and how long the urgent waits."""
    if not {"cost", "lanes"} & set(parts):
        return []
    figures: list[Figure] = []
    here = await place(ground.engines, ground.folder, "fcm", ground.key)
    cost: Cost | None = None
    async with outside_world(ground.folder / "world") as world:
        async with running(here, world) as stand:
            if "cost" in parts:
                cost = await cost_of(stand, _KIND, size.count)
            if "lanes" in parts:
                figures += await _lanes(stand, size)
        if cost is not None:
            sample = min(size.count, _BARE)
            bare = await bare_copy(here, sample), bare_log(here, sample)
            figures = [*_cost("FCM over TLS", cost, *bare, size.count), *figures]
    return figures


def _cost(name: str, cost: Cost, copy: Bare, log: Bare, count: int) -> list[Figure]:
    bare_us = copy.client_us + log.client_us
    note = (
        f"{count:,} notifications in batches of 1,000, one push each, until all have ended. The limit is a client that "
        "only hands over the same rows and records: `copy_records_to_table` of asyncpg, and an idempotent producer and "
        "a consumer of confluent-kafka, thousands at a time."
    )
    by_role = [Figure(f"{name}: {role}", cost.us[role], "µs") for role in ROLES]
    return [
        Figure(f"CPU, {name}", cost.ours_us, "µs", 250, 150, limit=bare_us, limit_name="µs bare client", note=note),
        Figure(
            f"CPU of PostgreSQL, {name}",
            cost.us["PostgreSQL"],
            "µs",
            150,
            80,
            limit=copy.engine_us,
            limit_name="µs bare COPY",
            note="All its processes. The limit is COPY of the same rows into empty tables of the same shape.",
        ),
        Figure(
            f"CPU of Kafka, {name}",
            cost.us["Kafka"],
            "µs",
            limit=log.engine_us,
            limit_name="µs bare produce and consume",
            note="One node with its first compiler alone (`TieredStopAtLevel=1`), started shortly before.",
        ),
        Figure(f"CPU of Valkey, {name}", cost.us["Valkey"], "µs"),
        Figure(f"WAL, {name}", cost.wal_bytes, "bytes", limit=copy.bytes, limit_name="bytes bare COPY"),
        Figure(f"rate, {name}", cost.per_second, "/s", more_is_better=True, note="Everything on these cores."),
        *by_role,
    ]


async def _idle(stand: Stand, seconds: float) -> list[Figure]:
    before = stand.cpu_s()
    await asyncio.sleep(seconds)
    used = {name: (now - before[name]) / seconds * 100 for name, now in stand.cpu_s().items()}
    ours = sum(used[name] for name in ROLES)
    note = f"{len(ROLES)} processes, over {seconds:.0f} s. PostgreSQL: {used['PostgreSQL']:.1f} %, Kafka: "
    return [Figure("CPU, idle", ours, "% of a core", note=f"{note}{used['Kafka']:.1f} %.")]


def _stored(found: Stored, in_log: float) -> list[Figure]:
    return [
        Figure("stored for the retention", found.kept, "bytes", note="Notification, decision, events; with indexes."),
        Figure("stored for a day", found.key, "bytes", note="The idempotency key."),
        Figure("of that in its index", found.key_index, "bytes", note="Which has no order in time."),
        Figure("in the log", in_log, "bytes", note="Notification and delivery, in one copy, not compressed."),
    ]


def _memory(stand: Stand) -> list[Figure]:
    return [
        Figure(f"memory of {name}", procs.rss_bytes(role.running.pid) / 2**20, "MB", 250, 150)
        for name, role in stand.roles.items()
    ]


def _singles(singles: Singles, size: Size) -> list[Figure]:
    note = (
        f"{size.per_second:,} a second for {size.single_s} s, sent by the clock whether or not others are answered, "
        "from the moment at which each was to be sent. Each is durable before its 202, and goes on to its provider."
    )
    return [
        Figure(f"single POST at {size.per_second:,}/s, p50", singles.spread.p50, "ms", note=note),
        Figure(f"single POST at {size.per_second:,}/s, p99", singles.spread.p99, "ms", 100, 50),
        Figure("single POST, CPU", singles.cost.ours_us, "µs", note="The whole way, in batches as small as they come."),
        Figure("single POST, CPU of PostgreSQL", singles.cost.us["PostgreSQL"], "µs"),
        Figure("single POST, CPU of Kafka", singles.cost.us["Kafka"], "µs"),
        *(Figure(f"single POST: {role}", singles.cost.us[role], "µs") for role in ROLES),
    ]


async def _growth(stand: Stand, size: Size) -> list[Figure]:
    found = await growth(stand, _KIND, size.count, size.stored, size.idle_s)
    few, many = found.few, found.many
    note = (
        "CPU of Bellhouse and PostgreSQL per notification to `log`, beside those of the seven days before and beside "
        f"those of this run alone: {many.ours_us:.0f} + {many.postgres_us:.0f} µs against {few.ours_us:.0f} + "
        f"{few.postgres_us:.0f}; bytes of WAL: {many.wal_bytes:,.0f} against {few.wal_bytes:,.0f}. Both once "
        "PostgreSQL is at rest and most pages have been touched since the checkpoint."
    )
    return [Figure(f"cost beside {size.stored:,} stored", found.ratio, "×", 1.2, 1.05, note=note)]


async def _lanes(stand: Stand, size: Size) -> list[Figure]:
    found = await urgency(stand, size.flood, size.urgent)
    note = (
        "Single POSTs 50 ms apart, from the moment in the notification's id to the provider's receipt; it answers at "
        f"once. The flood is {size.flood:,} low in the log, all of them taken up at once; {found.left:,} were left at "
        "the end."
    )
    return [
        Figure("critical p50, idle", found.idle.p50, "ms"),
        Figure("critical p99, idle", found.idle.p99, "ms", note=note),
        Figure("critical p99 beside the flood", found.busy.p99, "ms"),
        Figure("critical p99 added by the flood", max(0.0, found.busy.p99 - found.idle.p99), "ms", 100, 25),
    ]


WORKLOADS: Final = (to_log, to_fcm)


def unknown(parts: Sequence[str]) -> list[str]:
    """Names that are no part's."""
    return sorted(set(parts) - set(PARTS))
