"""The test stand: Bellhouse and the outside world as processes, set up for a workload, watched from outside."""

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bellhouse.adapters.clock import SystemClock
from bellhouse.app.secrets import development_key
from bellhouse.demo.client import Client
from bellhouse.demo.processes import House, World, start_house, start_world
from bellhouse.demo.watch import Ledger, Watch
from bellhouse.simulator.client import SimulatorClient
from benchmarks import procs

PEOPLE = 5_000
CLOCK = SystemClock()
SLOW: Mapping[str, object] = {"latency": {"kind": "uniform", "min_ms": 50, "max_ms": 300}, "callbacks": False}
AT_ONCE: Mapping[str, object] = {"latency": {"kind": "fixed", "min_ms": 0}, "callbacks": False}
_ENDED = ("sent", "delivered", "failed", "dead_lettered", "expired", "cancelled")
_LOOK_S = 0.2

_PUSH = {"title": "Order {{ order }} is on its way", "body": "It arrives at {{ eta }}."}
_PARAGRAPH = "<p>Your order {{ order }} is on its way and arrives at {{ eta }}. You can follow it in the app.</p>\n"
_MAIL = {
    "subject": "Order {{ order }} is on its way",
    "text": "Your order {{ order }} is on its way and arrives at {{ eta }}.\n" * 7,
    "html": f"<!doctype html><html><body><h1>Hello</h1>\n{_PARAGRAPH * 13}</body></html>",
}
"""Text and HTML together about 1.9 kB when rendered."""

TYPES: Mapping[str, Mapping[str, object]] = {
    "bench_push": {"category": "product", "priority": "normal", "channels": ["push"]},
    "bench_low": {"category": "product", "priority": "low", "channels": ["push"]},
    "bench_critical": {"category": "security", "priority": "critical", "channels": ["push"]},
    "bench_mail": {"category": "transactional", "priority": "normal", "channels": ["email"]},
}


@dataclass(frozen=True)
class Stand:
    """What is running, and how to ask it."""

    house: House
    world: World | None
    client: Client
    watch: Watch

    @property
    def outside(self) -> SimulatorClient:
        assert self.world is not None  # asked only where a workload has an outside
        return SimulatorClient(self.world.url)

    def pids(self) -> list[int]:
        """Bellhouse's own processes: the supervisor and the roles."""
        return [self.house.child.pid, *procs.children(self.house.child.pid)]

    def cpu_s(self) -> float:
        """What they have used until now."""
        return procs.cpu_of(self.pids())

    async def until_ended(self, deliveries: int, patience_s: float = 600.0) -> Ledger:
        """Wait until so many deliveries have ended. Raises TimeoutError with where they stand."""
        deadline = CLOCK.monotonic() + patience_s
        while True:
            ledger = await self.watch.ledger()
            if sum(ledger.of("delivery", state) for state in _ENDED) >= deliveries:
                return ledger
            if CLOCK.monotonic() > deadline:
                raise TimeoutError(f"{deliveries} deliveries should have ended, and did not: {ledger.lines}")
            await asyncio.sleep(_LOOK_S)

    async def ended(self) -> int:
        """How many deliveries have ended until now."""
        ledger = await self.watch.ledger()
        return sum(ledger.of("delivery", state) for state in _ENDED)


@asynccontextmanager
async def outside_world(folder: Path, dials: Mapping[str, object] = SLOW) -> AsyncIterator[World]:
    """A simulator whose providers all behave as `dials` say."""
    world = await start_world(folder, seed=1)
    try:
        turn(world, dials)
        yield world
    finally:
        await world.child.stop(5.0)


def turn(world: World, dials: Mapping[str, object]) -> None:
    """Turn every provider's dials."""
    simulator = SimulatorClient(world.url)
    for provider in simulator.dials():
        simulator.put_dials(provider, **dials)


@asynccontextmanager
async def running(data: Path, world: World | None, settings: Sequence[str] = ()) -> AsyncIterator[Stand]:
    """Bellhouse on a folder, with the workload's people, types and templates; no outside world means `log`."""
    if not (data / "bellhouse.db").exists():
        await _prepare(data)
    # People whom the limit never holds are still counted, so that counting them is in the figures.
    lines = [*([f'simulator = "{world.url}"'] if world else []), "limits.recipient_per_minute = 1_000_000"]
    house = await start_house(data, "\n".join([*lines, *settings, ""]), CLOCK)
    try:
        key = development_key(house.data)
        assert key is not None  # copied with the folder
        client = Client(house.url, key, CLOCK)
        try:
            if world is not None:
                SimulatorClient(world.url).set_account(house.url)
            yield Stand(house, world, client, Watch(client, CLOCK))
        finally:
            await client.close()
    finally:
        await house.child.stop()


_prepared: list[Path] = []
"""A folder with everything defined, made once a run: each workload begins with a copy of it."""


async def _prepare(data: Path) -> None:
    if not _prepared:
        made = Path(tempfile.mkdtemp(prefix="bellhouse-bench-"))
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        house = await start_house(made / "data", "", CLOCK)
        try:
            key = development_key(house.data)
            assert key is not None  # made at the first start of the folder, which is ours
            client = Client(house.url, key, CLOCK)
            await define(client)
            await client.close()
        finally:
            await house.child.stop()
        _prepared.append(made / "data")
    await asyncio.to_thread(shutil.copytree, _prepared[0], data, dirs_exist_ok=True)


async def define(client: Client) -> None:
    """The workload's types, templates and people, through the API."""
    for name, kind in TYPES.items():
        content = {"email": _MAIL} if name == "bench_mail" else {"push": _PUSH}
        sample = {"order": "A-1", "eta": "10:00"}
        await client.put(f"/v1/templates/{name}", {"locales": {"en": content}, "sample": sample})
        await client.put(f"/v1/types/{name}", kind)
    for start in range(0, PEOPLE, 1_000):
        people = [_person(number) for number in range(start, start + 1_000)]
        await client.post("/v1/recipients/batch", {"recipients": people}, object)


def _person(number: int) -> dict[str, object]:
    push = {"channel": "push", "address": f"bench{number:06d}:APA91b{'x' * 126}", "providers": []}
    return {
        "user_id": f"user-{number:06d}",
        "zone": "Europe/Paris",
        "contacts": [push, {"channel": "email", "address": f"user{number}@example.com"}],
    }
