"""What a drill is played on: a Bellhouse under load, its outside world, and a Prometheus with the scaled rules."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from bellhouse.app.examine import Request, examine
from bellhouse.app.maintenance import make_key
from bellhouse.app.settings import load
from bellhouse.demo.client import Client, Refusal
from bellhouse.demo.cluster import Cluster, start_cluster
from bellhouse.demo.processes import Platform, World, start_house, start_world
from bellhouse.demo.watch import Ledger, Metrics, Watch
from bellhouse.drills.load import Load, define, register
from bellhouse.engines.errors import ProgramFailed
from bellhouse.engines.process import Engine
from bellhouse.engines.prometheus import FiringAlert, Job, Prometheus
from bellhouse.monitoring.rules import Rendering, rule_file
from bellhouse.monitoring.thresholds import Thresholds
from bellhouse.ops.doctor.diagnose import Diagnosis, diagnose
from bellhouse.ports.clock import Clock
from bellhouse.simulator.client import SimulatorClient

SCALE: Final = 1 / 60
"""A minute of the rules is a second of a drill."""
SCRAPE_S: Final = 1.0
PROVIDERS: Final = ("fcm", "sendgrid", "smtp", "twilio", "vonage")
THRESHOLDS: Final = msgspec.structs.replace(
    Thresholds().scaled(SCALE), queue_records=1_000, dead_letters=20, restarts=1, delivery_attempts=3
)
"""Counts are lowered as the load is: ages follow the scale."""

LITTLE: Final = 60
"""Records that may wait under the load: more are a backlog."""

_SHIM: Final = Path(__file__).parent / "small_disk"
_LOOK_S: Final = 0.25
_UNKNOWN: Final = 401
_RECENT_S: Final = 30
"""How far back the doctor looks at rows; what he takes in earnest would be ten seconds here."""
_DOCTOR_S: Final = 3.0
"""How long the doctor looks at the metrics."""


class Stage:
    """A running Bellhouse and everything around it. Calls of it may block others for no longer than an answer takes."""

    def __init__(
        self, world: World, house: Platform, client: Client, prometheus: Prometheus, clock: Clock, volume: Path
    ) -> None:
        """`volume`: the file that says what the house sees of its disk."""
        self.house = house
        self.client = client
        self.prometheus = prometheus
        self.clock = clock
        self.outside = SimulatorClient(world.url)
        self.load = Load(client, clock)
        self.volume = volume
        self.cluster: Cluster | None = None
        """Where it is the distributed mode."""
        self._watch = Watch(client, clock, house.metrics)
        self._going: list[asyncio.Task[None]] = []
        self._tenants: dict[str, Client] = {}
        self._read_to: dict[Path, int] = {}
        """How far each log had been written when something was broken."""

    # --- what an operator sees ---

    async def alerts(self) -> Sequence[FiringAlert]:
        """The alerts that fire now; none while Prometheus does not answer."""
        with suppress(ProgramFailed, OSError):
            found = await asyncio.to_thread(self.prometheus.alerts)
            return [one for one in found if one.state == "firing"]
        return ()

    async def diagnose(self, slug: str) -> Diagnosis:
        """What the doctor says for an alert's runbook."""
        lines = await asyncio.to_thread(lambda: list(self._said()))
        request = Request(
            self.house.url,
            self.house.key,
            self.house.data,
            self.metrics,
            window_s=_DOCTOR_S,
            recent_s=_RECENT_S,
            log=lines,
        )
        return diagnose(await asyncio.to_thread(examine, request), slug)

    def mark(self) -> None:
        """What the logs say from now on is of this drill."""
        self._read_to = {log: log.stat().st_size for log in self._logs()}

    def _said(self) -> Iterator[str]:
        for log in self._logs():
            with log.open(encoding="utf-8", errors="replace") as text:
                text.seek(self._read_to.get(log, 0))
                yield from text

    def _logs(self) -> list[Path]:
        return sorted(self.house.data.glob("*.log"))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The addresses of `/metrics` that the doctor is told; none where the API's own answers for all."""
        return () if self.cluster is None else self._targets

    @property
    def _targets(self) -> tuple[str, ...]:
        return tuple(f"http://{target}/metrics" for job in self.prometheus.jobs for target in job.targets)

    def engine(self, name: str) -> Engine:
        """What the platform stands on, in the distributed mode; KeyError elsewhere."""
        if self.cluster is None:
            raise KeyError(name)
        return self.cluster.engines.by_name[name]

    def signal(self, role: str, number: signal.Signals) -> None:
        """Send the process of a role a signal. Raises KeyError where none is ready."""
        os.kill(self.house.roles()[role], number)

    async def shown(self) -> bool:
        """Whether the gauges that all processes share are shown by now."""
        return b"\ngauge_read_timestamp_seconds{" in await self.house.metrics()

    async def backlog(self) -> int:
        """Records that wait in the log."""
        return round(Metrics(await self.house.metrics()).total("kafka_consumer_lag"))

    async def ledger(self) -> Ledger:
        """The ledger, recounted from the rows. Raises Refusal."""
        return await self._watch.ledger(recount=True)

    # --- what breaks, and what mends ---

    async def dial(self, provider: str, **dials: object) -> None:
        """Turn dials of a simulated provider."""
        await asyncio.to_thread(lambda: self.outside.put_dials(provider, **dials))

    async def act(self, path: str, **body: object) -> None:
        """One of the operator's acts by the API, with its reason. Raises Refusal."""
        await self.client.post(path, {**body, "why": "drill"}, object)

    async def reset(self, *providers: str) -> None:
        """Close the breakers of providers, and let them judge by themselves again. Raises Refusal."""
        for provider in providers:
            await self.client.post(f"/v1/breakers/{provider}/reset", {}, object)

    async def register(self, provider: str = "fcm") -> None:
        """Give everybody all contact points again, with tokens of this provider. Raises Refusal."""
        await register(self.client, provider)

    def begin(self, going: Coroutine[None, None, None]) -> None:
        """Let something go on beside everything else until `end`."""
        self._going.append(asyncio.create_task(going))

    async def through(self) -> None:
        """Wait until what goes on beside has come to its end. Raises what it raised."""
        going, self._going = self._going, []
        await asyncio.gather(*going)

    async def end(self) -> None:
        """End what goes on beside; lawful when nothing does."""
        going, self._going = self._going, []
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    async def tenant(self, name: str) -> Client:
        """A client of another tenant, which has the same types and people; its key is made at the first call."""
        if name not in self._tenants:
            key = await asyncio.to_thread(self._key_of, name)
            client = self._tenants[name] = Client(self.house.url, key, self.clock)
            await until(lambda: _knows(client), self.clock)
            await define(client)
        return self._tenants[name]

    async def close(self) -> None:
        """End the load, and hang up."""
        await self.end()
        await self.load.stop()
        for client in (self.client, *self._tenants.values()):
            await client.close()

    def _key_of(self, name: str) -> str:
        settings = load({"data": self.house.data}).settings
        return make_key(settings, name, "production", ("send", "manage"), "drill")[1]

    async def drained(self, patience_s: float = 60.0) -> None:
        """Wait until little lies about, or for `patience_s`."""

        async def little() -> bool:
            return await self.backlog() <= LITTLE

        await until(little, self.clock, patience_s)

    def free(self, share: float | None) -> None:
        """What share of its disk the house sees to be free; None for what is."""
        self.volume.write_text("" if share is None else f"{share}")

    async def calm(self) -> None:
        """Everything as it was before anything was broken: dials, breakers, contact points, dead letters."""
        await self.end()
        self.free(None)
        for provider, dials in (await asyncio.to_thread(self.outside.dials)).items():
            await self.dial(provider, **dict.fromkeys(dials))
        with suppress(Refusal):
            await self.register()
            await self.reset(*PROVIDERS)
            await self.act("/v1/dead-letters/discard", filter={})


async def until(holds: Callable[[], Awaitable[bool]], clock: Clock, patience_s: float = 60.0) -> None:
    """Return when it holds, or after `patience_s`."""
    deadline = clock.monotonic() + patience_s
    while not await holds() and clock.monotonic() < deadline:
        await clock.sleep(_LOOK_S)


async def _knows(client: Client) -> bool:
    """Whether the server knows a client's key by now."""
    return (await client.ask("GET", "/v1/types")).status < _UNKNOWN


def settings_of(simulator: str, secret: str) -> str:
    """The platform's `bellhouse.toml` for drills: as it comes, but for times that would be minutes, and accounts that
    somebody watches."""
    return "\n".join(
        (
            f'simulator = "{simulator}"',
            "balance_every_s = 2",
            "[limits]",
            "recipient_per_minute = 0",
            "[breaker]",
            "open_ms = 4000",
            "silent_s = 60",
            "silent_accepted = 5",
            "[retry]",
            "base_ms = 500",
            "cap_ms = 2000",
            "[providers.fcm]",
            f'receipt_secret = "{secret}"',
            "rate_per_s = 150",
            "[providers.twilio]",
            "balance_low = 100",
            "",
        )
    )


def rules_of(runbooks: str | None = None) -> str:
    """The very rules of the catalogue, at the drills' scale."""
    rendering = Rendering(scale=SCALE, thresholds=THRESHOLDS)
    return rule_file(rendering if runbooks is None else msgspec.structs.replace(rendering, runbooks=runbooks))


@asynccontextmanager
async def embedded(
    folder: Path, clock: Clock, secret: str, alertmanager: str | None = None, runbooks: str | None = None
) -> AsyncIterator[Stage]:
    """A stage in the embedded mode; everything of it is stopped at the end, however it comes.

    Raises DidNotStart, EngineDidNotStart and Refusal.
    """
    world = await start_world(folder / "world", 7)
    try:
        volume = folder / "volume"
        environment = {"PYTHONPATH": str(_SHIM), "DRILL_VOLUME": str(volume)}
        house = await start_house(folder / "bellhouse", settings_of(world.url, secret), clock, (), environment)
        try:
            jobs = (Job("bellhouse", (house.url.removeprefix("http://"),)),)
            async with _watched(folder, world, house, jobs, clock, alertmanager, runbooks) as stage:
                yield stage
        finally:
            await house.stop()
    finally:
        await world.child.stop(5.0)


@asynccontextmanager
async def cluster(folder: Path, clock: Clock, secret: str, say: Callable[[str], None]) -> AsyncIterator[Stage]:
    """A stage on PostgreSQL, Kafka and Valkey, each role a process; everything of it is stopped at the end.

    Raises DidNotStart, EngineDidNotStart and Refusal.
    """
    world = await start_world(folder / "world", 7)
    try:
        house = await start_cluster(folder / "bellhouse", settings_of(world.url, secret), clock, say)
        try:
            async with _watched(folder, world, house, _jobs(house), clock) as stage:
                stage.cluster = house
                yield stage
        finally:
            await house.stop()
    finally:
        await world.child.stop(5.0)


def _jobs(house: Cluster) -> tuple[Job, ...]:
    """A job for each kind of role, with all processes of that kind."""
    kinds: dict[str, list[str]] = {}
    for role, url in house.addresses().items():
        kinds.setdefault(role.split()[-1], []).append(url.removeprefix("http://"))
    return tuple(Job(f"bellhouse-{kind}", tuple(targets)) for kind, targets in kinds.items())


@asynccontextmanager
async def _watched(
    folder: Path,
    world: World,
    house: Platform,
    jobs: Sequence[Job],
    clock: Clock,
    alertmanager: str | None = None,
    runbooks: str | None = None,
) -> AsyncIterator[Stage]:
    """A house with people, load and a Prometheus that looks at it."""
    rules = folder / "bellhouse.rules.yml"
    rules.write_text(rules_of(runbooks), encoding="utf-8")
    prometheus = Prometheus(
        folder / "prometheus", jobs=jobs, rules=(rules,), alertmanager=alertmanager, interval_s=SCRAPE_S
    )
    client = Client(house.url, house.key, clock)
    stage = Stage(world, house, client, prometheus, clock, folder / "volume")
    try:
        await asyncio.to_thread(stage.outside.set_account, house.url)
        await define(client)
        stage.load.start()
        # What looks before the first figures are there sees nothing, and says so.
        await until(stage.shown, clock)
        await asyncio.to_thread(prometheus.start)
        yield stage
    finally:
        await stage.close()
        await asyncio.to_thread(prometheus.close)
