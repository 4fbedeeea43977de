"""What becomes of appends whose producer is given up: each is answered, whatever the cluster does."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from tests.kafka_house import IMPATIENT_S, KafkaHouse

from bellhouse.adapters.log.kafka import KafkaConfig, publisher
from bellhouse.adapters.log.kafka.reach import Found
from bellhouse.ports.log import LogUnavailable
from bellhouse.testing.log_suite import NORMAL, eventually, records

ANSWERED_WITHIN_S = 30.0
NEVER_S = 250.0


@pytest.fixture
async def house() -> AsyncIterator[KafkaHouse]:
    house = KafkaHouse(KafkaConfig(brokers=("127.0.0.1:1",), request_timeout_s=IMPATIENT_S))
    yield house
    await house.close()


async def test_who_waits_for_room_at_a_producer_that_is_given_up_is_told(
    house: KafkaHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_IN_FLIGHT_BYTES", 1)
    line = house.publisher._publisher._line(NORMAL)
    on_its_way = asyncio.create_task(line.append(records([1])))
    waiting = asyncio.create_task(line.append(records([2])))
    await asyncio.sleep(0)
    line.retire()
    async with asyncio.timeout(ANSWERED_WITHIN_S):
        answers = await asyncio.gather(on_its_way, waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [LogUnavailable, LogUnavailable]


async def _fails_at_once_where_its_cluster_is(*found: Found) -> None:
    """What is on its way to a cluster that is found to be there, away or lost, one after another."""
    house = KafkaHouse(KafkaConfig(brokers=("127.0.0.1:1",), request_timeout_s=NEVER_S))
    line = house.publisher._publisher._line(NORMAL)
    line._reach = _answering(*found)
    on_its_way = asyncio.create_task(line.append(records([1])))
    await asyncio.sleep(0)
    line._unheard = NORMAL
    async with asyncio.timeout(ANSWERED_WITHIN_S):
        with pytest.raises(LogUnavailable, match="unreachable"):
            await on_its_way
        await house.close()


async def test_what_a_producer_that_has_lost_its_cluster_had_on_its_way_fails_at_once() -> None:
    await _fails_at_once_where_its_cluster_is("lost")


async def test_a_producer_whose_cluster_cannot_be_looked_for_goes_on_answering(house: KafkaHouse) -> None:
    line = house.publisher._publisher._line(NORMAL)
    line._reach = _answering(RuntimeError("no thread"), "there")
    line._unheard = NORMAL

    async def looked() -> bool:
        return any("no thread" in str(fields["error"]) for _, _, fields in house.logbook.notes)

    await eventually(looked)
    async with asyncio.timeout(ANSWERED_WITHIN_S):
        with pytest.raises(LogUnavailable):
            await house.publisher.append(records([1]))


async def test_a_producer_whose_cluster_is_away_is_looked_at_until_it_is_found_or_lost() -> None:
    await _fails_at_once_where_its_cluster_is("away", "away", "lost")


def _answering(*answers: Found | Exception) -> Any:
    """What says one after another where a client's cluster is, or raises."""
    left = list(answers)

    def look(*_: object) -> Found:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SimpleNamespace(look=look)
