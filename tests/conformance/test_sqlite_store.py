"""The embedded store and log keep the ports' promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.app.gauges import oldest_of
from bellhouse.ports.log import GROUP_OF, Position
from bellhouse.ports.store.deliver import Settlement
from bellhouse.testing.lever_suite import LeverSuite
from bellhouse.testing.records import NOON, acceptance, notification, outcome, routed
from bellhouse.testing.store_suite import NORMAL, PUSH


class House(SqliteStore):
    """A store that can be opened once more beside itself, as another process would."""

    def __init__(self, path: Path, opened: list["House"]) -> None:
        super().__init__(path, LocalDoorbell())
        self._path = path
        self._opened = opened
        opened.append(self)

    async def records(self, topic: str) -> list[bytes]:
        return [record.value for record in await self.log.poll(topic, 0, 10_000)]

    async def reopen(self) -> "House":
        return House(self._path, self._opened)


class TestSqliteStore(LeverSuite):
    @pytest.fixture
    async def house(self, tmp_path: Path) -> AsyncIterator[House]:
        opened: list[House] = []
        House(tmp_path / "bellhouse.db", opened)
        yield opened[0]
        for house in opened:
            house.close()

    # --- what holds where the log is part of the store ---

    async def test_a_position_is_kept_and_never_goes_back(self, house: House) -> None:
        _, items = await self._accepted(house, 2)
        group = GROUP_OF[NORMAL]
        await house.route.decide([routed(items[0])], NOON, [Position(group, NORMAL, 2)])
        await house.route.decide([routed(items[1])], NOON, [Position(group, NORMAL, 1)])
        house = await house.reopen()
        assert await house.log.position(group, NORMAL) == 2

    async def test_outcomes_move_the_position(self, house: House) -> None:
        (claim,) = await self._claims(house)
        expired = outcome(claim, "expired", previous="waiting")
        await house.deliver.settle(Settlement([expired], done=[Position(GROUP_OF[PUSH], PUSH, 1)]))
        assert await house.log.position(GROUP_OF[PUSH], PUSH) == 1

    async def test_the_oldest_record_of_each_topic_is_known(self, house: House) -> None:
        _, items = await self._accepted(house)
        assert oldest_of(await house.log.oldest()) == {("route", "normal"): NOON}
        await house.route.decide([routed(items[0])], NOON, [Position(GROUP_OF[NORMAL], NORMAL, 1)])
        assert oldest_of(await house.log.oldest()) == {("deliver", "normal"): NOON}

    async def test_finished_records_are_trimmed_and_offsets_go_on(self, house: House) -> None:
        tenant, items = await self._accepted(house, 5)
        group = GROUP_OF[NORMAL]
        await house.route.decide([routed(item) for item in items], NOON, [Position(group, NORMAL, 5)])
        assert await house.log.trim(100) > 0
        found = await house.recipients.get_recipient(tenant, "u0")
        assert found is not None
        await house.ingest.accept([acceptance(notification(tenant, found[0]))], NOON)
        polled = await house.log.poll(NORMAL, 5, 10)
        assert [record.offset for record in polled] == [6]

    async def test_lag_is_what_a_group_has_not_finished(self, house: House) -> None:
        _, items = await self._accepted(house, 3)
        await house.route.decide([routed(items[0])], NOON, [Position(GROUP_OF[NORMAL], NORMAL, 1)])
        lags = {lag.topic: lag.lag for lag in await house.log.lags()}
        assert (lags[NORMAL], lags[PUSH]) == (2, 1)

    # --- what holds where a lane has one process ---

    async def test_an_intent_without_outcome_is_found_by_the_next_process(self, house: House) -> None:
        claims = await self._claims(house, 2)
        await house.deliver.begin(PUSH, claims, 0, NOON)
        house = await house.reopen()
        intents = await house.deliver.open_intents(PUSH)
        assert [set(intent.deliveries) for intent in intents] == [{claim.delivery.id for claim in claims}]
        assert await self._counts(house) == {"in_flight": 2}

    async def test_an_intent_names_only_what_is_not_settled_yet(self, house: House) -> None:
        claims = await self._claims(house, 2)
        await house.deliver.begin(PUSH, claims, 0, NOON)
        await house.deliver.settle(Settlement([outcome(claims[0], "waiting", again_at=NOON + 1)]))
        await house.due.release_due(NOON + 1, 10)
        again = (await self._polled(house))[2]
        await house.deliver.begin(PUSH, [again], 0, NOON)
        house = await house.reopen()
        intents = await house.deliver.open_intents(PUSH)
        assert [list(zip(intent.deliveries, intent.steps, strict=True)) for intent in intents] == [
            [(claims[1].delivery.id, 0)],
            [(again.delivery.id, 1)],
        ]

    async def test_an_intent_to_send_nothing_is_not_noted(self, house: House) -> None:
        claims = await self._claims(house)
        item = claims[0].notification
        await house.ingest.cancel(item.tenant, item.id, NOON, "caller")
        assert await house.deliver.begin(PUSH, claims, 0, NOON) == (0, {claims[0].delivery.id})
        assert await house.deliver.open_intents(PUSH) == []
