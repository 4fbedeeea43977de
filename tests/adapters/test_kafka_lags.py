"""Who asks whether a cluster answers takes few threads, however long it does not."""

import asyncio
import threading

import pytest
from tests.kafka_house import KafkaHouse

from bellhouse.adapters.log.kafka import KafkaConfig
from bellhouse.ports.log import LogUnavailable
from bellhouse.testing.log_suite import NORMAL

ASKED_WITHIN_S = 10.0


async def test_those_who_probe_while_a_cluster_does_not_answer_wait_for_one_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = KafkaHouse(KafkaConfig(brokers=("127.0.0.1:1",), request_timeout_s=0.2))
    (observer,) = house.log._lags._observers
    answers, asked, inside = threading.Event(), [], asyncio.Event()
    loop, probe = asyncio.get_running_loop(), observer.probe

    def slowly() -> LogUnavailable | None:
        asked.append(threading.current_thread())
        loop.call_soon_threadsafe(inside.set)
        answers.wait(ASKED_WITHIN_S)
        return probe()

    monkeypatch.setattr(observer, "probe", slowly)
    gone = asyncio.create_task(house.log.probe([NORMAL]))
    await inside.wait()
    gone.cancel()
    waiting = [asyncio.create_task(house.log.probe([NORMAL])) for _ in range(20)]
    await asyncio.sleep(0)
    answers.set()
    said = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in said} == {LogUnavailable}
    assert len(asked) == 1
    with pytest.raises(LogUnavailable):
        await house.log.probe([NORMAL])
    assert len(asked) == 2, "an answer is not kept for whoever asks later"
    await house.close()
