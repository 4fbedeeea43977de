"""What one notification costs on its whole way, by where it goes; and what it writes."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import limits, load, wal
from benchmarks.figures import Figure
from benchmarks.stand import CLOCK, Stand, outside_world, running

WARM_UP = 2_000
_SMTP = ("[order]", 'email = ["smtp"]', "[providers.smtp]", "connections = 16")
_RELAY = {"latency": {"kind": "uniform", "min_ms": 2, "max_ms": 10}, "callbacks": False}
"""A mail server answers the mails of one connection one after another, so its latency bounds the rate, not the cost."""


@dataclass(frozen=True)
class Cost:
    """CPU µs of Bellhouse's own processes per notification, and how many ended a second."""

    us: float
    per_second: float


async def cost_of(stand: Stand, kind: str, count: int) -> Cost:
    """Send `count` notifications of a type as fast as they are taken, until all have ended."""
    done = await stand.ended() + WARM_UP
    await load.send(stand.client, load.bodies(kind, WARM_UP))
    await stand.until_ended(done)
    made = load.bodies(kind, count)
    used, began = stand.cpu_s(), CLOCK.monotonic()
    await load.send(stand.client, made)
    await stand.until_ended(done + count)
    return Cost(1e6 * (stand.cpu_s() - used) / count, count / (CLOCK.monotonic() - began))


async def whole_way(count: int) -> list[Figure]:
    """FCM over TLS, `log`, and SMTP, each with its limit; and what each wrote."""
    return [*await _fcm(count), *await _log(count), *await _smtp(count)]


async def _fcm(count: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        async with outside_world(Path(folder) / "world") as world:
            async with running(Path(folder) / "data", world) as stand:
                cost = await cost_of(stand, "bench_push", count)
                written = await _written(stand, "bench_push", min(count, 20_000))
            bare_us, bare_rate = await limits.bare_calls(world, min(count, 10_000))
    return [
        Figure(
            "CPU, whole way, FCM over TLS",
            cost.us,
            "µs",
            200,
            100,
            limit=bare_us,
            limit_name="µs bare HTTP client",
            note=f"{count:,} notifications in batches of 1,000, one push each, the provider answering after 50 to "
            "300 ms, without callbacks. The limit is an HTTP client alone (pyreqwest) with the same requests.",
        ),
        Figure(
            "rate, whole way, FCM over TLS",
            cost.per_second,
            "/s",
            more_is_better=True,
            limit=bare_rate,
            limit_name="/s bare HTTP client",
        ),
        *written,
    ]


async def _log(count: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        async with running(data, None) as stand:
            cost = await cost_of(stand, "bench_push", count)
        bare = limits.bare_inserts(data / "bellhouse.db", Path(folder) / "bare.db", min(count, 20_000))
    note = (
        "The same to a provider that does nothing. The limit is SQLite alone inserting the very rows that were written."
    )
    return [
        Figure(
            "CPU, whole way, log", cost.us, "µs", 90, 50, limit=bare, limit_name="µs bare SQLite inserts", note=note
        ),
        Figure("rate, whole way, log", cost.per_second, "/s", more_is_better=True),
    ]


async def _smtp(count: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            outside_world(Path(folder) / "world", _RELAY) as world,
            running(Path(folder) / "data", world, _SMTP) as stand,
        ):
            cost = await cost_of(stand, "bench_mail", count)
    note = "Rendered HTML and text, about 1.9 kB, over 16 pooled connections with STARTTLS, answered after 2 to 10 ms."
    return [
        Figure("CPU, whole way, SMTP", cost.us, "µs", 300, 75, note=note),
        Figure("rate, whole way, SMTP", cost.per_second, "/s", more_is_better=True),
    ]


async def _written(stand: Stand, kind: str, count: int) -> list[Figure]:
    """What `count` notifications write, with the log kept from starting anew."""
    database = stand.house.database
    done = await stand.ended()
    stored = wal.stored_bytes(database)
    with wal.pinned(database):
        before = wal.written(wal.wal_of(database))
        await load.send(stand.client, load.bodies(kind, count))
        await stand.until_ended(done + count)
        after = wal.written(wal.wal_of(database), skip=before.frames)
    note = f"{count:,} notifications; frames of the write-ahead log, read from its file while a reader keeps it whole."
    return [
        Figure("WAL per notification", after.bytes / count / 1024, "KiB", 8, 3, note=note),
        Figure("pages dirtied per notification", after.dirtied / count, "pages"),
        Figure("commits per 1,000 notifications", 1_000 * after.commits / count, ""),
        Figure("stored per notification", (wal.stored_bytes(database) - stored) / count, "bytes"),
    ]
