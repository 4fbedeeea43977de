"""The test stand of the distributed mode: engines, the outside world and every role, watched from outside."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from bellhouse.demo.client import Client
from bellhouse.demo.processes import World
from bellhouse.simulator.client import SimulatorClient
from benchmarks import procs
from benchmarks.cluster.engines import Engines, connect
from benchmarks.cluster.roles import ROLES, Role, command, start_role
from benchmarks.stand import CLOCK, define

PARTITIONS: Final = 8
"""Of each topic: the roles are one process each here, and a broker of half a gigabyte carries them all."""

_PREPARED: Final = "prepared"
_LOOK_S: Final = 0.25
_STANDS: Final = """
SELECT level, state, sum(count)::bigint FROM (
    SELECT level, state, count FROM ledger UNION ALL SELECT level, state, moved FROM ledger_moves
) AS counters
GROUP BY level, state
"""
_ENDED: Final = ("sent", "delivered", "failed", "dead_lettered", "expired", "cancelled")

Ledger = Mapping[tuple[str, str], int]
"""How many notifications and deliveries stand in each state."""


@dataclass(frozen=True)
class Place:
    """Where a workload runs: a database, topics and a folder of its own on shared engines."""

    engines: Engines
    name: str
    url: str
    data: Path
    key: str


@dataclass(frozen=True)
class Stand:
    """What is running, and how to ask it."""

    place: Place
    roles: dict[str, Role]
    world: World | None
    client: Client
    database: asyncpg.Connection

    @property
    def outside(self) -> SimulatorClient:
        assert self.world is not None  # asked only where a workload has an outside
        return SimulatorClient(self.world.url)

    def cpu_s(self) -> dict[str, float]:
        """What each process has used until now: the roles, the engines, the simulator and the load."""
        used = {name: procs.cpu_of([role.running.pid]) for name, role in self.roles.items()}
        used |= self.place.engines.cpu_s()
        if self.world is not None:
            used["simulator"] = procs.cpu_of([self.world.child.pid])
        return used | {"load": procs.cpu_of([os.getpid()])}

    async def ledger(self) -> Ledger:
        """The counters, read past the API so that looking costs none of its time."""
        return {(level, state): count for level, state, count in await self.database.fetch(_STANDS)}

    async def ended(self) -> int:
        """How many deliveries have ended until now."""
        ledger = await self.ledger()
        return sum(ledger.get(("delivery", state), 0) for state in _ENDED)

    async def until_ended(self, deliveries: int, patience_s: float = 900.0) -> None:
        """Wait until so many deliveries have ended. Raises TimeoutError with where they stand."""
        deadline = CLOCK.monotonic() + patience_s
        while await self.ended() < deliveries:
            if CLOCK.monotonic() > deadline:
                raise TimeoutError(f"{deliveries} deliveries should have ended, and did not: {await self.ledger()}")
            self.check()
            await asyncio.sleep(_LOOK_S)

    async def stop(self, names: Sequence[str]) -> None:
        """End some roles in good order."""
        await asyncio.gather(*(self.roles.pop(name).child.stop() for name in names))

    async def start(self, names: Sequence[str]) -> None:
        """Start roles that were ended. Raises DidNotStart."""
        await _start(self.place, self.world, self.roles, names)

    def check(self) -> None:
        """Raise RuntimeError if a role has ended, with what it said."""
        for name, role in self.roles.items():
            if not role.child.running:
                raise RuntimeError(f"the role {name} has ended: {role.child.said()}")


async def prepare(engines: Engines, folder: Path) -> str:
    """A database with everything defined, of which each workload gets a copy; answers the API key in it."""
    url = await asyncio.to_thread(engines.postgres.create_database, _PREPARED)
    data = _settings(engines, folder / _PREPARED, _PREPARED, url, ())
    await command(data, "migrate")
    key = (await command(data, "keys", "create", "--scope", "admin")).strip()
    await command(data, "topics", "--create")
    api = await start_role("api", data, ROLES["api"])
    try:
        client = Client(api.running.url, key, CLOCK)
        await define(client)
        await client.close()
    finally:
        await api.child.stop()
    return key


async def place(engines: Engines, folder: Path, name: str, key: str, settings: Sequence[str] = ()) -> Place:
    """A copy of the prepared database, topics of its own, and a folder with the settings."""
    url = await asyncio.to_thread(engines.postgres.create_database, name, _PREPARED)
    data = _settings(engines, folder / name, name, url, settings)
    await command(data, "topics", "--create")
    return Place(engines, name, url, data, key)


def _settings(engines: Engines, data: Path, name: str, url: str, more: Sequence[str]) -> Path:
    data.mkdir(parents=True)
    lines = [
        'secret = "a secret of the benchmark, the same for all of its processes"',
        *more,
        # People whom the limit never holds are still counted, so that counting them is in the figures.
        "limits.recipient_per_minute = 1_000_000",
        f'store.url = "{url}"',
        "[kafka]",
        f'brokers = ["{engines.kafka.brokers}"]',
        f'topic_prefix = "{name}."',
        f"partitions = {PARTITIONS}",
        "replication = 1",
        "[redis]",
        f'url = "{engines.valkey.url}"',
        f'prefix = "{name}:"',
    ]
    (data / "bellhouse.toml").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return data


@asynccontextmanager
async def running(here: Place, world: World | None) -> AsyncIterator[Stand]:
    """Every role on a place; no outside world means that the provider is `log`."""
    roles: dict[str, Role] = {}
    try:
        await _start(here, world, roles, tuple(ROLES))
        client = Client(roles["api"].running.url, here.key, CLOCK)
        database = await connect(here.url)
        try:
            if world is not None:
                SimulatorClient(world.url).set_account(roles["api"].running.url)
            yield Stand(here, roles, world, client, database)
        finally:
            await database.close()
            await client.close()
    finally:
        await asyncio.gather(*(role.child.stop() for role in roles.values()))


async def _start(here: Place, world: World | None, roles: dict[str, Role], names: Sequence[str]) -> None:
    """Start these side by side, and put each that came up among the `roles`. Raises DidNotStart."""
    outside = () if world is None else ("--simulator", world.url)
    started = await asyncio.gather(
        *(start_role(name, here.data, (*ROLES[name], *outside)) for name in names), return_exceptions=True
    )
    roles.update({name: role for name, role in zip(names, started, strict=True) if isinstance(role, Role)})
    for failed in started:
        if isinstance(failed, BaseException):
            raise failed
