"""How quick the urgent is: on an idle system, and while a flood of low drains flat out."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bellhouse.demo.processes import World
from benchmarks import latency, load
from benchmarks.cluster.roles import BULK
from benchmarks.cluster.stand import Stand
from benchmarks.stand import AT_ONCE, CLOCK, turn

_EVERY_S: Final = 0.05
_WARM_UP: Final = 40
_AT_ONCE: Final = 50_000


@dataclass(frozen=True)
class Urgency:
    """From receipt to the provider's receipt, ms: idle, and beside the flood; and how much of it was left then."""

    idle: latency.Spread
    busy: latency.Spread
    left: int


async def urgency(stand: Stand, flood: int, singles: int) -> Urgency:
    """Critical on an idle system; then `flood` low are accepted with nobody to route them, and all at once there is."""
    turn(_world(stand), AT_ONCE)
    await load.singles(stand.client, "bench_critical", _WARM_UP, _EVERY_S)
    idle = await _waits(stand, await load.singles(stand.client, "bench_critical", singles, _EVERY_S))
    await stand.stop(BULK)
    for start in range(0, flood, _AT_ONCE):
        await load.send(stand.client, load.bodies("bench_low", min(_AT_ONCE, flood - start)))
    await stand.start(BULK)
    ended = await stand.ended()
    await stand.until_ended(ended + min(flood // 10, _AT_ONCE))
    ids = await load.singles(stand.client, "bench_critical", singles, _EVERY_S)
    ledger = await stand.ledger()
    busy = await _waits(stand, ids)
    waiting = ledger.get(("notification", "waiting"), 0) + ledger.get(("delivery", "waiting"), 0)
    return Urgency(idle, busy, waiting)


async def _waits(stand: Stand, ids: list[str]) -> latency.Spread:
    """The waits of these, once all of them have a receipt. Raises TimeoutError."""
    deadline = CLOCK.monotonic() + 60
    while CLOCK.monotonic() < deadline:
        accepted = await asyncio.to_thread(_accepted, stand)
        if all(one in accepted for one in ids):
            return latency.spread(latency.waits(accepted, ids))
        await asyncio.sleep(0.5)
    raise TimeoutError("some critical notifications were never sent")


def _accepted(stand: Stand) -> Mapping[str, int]:
    return latency.first_acceptances(stand.outside.receipts())


def _world(stand: Stand) -> World:
    assert stand.world is not None  # urgency is measured at a provider
    return stand.world
