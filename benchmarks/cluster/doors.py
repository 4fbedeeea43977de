"""How quick a single POST is at a fixed rate, while everything behind it works: an open loop, as callers are."""

import asyncio
from dataclasses import dataclass

import msgspec

from bellhouse.demo.client import Client
from benchmarks import latency
from benchmarks.cluster.cost import Cost, priced
from benchmarks.cluster.stand import Stand
from benchmarks.load import notification
from benchmarks.stand import CLOCK

_PATH = "/v1/notifications"


@dataclass(frozen=True)
class Singles:
    """Answers of single POSTs, in ms from the moment at which each was to be sent; and what each cost."""

    spread: latency.Spread
    cost: Cost


async def at_rate(stand: Stand, kind: str, count: int, per_second: int) -> Singles:
    """Send `count` notifications one by one at a rate that does not wait for answers; return when all have ended."""
    await _send(stand.client, kind, per_second, per_second)
    done = await stand.ended()
    waits: list[float] = []

    async def work() -> None:
        waits.extend(await _send(stand.client, kind, count, per_second))
        await stand.until_ended(done + count)

    cost = await priced(stand, count, work)
    return Singles(latency.spread(waits), cost)


async def _send(client: Client, kind: str, count: int, per_second: int) -> list[float]:
    bodies = [msgspec.json.encode(notification(kind)) for _ in range(count)]
    waits: list[float] = []

    async def post(body: bytes, due: float) -> None:
        await client.call("POST", _PATH, body)
        waits.append(1_000 * (CLOCK.monotonic() - due))

    began = CLOCK.monotonic()
    async with asyncio.TaskGroup() as group:
        for number, body in enumerate(bodies):
            due = began + number / per_second
            # Late ones go out at once: what the sender was late is part of what they waited.
            await asyncio.sleep(max(0.0, due - CLOCK.monotonic()))
            group.create_task(post(body, due))
    return waits
