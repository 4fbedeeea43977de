"""A lane beside other processes: what they are sending it waits for, what they have left it answers for, and what it
may have lost it polls anew."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellhouse.deliver.lane import Lane, LaneSettings
from bellhouse.deliver.prepare import open_record
from bellhouse.domain.ids import DeliveryId
from bellhouse.ports.store.deliver import Claim, Sending, Standings
from bellhouse.ports.store.errors import LeaseLost, StoreUnavailable
from tests.unit.deliver.test_lane import PUSH, Stage


class Neighbours:
    """A DeliverStore in which other processes are at work too."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.sending: Sending = "no"
        self.of: set[DeliveryId] | None = None
        """Of which deliveries; None for all."""
        self.lost = 0
        """How many beginnings are refused."""
        self.looks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def standings(self, claims: Sequence[Claim]) -> Standings:
        self.looks += 1
        known = await self._inner.standings(claims)
        return Standings(
            [
                msgspec.structs.replace(standing, sending=self.sending)
                if not standing.settled and (self.of is None or claim.delivery.id in self.of)
                else standing
                for claim, standing in zip(claims, known.standings, strict=True)
            ],
            known.facts,
            known.as_of,
        )

    async def begin(self, *given: Any) -> Any:
        if self.lost:
            self.lost -= 1
            raise LeaseLost
        return await self._inner.begin(*given)


class Shared(Stage):
    """A stage whose lane trusts, and is trusted, as a test says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.neighbours = Neighbours(self.store.deliver)
        self.is_trusted = asyncio.Event()
        self.is_trusted.set()

    def lane(self) -> Lane:
        lane = super().lane()
        parts = msgspec.structs.replace(lane._parts, store=self.neighbours, trusted=self._trusted)
        return Lane("push", "normal", parts)

    async def _trusted(self) -> None:
        await self.is_trusted.wait()

    async def done(self) -> int:
        """Up to where the topic is finished."""
        return {lag.topic: lag.lag for lag in await self.store.log.lags()}[PUSH]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Shared]:
    made = Shared(tmp_path / "bellhouse.db")
    yield made
    await made.kill()
    made.store.close()


async def test_what_another_process_is_sending_is_neither_sent_nor_finished_here(stage: Shared) -> None:
    stage.neighbours.sending = "elsewhere"
    await stage.planned(await stage.found(), 3)
    await stage.begin()
    await stage.until(lambda: stage.neighbours.looks > 4)
    assert stage.provider.calls == []
    assert await stage.done() == 3
    assert await stage.states() == {"waiting": 3}


async def test_it_is_sent_here_when_nobody_is_sending_it_any_more(stage: Shared) -> None:
    stage.neighbours.sending = "elsewhere"
    await stage.planned(await stage.found(), 3)
    await stage.begin()
    await stage.until(lambda: stage.neighbours.looks > 2)
    stage.neighbours.sending = "no"
    await stage.until(lambda: stage.ended({"sent": 3}))
    assert len(stage.provider.calls) == 3


async def test_a_window_full_of_what_others_are_sending_is_looked_at_again(stage: Shared) -> None:
    """As where a process was killed with its window full."""
    stage.settings = LaneSettings(settle_pause_s=0.0, window=10, batch=5)
    stage.neighbours.sending = "elsewhere"
    await stage.planned(await stage.found(), 12)
    await stage.begin()
    await stage.until(lambda: stage.neighbours.looks > 3)
    stage.neighbours.sending = "no"
    await stage.until(lambda: stage.ended({"sent": 12}))


async def test_what_a_dead_process_was_sending_is_unknown_and_then_follows_its_policy(stage: Shared) -> None:
    stage.neighbours.sending = "elsewhere"
    await stage.planned(await stage.found(), 2)
    await stage.begin()
    await stage.until(lambda: stage.neighbours.looks > 2)
    intent = await stage.store.deliver.begin(PUSH, await _claims(stage), 0, stage.clock.now())
    assert intent[0]
    stage.neighbours.sending = "interrupted"
    await stage.until(lambda: stage.events()["unknown:interrupted"] == 2)
    stage.neighbours.sending = "no"
    await stage.until(lambda: stage.events()["sent:accepted"] == 2)
    assert len(stage.provider.calls) == 2


async def test_what_others_are_sending_does_not_keep_the_rest_waiting(stage: Shared) -> None:
    first, *_ = await stage.planned(await stage.found(), 5)
    (held,) = [claim.delivery.id for claim in await _claims(stage) if claim.notification.id == first.id]
    stage.neighbours.sending, stage.neighbours.of = "elsewhere", {held}
    await stage.begin()
    await stage.until(lambda: stage.events()["sent:accepted"] == 4)
    assert await stage.done() == 5
    stage.neighbours.of = set()
    await stage.until(lambda: stage.ended({"sent": 5}))


async def test_a_lane_that_drains_leaves_what_others_are_sending_to_the_next_reader(stage: Shared) -> None:
    stage.neighbours.sending = "elsewhere"
    await stage.planned(await stage.found(), 3)
    lane = await stage.begin()
    await stage.until(lambda: stage.neighbours.looks > 1)
    lane.drain()
    assert stage.running is not None
    running = stage.running
    await stage.until(running.done)
    assert await stage.done() == 3


async def test_a_lane_that_lost_its_lease_polls_anew_and_sends_once(stage: Shared) -> None:
    stage.neighbours.lost = 3
    await stage.planned(await stage.found(), 5)
    await stage.begin()
    await stage.until(lambda: stage.ended({"sent": 5}))
    assert len(stage.provider.calls) == 5


async def test_a_lane_that_loses_its_lease_while_others_are_sending_forgets_nothing(stage: Shared) -> None:
    stage.neighbours.sending = "elsewhere"
    await stage.planned(await stage.found(), 3)
    await stage.begin()
    await stage.until(lambda: stage.neighbours.looks > 2)
    stage.neighbours.lost = 2
    stage.neighbours.sending = "no"
    await stage.until(lambda: stage.ended({"sent": 3}))


async def test_nothing_is_sent_while_the_others_may_not_trust_this_process(stage: Shared) -> None:
    stage.is_trusted.clear()
    await stage.planned(await stage.found(), 3)
    await stage.begin()
    for _ in range(20):
        await stage.clock.advance(0.1)
    assert stage.provider.calls == []
    assert await stage.states() == {"in_flight": 3}
    stage.is_trusted.set()
    await stage.until(lambda: stage.ended({"sent": 3}))


async def test_a_store_that_is_away_while_others_are_sending_is_asked_again(
    stage: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.neighbours.sending = "elsewhere"
    await stage.planned(await stage.found(), 3)
    await stage.begin()
    await stage.until(lambda: stage.neighbours.looks > 2)
    looking = stage.neighbours.standings
    away = [StoreUnavailable("io", "wait")] * 3

    async def fails(claims: Sequence[Claim]) -> Standings:
        if away:
            raise away.pop()
        return await looking(claims)

    monkeypatch.setattr(stage.neighbours, "standings", fails)
    stage.neighbours.sending = "no"
    await stage.until(lambda: stage.ended({"sent": 3}))
    assert len(stage.provider.calls) == 3


async def _claims(stage: Shared) -> list[Claim]:
    return [open_record(record.value) for record in await stage.store.log.poll(PUSH, 0, 1_000)]
