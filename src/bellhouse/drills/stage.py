"""What a drill is played on: a Bellhouse under load, its outside world, and a Prometheus with the scaled rules."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from bellhouse.app.examine import Request, examine
from bellhouse.demo.client import Client, Refusal
from bellhouse.demo.processes import Platform, World, start_house, start_world
from bellhouse.demo.watch import Ledger, Metrics, Watch
from bellhouse.drills.load import Load, define, register
from bellhouse.engines.errors import ProgramFailed
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

_DOCTOR_S: Final = 3.0
"""How long the doctor looks at the metrics."""


class Stage:
    """A running Bellhouse and everything around it. Calls of it may block others for no longer than an answer takes."""

    def __init__(self, world: World, house: Platform, client: Client, prometheus: Prometheus, clock: Clock) -> None:
        self.house = house
        self.client = client
        self.prometheus = prometheus
        self.clock = clock
        self.outside = SimulatorClient(world.url)
        self.load = Load(client, clock)
        self._watch = Watch(client, clock, house.metrics)

    # --- what an operator sees ---

    async def alerts(self) -> Sequence[FiringAlert]:
        """The alerts that fire now; none while Prometheus does not answer."""
        with suppress(ProgramFailed, OSError):
            found = await asyncio.to_thread(self.prometheus.alerts)
            return [one for one in found if one.state == "firing"]
        return ()

    async def diagnose(self, slug: str) -> Diagnosis:
        """What the doctor says for an alert's runbook."""
        request = Request(self.house.url, self.house.key, self.house.data, window_s=_DOCTOR_S, metrics=self.metrics)
        return diagnose(await asyncio.to_thread(examine, request), slug)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The addresses of `/metrics` that the doctor is told; none where the API's own answers for all."""
        return ()

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

    async def register(self) -> None:
        """Give everybody all contact points again. Raises Refusal."""
        await register(self.client)

    async def calm(self) -> None:
        """Everything as it was before anything was broken: dials, breakers, contact points, dead letters."""
        for provider, dials in (await asyncio.to_thread(self.outside.dials)).items():
            await self.dial(provider, **dict.fromkeys(dials))
        with suppress(Refusal):
            await self.register()
            await self.reset(*PROVIDERS)
            await self.act("/v1/dead-letters/discard", filter={})


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
async def embedded(folder: Path, clock: Clock, secret: str, alertmanager: str | None = None) -> AsyncIterator[Stage]:
    """A stage in the embedded mode; everything of it is stopped at the end, however it comes.

    Raises DidNotStart, EngineDidNotStart and Refusal.
    """
    world = await start_world(folder / "world", 7)
    try:
        house = await start_house(folder / "bellhouse", settings_of(world.url, secret), clock)
        try:
            jobs = (Job("bellhouse", (house.url.removeprefix("http://"),)),)
            async with _watched(folder, world, house, jobs, clock, alertmanager) as stage:
                yield stage
        finally:
            await house.stop()
    finally:
        await world.child.stop(5.0)


@asynccontextmanager
async def _watched(
    folder: Path, world: World, house: Platform, jobs: Sequence[Job], clock: Clock, alertmanager: str | None
) -> AsyncIterator[Stage]:
    """A house with people, load and a Prometheus that looks at it."""
    rules = folder / "bellhouse.rules.yml"
    rules.write_text(rules_of(), encoding="utf-8")
    prometheus = Prometheus(
        folder / "prometheus", jobs=jobs, rules=(rules,), alertmanager=alertmanager, interval_s=SCRAPE_S
    )
    client = Client(house.url, house.key, clock)
    stage = Stage(world, house, client, prometheus, clock)
    try:
        await asyncio.to_thread(stage.outside.set_account, house.url)
        await define(client)
        stage.load.start()
        await asyncio.to_thread(prometheus.start)
        yield stage
    finally:
        await stage.load.stop()
        await client.close()
        await asyncio.to_thread(prometheus.close)
