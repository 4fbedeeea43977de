"""How quick the urgent is: on an idle system, under a flood of low, and after a kill."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bellhouse.demo import records
from benchmarks import latency, load
from benchmarks.figures import Figure
from benchmarks.prefill import prefill
from benchmarks.stand import AT_ONCE, CLOCK, SLOW, Stand, outside_world, running, turn

_EVERY_S = 0.05


async def urgency(flood: int, singles: int) -> list[Figure]:
    """Critical and normal on an idle system, then critical while `flood` low drain flat out."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        async with outside_world(Path(folder) / "world", AT_ONCE) as world:
            async with running(data, world) as stand:
                await load.singles(stand.client, "bench_critical", 40, _EVERY_S)
                idle = await _waits(stand, await load.singles(stand.client, "bench_critical", singles, _EVERY_S))
                first = await _waits(stand, await load.singles(stand.client, "bench_push", singles, _EVERY_S))
            await prefill(data / "bellhouse.db", "bench_low", "low", flood)
            async with running(data, world) as stand:
                await asyncio.sleep(1.0)
                ids = await load.singles(stand.client, "bench_critical", singles, _EVERY_S)
                ledger = await stand.watch.ledger()
                busy = await _waits(stand, ids)
    left = ledger.of("notification", "waiting") + ledger.of("delivery", "waiting")
    note = (
        "Single POSTs 50 ms apart, from the moment in the notification's id to the provider's receipt; it answers at "
        f"once. The flood is {flood:,} low that wait in the file when Bellhouse starts; {left:,} were left at the end."
    )
    return [
        Figure("critical p99, idle", idle.p99, "ms", 50, 15, note=note),
        Figure("critical p99 added by the flood", max(0.0, busy.p99 - idle.p99), "ms", 100, 25),
        Figure(
            "first send, idle, p50",
            first.p50,
            "ms",
            30,
            10,
            note="The same for normal, which another process delivers.",
        ),
    ]


async def _waits(stand: Stand, ids: list[str]) -> latency.Spread:
    """From receipt to the provider's receipt, once all of these have one. Raises TimeoutError."""
    deadline = CLOCK.monotonic() + 30
    while CLOCK.monotonic() < deadline:
        accepted = await asyncio.to_thread(_accepted, stand)
        if all(one in accepted for one in ids):
            return latency.spread(latency.waits(accepted, ids))
        await asyncio.sleep(0.5)
    raise TimeoutError("some critical notifications were never sent")


def _accepted(stand: Stand) -> Mapping[str, int]:
    return latency.first_acceptances(stand.outside.receipts())


async def after_a_kill(count: int) -> list[Figure]:
    """Kill the delivering process in the middle of its work, and see when that work goes on."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            outside_world(Path(folder) / "world", SLOW) as world,
            running(Path(folder) / "data", world) as stand,
        ):
            turn(world, SLOW)
            await load.send(stand.client, load.bodies("bench_push", count))
            await stand.until_ended(count // 4)
            pid = stand.house.roles()["bulk"]
            os.kill(pid, signal.SIGKILL)
            killed_at = CLOCK.now()
            await stand.until_ended(count)
            taken_up = await asyncio.to_thread(records.interrupted_at, stand.house.database)
    note = (
        f"kill -9 of the bulk role while {count:,} notifications are on their way: from the kill to the moment at "
        f"which the last of the {len(taken_up):,} deliveries in its hands was taken up by its successor."
    )
    last = (max(taken_up) - killed_at) / 1000 if taken_up else 0.0
    return [Figure("work of a killed process taken up", last, "s", 30, 5, note=note)]
