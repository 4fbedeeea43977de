"""Runs the demo from the first process to the last table."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

from bellhouse.adapters.clock import SystemClock
from bellhouse.demo.client import Client, Refusal
from bellhouse.demo.day import generate
from bellhouse.demo.faults import CLUSTER_TIMELINE, TIMELINE, Disturber
from bellhouse.demo.letters import replay_all
from bellhouse.demo.oracle import Receipt, judge, spread
from bellhouse.demo.play import DAY_MS, Pace, Player, expected
from bellhouse.demo.processes import Platform, World, folder_for, start_house, start_world, until_told
from bellhouse.demo.report import (
    Caller,
    Report,
    deliveries_by,
    left_waiting,
    most_interesting,
    notifications_by_type,
    overdue,
    receipts_by_provider,
    suppressions,
)
from bellhouse.demo.script import Day, moment, read, write
from bellhouse.demo.settle import until_still
from bellhouse.demo.show import Lines, Picture, Show, Silent, final
from bellhouse.demo.watch import Reading, Watch
from bellhouse.ports.clock import Clock
from bellhouse.simulator.client import SimulatorClient

_LOOK_S: Final = 0.5
_STEP_S: Final = 0.1
_BEHIND: Final = 12_000
"""More on its way than a laptop should have: the day stands still until it is less."""
_WIDTH: Final = 120
"""Of the tables where there is no terminal that has a width."""
_PEOPLE_AT_ONCE: Final = 500
"""Recipients of one request at set-up."""


class Options(msgspec.Struct, frozen=True):
    """How the demo is run."""

    seed: int = 7
    events: Path | None = None
    """A day to play instead of the generated one."""
    write: Path | None = None
    """Only keep the generated day there."""
    keep: Path | None = None
    """Where to leave the data; a temporary folder, removed at the end, without it."""
    fast: bool = False
    json: bool = False
    cluster: bool = False
    """On PostgreSQL, Kafka and Valkey, with each role in a process of its own."""

    @property
    def length_s(self) -> float:
        """How long the day takes."""
        if self.cluster:
            return 20.0 if self.fast else 80.0
        return 12.0 if self.fast else 55.0


def run(options: Options) -> int:
    """Run it and show it; answers the exit status: 1 where the ledger does not balance or something was lost.

    Raises BadLine, OSError, DidNotStart and Refusal, whose texts say what to do.
    """
    if options.write is not None:
        write(options.write, _day(options))
        return 0
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    show: Show = Silent() if options.json else Picture(console) if console.is_terminal else Lines(console)
    with folder_for(options.keep, "bellhouse-demo-") as folder:
        report = asyncio.run(until_told(_Demo(options, Path(folder), SystemClock(), show).run()))
    if options.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        final(console, report)
    return 0 if report.sound else 1


def _day(options: Options) -> Day:
    if options.events is not None:
        return read(options.events)
    return generate(options.seed, 500, 3_000) if options.fast else generate(options.seed)


def settings_of(simulator: str, length_s: float) -> str:
    """The platform's `bellhouse.toml`: as it comes, but for what a day of one minute needs.

    A breaker waits for as long in proportion, a call is given up and tried again sooner, no recipient has too much
    within a minute that is her whole day, and the device app's receipts are signed, so that push is confirmed.
    """
    return "\n".join(
        (
            f'simulator = "{simulator}"',
            "[limits]",
            "recipient_per_minute = 0",
            "[breaker]",
            f"open_ms = {round(length_s * 80)}",
            "[retry]",
            f"base_ms = {round(length_s * 8)}",
            "[providers.fcm]",
            "timeout_s = 3",
            f'receipt_secret = "{secrets.token_hex(16)}"',
            *(f"[providers.{name}]\ntimeout_s = 3" for name in ("sendgrid", "twilio", "vonage")),
            "[providers.smtp]",
            "timeout_s = 3",
            "connections = 16",
            "",
        )
    )


class _Demo:
    """One run."""

    def __init__(self, options: Options, folder: Path, clock: Clock, show: Show) -> None:
        self._options = options
        self._folder = folder
        self._clock = clock
        self._show = show
        self._breakers: list[str] = []

    async def run(self) -> Report:
        began = self._clock.monotonic()
        day = _day(self._options)
        self._show.say(f"A day of {len(day.events):,} events for {len(day.recipients):,} recipients.")
        async with self._started() as (world, house, client):
            await self._define(day, client)
            self._show.say(f"Bellhouse at {house.url}, the outside world at {world.url}; all set up.")
            return await self._through(day, world, house, client, self._clock.monotonic() - began)

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[tuple[World, Platform, Client]]:
        """Both programs and a caller of the API; all stopped at the end, however it comes."""
        world = await start_world(self._folder / "world", self._options.seed)
        try:
            house = await self._platform(settings_of(world.url, self._options.length_s))
            try:
                client = Client(house.url, house.key, self._clock)
                try:
                    yield world, house, client
                finally:
                    await client.close()
            finally:
                self._show.close()
                await house.stop()
        finally:
            await world.child.stop(5.0)

    async def _platform(self, settings: str) -> Platform:
        data = self._folder / "bellhouse"
        if not self._options.cluster:
            return await start_house(data, settings, self._clock)
        # What it stands on is not installed where only the embedded mode is.
        from bellhouse.demo.cluster import start_cluster  # noqa: PLC0415

        return await start_cluster(data, settings, self._clock, self._show.say)

    async def _define(self, day: Day, client: Client) -> None:
        """Templates before the types that use them, then everybody."""
        for template in day.templates:
            await client.put(f"/v1/templates/{template.name}", template.template)
        for kind in day.types:
            await client.put(f"/v1/types/{kind.name}", kind.type)
        people = [{"user_id": line.user_id, **line.recipient} for line in day.recipients]
        for start in range(0, len(people), _PEOPLE_AT_ONCE):
            await client.post("/v1/recipients/batch", {"recipients": people[start : start + _PEOPLE_AT_ONCE]}, object)

    async def _through(self, day: Day, world: World, house: Platform, client: Client, setup_s: float) -> Report:
        """The day, its end, and the account of it."""
        outside = SimulatorClient(world.url)
        outside.set_account(house.url)
        length_ms = round(self._options.length_s * 1000)
        timeline = CLUSTER_TIMELINE if self._options.cluster else TIMELINE
        disturber = Disturber(outside, house, self._clock, timeline, length_ms)
        disturber.usual()
        watch = Watch(client, self._clock, house.metrics)
        began = self._clock.monotonic()
        player = await self._play(day, client, disturber, watch)
        played = self._clock.monotonic()
        await asyncio.to_thread(disturber.heal)
        self._show.say("The day is over; waiting until nothing moves any more ...")
        await until_still(watch, outside, house.books, self._clock)
        letters = await replay_all(client, watch, outside, house.books, self._clock)
        settled = self._clock.monotonic()
        self._show.say("Comparing what was promised, what is recorded and what was received ...")
        recorded = await house.books.read()
        receipts = await asyncio.to_thread(_receipts, outside)
        story_of = most_interesting(recorded)
        return Report(
            seed=self._options.seed,
            setup_s=round(setup_s, 2),
            play_s=round(played - began, 2),
            settle_s=round(settled - played, 2),
            recipients=len(day.recipients),
            caller=_caller(day, player),
            faults=sorted(disturber.noted, key=lambda noted: noted.from_ms),
            roles=list(house.roles()),
            ended=house.ended,
            in_hands=sum(delivery.interrupted for one in recorded.values() for delivery in one.deliveries),
            by_channel=deliveries_by(recorded, "channel"),
            by_priority=deliveries_by(recorded, "priority"),
            by_type=notifications_by_type(recorded),
            by_provider=receipts_by_provider(receipts),
            suppressed=suppressions(recorded),
            waiting=left_waiting(recorded),
            unfinished=overdue(recorded, self._clock.now()),
            story=await client.get(f"/v1/notifications/{story_of}", dict[str, Any]) if story_of else {},
            dead_letters=letters,
            ledger=await watch.ledger(recount=True),
            oracle=judge(player.answers.ids, recorded, receipts),
            breakers=self._breakers,
            data=str(house.data) if self._options.keep else None,
        )

    async def _play(self, day: Day, client: Client, disturber: Disturber, watch: Watch) -> Player:
        """Send the day's events while the world is disturbed and somebody looks on."""
        length_ms = round(self._options.length_s * 1000)
        start = self._clock.now() + 200
        midnight = moment(day.events[0].at) // DAY_MS * DAY_MS
        span = max(DAY_MS, -(-(moment(day.events[-1].at) - midnight) // DAY_MS) * DAY_MS)
        player = Player(day, Pace(midnight, start, length_ms, span), client, self._clock)
        playing = asyncio.create_task(player.play())
        looking = asyncio.create_task(self._look(start, length_ms, player, disturber, watch))
        try:
            while not playing.done():
                share = (player.day_now - start) / length_ms
                since = max(0, self._clock.now() - start)
                await asyncio.to_thread(disturber.step, share, since)
                await asyncio.wait({playing}, timeout=_STEP_S)
        finally:
            looking.cancel()
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        await playing
        return player

    async def _look(self, start: int, length_ms: int, player: Player, disturber: Disturber, watch: Watch) -> None:
        while True:
            with suppress(Refusal):
                reading = await watch.look()
                self._note_breakers(reading)
                player.hold(back=reading.behind > _BEHIND)
                share = max(0.0, (player.day_now - start) / length_ms)
                self._show.look(share, player.answers.asked, reading, disturber.current)
            await self._clock.sleep(_LOOK_S)

    def _note_breakers(self, reading: Reading) -> None:
        """Every change of a breaker that was seen, such as `sendgrid open`."""
        for breaker in reading.breakers:
            text = f"{breaker.provider} {breaker.state}"
            before = next((each for each in reversed(self._breakers) if each.startswith(f"{breaker.provider} ")), None)
            if text != (before or f"{breaker.provider} closed"):
                self._breakers.append(text)


def _caller(day: Day, player: Player) -> Caller:
    answers = player.answers
    return Caller(
        events=answers.asked,
        accepted=answers.accepted,
        repeats=answers.repeats,
        refused=dict(answers.refused.most_common()),
        unanswered=answers.unanswered,
        expected=expected(day),
        single_ms=spread(answers.single_ms),
        batch_ms=spread(answers.batch_ms),
    )


def _receipts(outside: SimulatorClient) -> Sequence[Receipt]:
    return [msgspec.convert(receipt, Receipt) for receipt in outside.receipts()]
