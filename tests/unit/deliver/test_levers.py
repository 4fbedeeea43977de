"""A lane and its accounts under levers: held unrendered, polled no more, in another order, at another rate."""

from typing import Any

from bellhouse.deliver.accounts import Account, Accounts
from bellhouse.deliver.breaker import Breaker
from bellhouse.deliver.cap import CappedLimiter
from bellhouse.deliver.levers import NOTHING_PULLED, LeverWatch, Pulled, pulled_of
from bellhouse.deliver.limits import Bucket, Limiter
from bellhouse.domain.levers import Lever, Levers, Selector
from bellhouse.outbox.held import HeldReleaser
from bellhouse.ports.levers import Held
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import NullLogbook
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import NOON
from tests.unit.deliver.test_lane import PUSH, Scripted, Stage, stage  # noqa: F401  # pytest finds the fixture here

TYPE = Selector(type="greeting")


def _pulled(*levers: Lever, now: int = NOON) -> Pulled:
    return pulled_of(Levers(1, levers), {}, now)


def _pause(selector: Selector, until: int = 0) -> Lever:
    return Lever("pause", selector.text, "", selector, "ops", NOON, "a bad link", until)


class Always:
    async def held(self) -> bool:
        return True


async def test_what_is_held_is_not_rendered_and_goes_out_when_the_brake_is_let_go(
    stage: Stage,  # noqa: F811  # the fixture
) -> None:
    class Broken:
        def compiled(self, *_: object) -> object:
            raise RuntimeError("it must not be asked")

    renderer, stage.renderer = stage.renderer, Broken()
    stage.pulled = lambda: _pause_of_type
    _pause_of_type = _pulled(_pause(TYPE))
    (item, *_) = await stage.planned(await stage.found(), 3)
    await stage.begin()
    await stage.until(lambda: stage.ended({"waiting": 3}))
    assert stage.events() == {"waiting:paused": 3}
    assert await stage.store.due.next_due() == item.expires_at + 1
    assert await stage.store.levers.held() == [Held(TYPE.text, "push", "normal")]
    await stage.kill()
    stage.renderer, stage.pulled = renderer, lambda: NOTHING_PULLED
    await stage.begin()
    releaser = HeldReleaser(
        stage.store.levers, lambda scope: False, lambda channel: None, Always(), stage.clock, NullLogbook()
    )
    await releaser.beat()
    await stage.until(lambda: stage.ended({"sent": 3}))


async def test_a_paused_campaign_waits_while_the_rest_of_its_type_goes_out(
    stage: Stage,  # noqa: F811  # the fixture
) -> None:
    spring = Selector(campaign="spring")
    pulled = _pulled(_pause(spring))
    stage.pulled = lambda: pulled
    tenant = await stage.found()
    await stage.planned(tenant, 3, campaign="spring")
    await stage.planned(tenant, 2, campaign="summer")
    await stage.planned(tenant, 2)
    await stage.begin()
    await stage.until(lambda: stage.ended({"waiting": 3, "sent": 4}))
    assert await stage.store.levers.held() == [Held(spring.text, "push", "normal")]


async def test_what_is_held_expires_in_its_time(stage: Stage) -> None:  # noqa: F811  # the fixture
    pulled = _pulled(_pause(TYPE))
    stage.pulled = lambda: pulled
    (item,) = await stage.planned(await stage.found())
    await stage.begin()
    await stage.until(lambda: stage.ended({"waiting": 1}))
    await stage.clock.advance((item.expires_at - NOON) / 1000)
    await stage.until(lambda: stage.ended({"expired": 1}))


async def test_a_lane_that_is_paused_as_a_whole_polls_nothing(stage: Stage) -> None:  # noqa: F811  # the fixture
    pulled = _pulled(_pause(Selector(channel="push")))
    stage.pulled = lambda: pulled
    await stage.planned(await stage.found(), 3)
    await stage.begin()
    for _ in range(50):
        await stage.clock.advance(0.1)
    assert {lag.topic: lag.lag for lag in await stage.store.log.lags()}[PUSH] == 3
    pulled = NOTHING_PULLED
    await stage.until(lambda: stage.ended({"sent": 3}))


# --- accounts ---


def _accounts(clock: ManualClock, pulled: Any) -> tuple[Accounts, list[Account]]:
    each = [
        Account(Scripted(name=name), {"push": Breaker(name, "push")}, Limiter(rate, 0.0), clock)
        for name, rate in (("one", 100.0), ("two", None))
    ]

    class NoBreakers:
        async def breakers(self) -> list[Any]:
            return []

        async def change_breaker(self, row: Any, expected: int) -> bool:
            return True

    return Accounts({"push": each}, NoBreakers(), clock, NullLogbook(), pulled), each


async def test_a_preferred_account_comes_first_and_the_configured_order_comes_back() -> None:
    pulled = NOTHING_PULLED
    accounts, _ = _accounts(ManualClock(NOON), lambda: pulled)
    pulled = _pulled(Lever("prefer", "push", "two", Selector("push")))
    await accounts.refresh()
    assert [account.name for account in accounts.of("push")] == ["two", "one"]
    pulled = NOTHING_PULLED
    await accounts.refresh()
    assert [account.name for account in accounts.of("push")] == ["one", "two"]


async def test_a_rate_that_is_set_holds_until_it_is_reset_to_the_configured_one() -> None:
    pulled = NOTHING_PULLED
    accounts, (one, two) = _accounts(ManualClock(NOON), lambda: pulled)
    assert accounts.rate("push") is None
    pulled = _pulled(Lever("rate", "one", "5"), Lever("rate", "two", "2.5"))
    await accounts.refresh()
    assert (one.limiter.rate, two.limiter.rate, accounts.rate("push")) == (5.0, 2.5, 7.5)
    pulled = NOTHING_PULLED
    await accounts.refresh()
    assert (one.limiter.rate, two.limiter.rate) == (100.0, None)


def test_a_rate_that_is_set_wins_over_the_limit_of_all_accounts() -> None:
    limiter = CappedLimiter(None, 0.0, 1.0, Bucket(2.0, 0.0))
    limiter.pull(100.0, 0.0)
    assert limiter.take(1_000, 10.0) > 50
    limiter.pull(None, 10.0)
    assert limiter.take(1_000, 20.0) <= 3


# --- the watch ---


class Levered:
    def __init__(self) -> None:
        self.rows: tuple[Lever, ...] = ()
        self.version = 0
        self.down = False

    async def levers(self, known: Levers | None = None) -> Levers:
        if self.down:
            raise StoreUnavailable("unreachable", "wait")
        return known if known is not None and known.version == self.version else Levers(self.version, self.rows)

    async def tenants(self) -> dict[Any, Any]:
        return {}

    def pull(self, *levers: Lever) -> None:
        self.rows, self.version = levers, self.version + 1


async def test_a_watch_is_the_same_object_until_something_changes_and_stays_while_the_store_is_away() -> None:
    store, clock = Levered(), ManualClock(NOON)
    watch = LeverWatch(store, store, clock, NullLogbook())  # type: ignore[arg-type]  # what it asks of a catalogue
    await watch.start()
    assert watch.now() is NOTHING_PULLED
    store.pull(_pause(TYPE, NOON + 60_000))
    await watch.once()
    pulled = watch.now()
    assert pulled.pauses_scope(TYPE.text)
    store.down = True
    await watch.once()
    assert watch.now() is pulled
    store.down = False
    await clock.advance(61)
    await watch.once()
    assert not watch.now().pauses


# --- what was held ---


class Holding:
    """A store that holds so many of each."""

    def __init__(self, counts: dict[Held, int]) -> None:
        self.counts = counts
        self.released: list[int] = []
        self.log_is_away = False

    async def held(self) -> list[Held]:
        return [held for held, count in self.counts.items() if count]

    async def release_held(self, held: Held, limit: int) -> int:
        if self.log_is_away:
            raise LogUnavailable("unreachable", "wait")
        looked = min(limit, self.counts[held])
        self.counts[held] -= looked
        self.released.append(looked)
        return looked


async def test_what_was_held_comes_back_in_a_ramp_and_never_under_a_brake_that_is_pulled() -> None:
    free, held = Held("channel=sms", "sms", "low"), Held("platform", "sms", "low")
    store = Holding({free: 2_000, held: 10})
    releaser = HeldReleaser(
        store, lambda scope: scope == "platform", lambda channel: None, Always(), ManualClock(NOON), NullLogbook()
    )
    while await releaser.release():
        pass
    assert store.released[:5] == [25, 50, 100, 200, 400]
    assert max(store.released) == 500
    assert store.counts == {free: 0, held: 10}


async def test_the_ramp_of_what_was_held_stands_still_while_its_log_is_away() -> None:
    store = Holding({Held("channel=sms", "sms", "low"): 100})
    releaser = HeldReleaser(
        store, lambda scope: False, lambda channel: None, Always(), ManualClock(NOON), NullLogbook()
    )
    store.log_is_away = True
    for _ in range(10):
        await releaser.release()
    store.log_is_away = False
    await releaser.release()
    await releaser.release()
    assert store.released == [25, 50]


async def test_what_was_held_takes_half_of_a_channels_rate_at_most() -> None:
    one, other = (Held(scope, "sms", "low") for scope in ("type=a", "type=b"))
    store = Holding({one: 100, other: 100})
    releaser = HeldReleaser(
        store, lambda scope: False, lambda channel: 80.0, Always(), ManualClock(NOON), NullLogbook()
    )
    for _ in range(4):
        await releaser.release()
    assert sum(store.released) <= 80 / 2
