"""What a process's breakers take over from a store that forgets, and from answers that are late."""

from collections.abc import Awaitable, Callable, Sequence

import pytest

from bellhouse.deliver.accounts import Account, Accounts
from bellhouse.deliver.breaker import Breaker
from bellhouse.deliver.limits import Limiter
from bellhouse.domain.words import Channel
from bellhouse.ports.provider import Message, Report, Sheet
from bellhouse.ports.store.providers import BreakerReason, BreakerRow, Forced
from bellhouse.ports.telemetry import NullLogbook
from bellhouse.testing.clock import ManualClock


class Idle:
    """A provider that is never asked."""

    def __init__(self, name: str = "fcm") -> None:
        self.sheet = Sheet(name, ("push",), batch=100, price=0.0)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, batch: Sequence[Message], report: Report) -> None:
        raise AssertionError("nothing is sent here")


class Forgetful:
    """A BreakerStore that forgets what it is told to, and lets something happen before an answer arrives."""

    def __init__(self) -> None:
        self.rows: list[BreakerRow] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def breakers(self) -> Sequence[BreakerRow]:
        rows, meanwhile = list(self.rows), self.meanwhile
        self.meanwhile = None
        if meanwhile is not None:
            await meanwhile()
        return rows

    async def change_breaker(self, row: BreakerRow, expected_version: int) -> bool:
        if (self.rows[0].version if self.rows else 0) != expected_version:
            return False
        self.rows = [row]
        return True


class Logged(NullLogbook):
    """What the logbook was told of breakers."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []

    def breaker_changed(self, provider: str, channel: Channel, old: str, new: str, failures: int) -> None:
        self.changes.append((old, new))


class Process:
    """A process with one account whose breaker has opened for all."""

    def __init__(self) -> None:
        self.clock, self.store, self.logged = ManualClock(), Forgetful(), Logged()
        self.breaker = Breaker("fcm", "push")
        account = Account(Idle(), {"push": self.breaker}, Limiter(None, 0.0), self.clock)
        self.accounts = Accounts({"push": [account]}, self.store, self.clock, self.logged)

    async def open(self) -> None:
        self.breaker.failed(self.clock.now(), 5)
        await self.accounts.publish()


async def test_a_row_that_is_gone_closes_the_breaker_which_then_works_as_before() -> None:
    process = Process()
    await process.open()
    assert (process.breaker.state, process.store.rows[0].state) == ("open", "open")
    process.store.rows = []
    await process.accounts.refresh()
    assert process.breaker.allow(process.clock.now()) == "yes"
    assert process.logged.changes == [("open", "closed")]
    await process.open()
    assert process.store.rows[0].version == 1
    assert process.breaker.state == "open"


async def test_a_breaker_that_was_never_shared_is_not_closed_by_there_being_no_row() -> None:
    process = Process()
    process.breaker.failed(process.clock.now(), 5)
    await process.accounts.refresh()
    assert process.breaker.state == "open"


async def test_a_row_that_has_begun_anew_is_taken_over_though_its_version_is_lower() -> None:
    process = Process()
    for _ in range(3):
        await process.open()
        process.breaker.force("none", process.clock.now())
        await process.accounts.publish()
    assert process.breaker.version == 6
    process.store.rows = [BreakerRow("fcm", "push", "open", changed_at=process.clock.now(), version=1)]
    await process.accounts.refresh()
    assert (process.breaker.state, process.breaker.version) == ("open", 1)


async def test_an_answer_that_is_older_than_what_was_shared_meanwhile_changes_nothing() -> None:
    process = Process()
    process.store.meanwhile = process.open
    await process.accounts.refresh()
    assert (process.breaker.state, process.breaker.version) == ("open", 1)


@pytest.mark.parametrize("forced", ["none", "open"])
@pytest.mark.parametrize("reason", ["failures", "silent"])
async def test_who_is_passed_over_is_said_to_be_silent_only_where_that_opened_its_breaker(
    reason: BreakerReason, forced: Forced
) -> None:
    process = Process()
    others = Account(Idle("apns"), {"push": Breaker("apns", "push")}, Limiter(None, 0.0), process.clock)
    accounts = Accounts({"push": [*process.accounts.of("push"), others]}, process.store, process.clock, process.logged)
    now = process.clock.now()
    process.store.rows = [BreakerRow("fcm", "push", "open", forced, changed_at=now, version=1, reason=reason)]
    await accounts.refresh()
    with accounts.offer("push", "normal", 1) as offer:
        taken = offer.take((), ())
        assert taken is others
        kept = "silent" if (reason, forced) == ("silent", "none") else "breaker"
        assert offer.passed_over(taken, (), ()) == {"fcm": kept}
