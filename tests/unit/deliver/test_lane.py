"""A lane on a real store with a scripted provider: nothing that fails leaves a delivery behind or the lane standing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellhouse.adapters.cache.memory import MemoryCache
from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.deliver.accounts import Account, Accounts
from bellhouse.deliver.breaker import Breaker
from bellhouse.deliver.lane import Lane, LaneParts, LaneSettings
from bellhouse.deliver.levers import ReadPulled, nothing_pulled
from bellhouse.deliver.limits import Limiter
from bellhouse.deliver.prepare import Preparer
from bellhouse.deliver.recipient_rate import RecipientRate
from bellhouse.domain.attempt import Accepted, Throttled, Unknown, Verdict
from bellhouse.domain.catalogue import ChannelTemplate, NotificationType, Template
from bellhouse.domain.content import PushContent
from bellhouse.domain.delivery import Delivery, Detail
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.notification import Notification
from bellhouse.domain.retry import RetryPolicy
from bellhouse.domain.words import Channel
from bellhouse.ports.log import GROUP_OF, LogUnavailable, Position, deliveries_topic, notifications_topic
from bellhouse.ports.provider import Message, Report, Sheet
from bellhouse.ports.store.deliver import Claim, Settlement
from bellhouse.ports.store.errors import LeaseLost, StoreUnavailable
from bellhouse.ports.store.route import Routed
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry
from bellhouse.templates.render import Renderer
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import NOON, acceptance, found_tenant, notification, outcome, routed

PUSH = deliveries_topic("push", "normal")
NORMAL = notifications_topic("normal")

Answer = Callable[[Message], Verdict | Exception]


class Scripted:
    """A provider that answers as a test says."""

    def __init__(self, answer: Answer = lambda message: Accepted(), name: str = "fcm") -> None:
        self.answer = answer
        self.sheet = Sheet(name, ("push",), batch=100, price=0.0)
        self.calls: list[Message] = []
        self.check: Callable[[Message], Any] = lambda message: None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, batch: Sequence[Message], report: Report) -> None:
        for index, message in enumerate(batch):
            self.calls.append(message)
            answer = self.answer(message)
            if isinstance(answer, Exception):
                raise answer
            report(index, answer, 0.1)


class Letters(NullTelemetry):
    """Counts the dead letters that it is told of, by their reasons, and the records that were skipped, by topic."""

    def __init__(self) -> None:
        self.letters: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()

    def dead_lettered(self, channel: Channel, reason: str, n: int = 1) -> None:
        assert channel == "push"
        self.letters[reason] += n

    def unreadable(self, topic: str, n: int = 1) -> None:
        self.skipped[topic] += n


class Stage:
    """A lane with what it stands on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStore(path, LocalDoorbell())
        self.clock = ManualClock(NOON)
        self.provider = Scripted()
        self.renderer: Any = Renderer()
        self.limiter = Limiter(None, 0.0)
        self.breaker = Breaker("fcm", "push")
        self.settings = LaneSettings(settle_pause_s=0.0)
        self.recipient_rate = RecipientRate()
        self.pulled: ReadPulled = nothing_pulled
        self.telemetry = Letters()
        self.running: asyncio.Task[None] | None = None

    async def found(self, name: str = "acme", category: Any = "security") -> TenantNo:
        tenant, (self.recipient, *_) = await found_tenant(self.store.catalogue, self.store.recipients, name)
        await self.store.catalogue.put_type(tenant, NotificationType("greeting", category, channels=("push",)))
        return tenant

    async def planned(
        self, tenant: TenantNo, count: int = 1, template: str = "greeting", **words: Any
    ) -> list[Notification]:
        items = [notification(tenant, self.recipient, NOON, **words) for _ in range(count)]
        await self.store.ingest.accept([acceptance(item) for item in items], NOON)
        last = (await self.store.log.poll(NORMAL, 0, 10_000))[-1].offset
        decided = [_by_template(routed(item), template) for item in items]
        await self.store.route.decide(decided, NOON, [Position(GROUP_OF[NORMAL], NORMAL, last)])
        return items

    def lane(self) -> Lane:
        account = Account(self.provider, {"push": self.breaker}, self.limiter, self.clock)
        accounts = Accounts({"push": [account]}, self.store.catalogue, self.clock, NullLogbook())
        preparer = Preparer(self.store.catalogue, self.renderer)
        parts = LaneParts(
            self.store.deliver,
            self.store.log,
            self.clock,
            self.telemetry,
            NullLogbook(),
            preparer,
            accounts,
            RetryPolicy(),
            lambda: 0.5,
            self.settings,
            self.recipient_rate,
            pulled=lambda: self.pulled(),  # noqa: PLW0108  # a test may pull another
        )
        return Lane("push", "normal", parts)

    async def begin(self) -> Lane:
        lane = self.lane()
        await lane.start()
        self.running = asyncio.create_task(lane.run())
        return lane

    async def kill(self) -> None:
        """End the lane as a kill does: nothing of what it held in memory is left."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait([self.running])

    async def until(self, holds: Callable[[], Any]) -> None:
        """Let the lane work, the clock moved in between, until something holds."""
        async with asyncio.timeout(10):
            while True:
                answer = holds()
                if await answer if asyncio.iscoroutine(answer) else answer:
                    return
                assert self.running is not None
                if self.running.done():
                    self.running.result()
                await self.clock.advance(0.05)
                await self.store.due.release_due(self.clock.now(), 1000)
                await asyncio.sleep(0)

    async def states(self) -> dict[str, int]:
        ledger = await self.store.insights.ledger(None, self.clock.now(), True)
        assert [check for check in ledger.checks if not check.holds] == []
        return {line.state: line.counted for line in ledger.lines if line.level == "delivery" and line.counted}

    async def ended(self, expected: dict[str, int]) -> bool:
        lags = {lag.topic: lag.lag for lag in await self.store.log.lags()}
        return lags[PUSH] == 0 and await self.states() == expected

    def events(self) -> Counter[str]:
        rows = self.store.database.rows("SELECT detail FROM delivery_events")
        return Counter(msgspec.msgpack.decode(row[0]).get("reason") for row in rows)


def _by_template(item: Routed, template: str) -> Routed:
    made = tuple(msgspec.structs.replace(delivery, template=template) for delivery in item.deliveries)
    return Routed(item.notification, item.decision, made)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path / "bellhouse.db")
    yield made
    await made.kill()
    made.store.close()


async def test_what_is_planned_is_sent_and_the_position_follows(stage: Stage) -> None:
    await stage.planned(await stage.found(), 5)
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 5}))
    assert await stage.store.deliver.open_intents(PUSH) == []


async def test_a_record_that_nobody_can_read_is_left_out_and_seen_where_dead_letters_are(stage: Stage) -> None:
    with stage.store.database.write() as transaction:
        for _ in range(3):
            transaction.run("INSERT INTO log_deliveries_push_normal (record) VALUES (?)", (b"\xc1",))
    await stage.planned(await stage.found(), 2)
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 2}))
    await stage.until(lambda: stage.telemetry.letters)
    assert stage.telemetry.letters == {"dead_lettered:unreadable": 3}
    assert stage.telemetry.skipped == {"deliveries.push.normal": 3}


async def test_a_provider_that_cannot_even_check_a_message_leaves_no_delivery_behind(stage: Stage) -> None:
    def check(message: Message) -> None:
        raise ValueError("a fault of ours")

    stage.provider.check = check
    await stage.planned(await stage.found())
    await stage.begin()
    await stage.until(lambda: stage.ended({"dead_lettered": 1}))


async def test_an_answer_that_cannot_be_judged_leaves_no_delivery_behind(stage: Stage) -> None:
    answers: Iterator[Verdict] = iter([Throttled(10**400, "429"), Accepted(), Accepted(), Accepted()])
    stage.provider.answer = lambda message: next(answers)
    await stage.planned(await stage.found(), 2)
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 2}))


async def test_a_message_whose_rendering_breaks_is_a_dead_letter(stage: Stage) -> None:
    class Broken:
        def compiled(self, *_: object) -> object:
            raise RuntimeError("a fault of ours")

    stage.renderer = Broken()
    await stage.planned(await stage.found(), 2)
    await stage.begin()
    await stage.until(lambda: stage.ended({"dead_lettered": 2}))
    assert stage.events() == {"dead_lettered:not_rendered": 2}


async def test_a_type_that_has_changed_its_template_does_not_change_what_was_decided(stage: Stage) -> None:
    tenant = await stage.found()
    other: dict[Channel, ChannelTemplate] = {"push": ChannelTemplate(title="Bye", body="Bye {{ name }}")}
    await stage.store.catalogue.put_template(tenant, Template("parting", 0, {"en": other}))
    await stage.planned(tenant)
    await stage.planned(tenant, template="parting")
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 2}))
    assert [call.content.title for call in stage.provider.calls if isinstance(call.content, PushContent)] == [
        "Hello",
        "Bye",
    ]


async def test_a_wait_of_years_ends_with_the_delivery(stage: Stage) -> None:
    stage.provider.answer = lambda message: Throttled(10**30, "429", "contact")
    (item,) = await stage.planned(await stage.found())
    await stage.begin()
    await stage.until(lambda: stage.ended({"waiting": 1}))
    assert await stage.store.due.next_due() == item.expires_at + 1


async def test_the_story_of_a_wait_tells_until_when(stage: Stage) -> None:
    stage.provider.answer = lambda message: Throttled(5_000, "429", "contact")
    (item,) = await stage.planned(await stage.found())
    await stage.begin()
    await stage.until(lambda: stage.ended({"waiting": 1}))
    story = await stage.store.insights.story(None, item.id)
    assert story is not None
    told = [msgspec.msgpack.decode(event.detail, type=Detail).retry_at for event in story.events]
    assert told == [await stage.store.due.next_due()]


async def test_a_settler_that_fails_ends_the_lane(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def settle(settlement: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(stage.store.deliver, "settle", settle)
    await stage.planned(await stage.found())
    await stage.begin()
    with pytest.raises(ExceptionGroup):
        await stage.until(lambda: False)


async def test_a_lane_outlives_a_store_that_cannot_be_read_or_written(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.planned(await stage.found(), 3)
    down = {"polling": 2, "beginning": 2, "settling": 2}
    deliver, log = stage.store.deliver, stage.store.log

    def failing(name: str, work: Any) -> Any:
        async def fails(*given: Any) -> Any:
            if down[name]:
                down[name] -= 1
                raise StoreUnavailable("io", "wait")
            return await work(*given)

        return fails

    monkeypatch.setattr(log, "poll", failing("polling", log.poll))
    monkeypatch.setattr(deliver, "begin", failing("beginning", deliver.begin))
    monkeypatch.setattr(deliver, "settle", failing("settling", deliver.settle))
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 3}))
    assert len(stage.provider.calls) == 3


async def test_a_lane_that_lost_its_lease_while_the_log_is_away_too_joins_again_when_it_is_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.planned(await stage.found(), 3)
    down = {"beginning": 1, "rejoining": 2}
    deliver = stage.store.deliver
    lane = stage.lane()
    begin, rejoin = deliver.begin, lane._reader.rejoin

    async def loses_its_lease(*given: Any) -> Any:
        down["beginning"] -= 1
        if down["beginning"] == 0:
            raise LeaseLost
        return await begin(*given)

    async def cannot_ask() -> None:
        down["rejoining"] -= 1
        if down["rejoining"] >= 0:
            raise LogUnavailable("io", "no broker answers")
        await rejoin()

    monkeypatch.setattr(deliver, "begin", loses_its_lease)
    await lane.start()
    monkeypatch.setattr(lane._reader, "rejoin", cannot_ask)
    stage.running = asyncio.create_task(lane.run())
    await stage.until(lambda: stage.ended({"sent": 3}))
    assert down["rejoining"] == -1
    assert len(stage.provider.calls) == 3


async def test_a_tenant_alone_has_the_whole_window_also_after_another_was_served(stage: Stage) -> None:
    stage.settings = LaneSettings(settle_pause_s=0.0, window=20, batch=10)
    acme, globex = await stage.found(), await stage.found("globex")
    await stage.planned(globex, 1)
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 1}))
    await stage.planned(acme, 100)
    await stage.until(lambda: stage.ended({"sent": 101}))
    assert stage.events() == {"sent:accepted": 101}


async def test_a_tenant_beyond_its_share_is_held_seldom(stage: Stage) -> None:
    """The backlog of a big tenant does not go round and round while others send too."""
    stage.settings = LaneSettings(settle_pause_s=0.0, window=20, batch=10)
    acme, globex = await stage.found(), await stage.found("globex")
    gate = asyncio.Event()

    async def send(batch: Sequence[Message], report: Report) -> None:
        await gate.wait()
        for index in range(len(batch)):
            report(index, Accepted(), 0.1)

    stage.provider.send = send  # type: ignore[method-assign]  # a provider that takes its time
    await stage.planned(globex, 1)
    await stage.planned(acme, 200)
    await stage.begin()
    for _ in range(40):
        await stage.clock.advance(0.1)
        await stage.store.due.release_due(stage.clock.now(), 1000)
    assert stage.events()["waiting:quota"] < 2 * 190
    gate.set()
    await stage.until(lambda: stage.ended({"sent": 201}))


async def test_a_lane_at_its_rate_polls_what_it_may_send_and_no_more(stage: Stage) -> None:
    stage.limiter = Limiter(20.0, 0.0)
    await stage.planned(await stage.found(), 60)
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 60}))
    assert stage.events() == {"sent:accepted": 60}


async def test_a_long_pause_does_not_hold_up_the_drain(stage: Stage) -> None:
    stage.limiter = Limiter(None, 0.0)
    stage.limiter.throttled(0.0, 3_600.0)
    lane = await stage.begin()
    await stage.clock.advance(0.5)
    lane.drain()
    assert stage.running is not None
    await stage.clock.advance(1.0)
    async with asyncio.timeout(5):
        await stage.running


async def test_what_is_too_much_for_its_recipient_waits_unspent_for_its_minute(stage: Stage) -> None:
    stage.recipient_rate = RecipientRate(MemoryCache(stage.clock), 2)
    await stage.planned(await stage.found(), 5)
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 2, "waiting": 3}))
    await stage.clock.advance(60)
    await stage.until(lambda: stage.ended({"sent": 4, "waiting": 1}))
    await stage.clock.advance(60)
    await stage.until(lambda: stage.ended({"sent": 5}))
    assert stage.events() == {"sent:accepted": 5, "waiting:recipient_rate": 3}
    assert {message.attempt for message in stage.provider.calls} == {1}


async def test_what_could_not_be_noted_does_not_count_against_its_recipient_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, failures = stage.store.deliver.begin, iter(range(3))

    async def fail_at_first(*arguments: Any) -> Any:
        if next(failures, None) is not None:
            raise StoreUnavailable("disk_full", "Make room")
        return await begin(*arguments)

    monkeypatch.setattr(stage.store.deliver, "begin", fail_at_first)
    stage.recipient_rate = RecipientRate(MemoryCache(stage.clock), 10)
    await stage.planned(await stage.found(), 10)
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 10}))
    assert stage.events() == {"sent:accepted": 10}


async def test_an_outcome_that_stays_unknown_is_not_tried_for_ever(stage: Stage) -> None:
    stage.breaker.force("closed", NOON)
    stage.provider.answer = lambda message: Unknown("no answer", "timeout")
    await stage.planned(await stage.found(category="security"))
    await stage.begin()
    await stage.until(lambda: stage.ended({"failed": 1}))
    assert len(stage.provider.calls) == RetryPolicy().max_attempts


async def test_a_delivery_that_ends_its_process_each_time_is_left_alone_at_last(stage: Stage) -> None:
    await stage.planned(await stage.found(category="security"))
    for _ in range(RetryPolicy().max_attempts):
        called = asyncio.Event()
        stage.provider.send = partial(_never, called)  # type: ignore[method-assign]  # the call that ends the process
        await stage.begin()
        await stage.until(called.is_set)
        await stage.kill()
    await stage.begin()
    await stage.until(lambda: stage.ended({"failed": 1}))


async def _never(called: asyncio.Event, batch: Sequence[Message], report: Report) -> None:
    called.set()
    await asyncio.Event().wait()


async def test_two_records_of_one_delivery_are_told_apart_after_a_kill(stage: Stage) -> None:
    """A retry can be in flight while the batch of its first attempt still holds the position back."""
    tenant = await stage.found()
    await stage.planned(tenant)
    (record,) = await stage.store.log.poll(PUSH, 0, 10)
    first = msgspec.msgpack.decode(record.value, type=Delivery)
    claim = _claim(first)
    await stage.store.deliver.begin(PUSH, [claim], 0, NOON)
    retry = outcome(claim, "waiting", NOON, again_at=NOON)
    await stage.store.deliver.settle(Settlement([retry]))
    (_, again) = await stage.store.log.poll(PUSH, 0, 10)
    await stage.store.deliver.begin(PUSH, [_claim(msgspec.msgpack.decode(again.value, type=Delivery))], 0, NOON)
    assert await stage.states() == {"in_flight": 1}
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 1}))
    assert await stage.store.deliver.open_intents(PUSH) == []
    assert stage.events()["unknown:interrupted"] == 1


def _claim(delivery: Delivery) -> Claim:
    return Claim(delivery, msgspec.msgpack.decode(delivery.notification, type=Notification))
