"""What waits in the store is told whether the log answers or not."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bellhouse.app.gauges import GaugeSources, StoreGauges
from bellhouse.domain.ids import RecipientNo, TenantNo
from bellhouse.domain.levers import Lever, Levers, Selector
from bellhouse.domain.words import PRIORITIES, Priority
from bellhouse.ports.log import GROUP_OF, Lag, LogUnavailable, deliveries_topic, notifications_topic
from bellhouse.ports.store.providers import BreakerRow
from bellhouse.ports.store.waiting import Pending
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import NOON, notification, routed

NORMAL = notifications_topic("normal")
PUSH = deliveries_topic("push", "critical")


def pause(until: int = 0, **words: Any) -> Lever:
    selector = Selector(**words)
    return Lever("pause", selector.text, selector=selector, until=until)


class World:
    """A log, an outbox and due rows."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self.away = False
        self.behind = {NORMAL: 5, PUSH: 2}
        item = notification(TenantNo(1), RecipientNo(1), NOON - 3_000)
        (delivery,) = routed(item).deliveries
        self.first: dict[str, Sequence[bytes]] = {
            NORMAL: [msgspec.msgpack.encode(item)],
            PUSH: [msgspec.msgpack.encode(delivery)],
        }
        self.waiting: dict[Priority, Pending] = {}
        self.late: dict[Priority, int] = {}
        self.rows: tuple[Lever, ...] = ()
        self.forced: tuple[BreakerRow, ...] = ()

    @property
    def gauges(self) -> StoreGauges:
        parts: Any = self
        sources = GaugeSources(parts, parts, parts, parts, parts, self.clock, levers=parts)
        return StoreGauges(sources, parts, {})

    async def lags(self) -> Sequence[Lag]:
        if self.away:
            raise LogUnavailable("unreachable", "wait")
        return [Lag(topic, 0, GROUP_OF[topic], lag) for topic, lag in self.behind.items()]

    async def oldest(self) -> Mapping[str, Sequence[bytes]]:
        if self.away:
            raise LogUnavailable("unreachable", "wait")
        return self.first

    async def levers(self, known: Levers | None = None) -> Levers:
        return Levers(1, self.rows)

    async def breakers(self) -> Sequence[BreakerRow]:
        return self.forced

    async def pending(self) -> Mapping[Priority, Pending]:
        return self.waiting

    async def overdue(self, now: int) -> Mapping[Priority, int]:
        return {priority: at for priority, at in self.late.items() if at <= now}


async def test_the_backlog_grows_with_the_outbox_while_the_log_is_away() -> None:
    world = World()
    gauges = world.gauges
    assert (await gauges.store()).ingest_backlog == 5
    world.away = True
    world.waiting = {"normal": Pending(7, NOON)}
    assert (await gauges.store()).ingest_backlog == 12
    world.away, world.behind = False, {NORMAL: 0}
    assert (await gauges.store()).ingest_backlog == 7


async def test_a_log_that_was_never_reached_hides_no_outbox() -> None:
    world = World()
    world.away = True
    world.waiting = {"high": Pending(7, NOON - 1_000)}
    assert (await world.gauges.store()).ingest_backlog == 7
    assert await world.gauges.oldest_pending() == {("route", "high"): NOON - 1_000}


async def test_what_waits_in_a_log_that_is_away_grows_older_beside_the_outbox() -> None:
    world = World()
    gauges = world.gauges
    known = {("route", "normal"): NOON - 3_000, ("deliver", "critical"): NOON - 3_000}
    assert await gauges.oldest_pending() == known
    world.away = True
    world.waiting = {"critical": Pending(1, NOON - 500), "normal": Pending(2, NOON - 100)}
    assert await gauges.oldest_pending() == known | {("route", "critical"): NOON - 500}
    assert await gauges.oldest_pending() == known | {("route", "critical"): NOON - 500}, "and stays known"
    world.away, world.first, world.behind = False, {}, {}
    assert await gauges.oldest_pending() == {("route", "critical"): NOON - 500, ("route", "normal"): NOON - 100}


async def test_what_the_log_counts_and_cannot_show_is_as_old_as_it_was_known_to_be() -> None:
    world = World()
    gauges = world.gauges
    await gauges.oldest_pending()
    world.first, world.behind = {}, {NORMAL: 5, PUSH: 0}
    assert await gauges.oldest_pending() == {("route", "normal"): NOON - 3_000}


async def test_what_is_overdue_waits_for_a_scheduler() -> None:
    world = World()
    world.first, world.behind = {}, {}
    world.late = {"low": NOON - 60_000, "high": NOON + 1}
    assert await world.gauges.oldest_pending() == {("due", "low"): NOON - 60_000}


async def test_levers_that_have_gone_back_by_themselves_are_not_counted() -> None:
    world = World()
    world.rows = (pause(channel="sms"), pause(tenant="acme"), pause(until=NOON - 1), Lever("rate", "fcm", "9"))
    world.forced = (BreakerRow("fcm", "push", forced="open"), BreakerRow("smtp", "email"))
    reading = await world.gauges.levers()
    assert reading.pulled == {"pause": 2, "rate": 1, "breaker": 1}
    assert reading.paused == {("sms", priority) for priority in PRIORITIES}, "a tenant's pause holds no lane whole"


async def test_what_is_paused_may_not_leave_and_has_not_waited() -> None:
    world = World()
    world.rows = (pause(channel="push", priority="critical"),)
    gauges = world.gauges
    assert await gauges.oldest_pending() == {("route", "normal"): NOON - 3_000}
    world.rows = ()
    assert ("deliver", "critical") in await gauges.oldest_pending()
    world.away, world.rows = True, (pause(),)
    assert ("deliver", "critical") in await gauges.oldest_pending(), "of a log that is away what was known is told"
