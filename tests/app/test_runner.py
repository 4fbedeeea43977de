"""The runner: order of starts and stops, crashes that end the process, drains that are waited for and cut off."""

import asyncio

import pytest

from bellhouse.app.runner import CRASHED, CUT_OFF, Resource, Runner
from bellhouse.ports.service import MustEnd
from bellhouse.ports.telemetry import NullLogbook


class Scripted:
    """A service that tells what happens to it; `ending` says how its run ends."""

    def __init__(self, name: str, told: list[str], ending: str = "drained") -> None:
        self.name = name
        self._told = told
        self._ending = ending
        self._drained = asyncio.Event()

    async def start(self) -> None:
        self._told.append(f"start {self.name}")
        if self._ending == "no start":
            raise RuntimeError("no start")

    async def run(self) -> None:
        if self._ending == "raises":
            raise RuntimeError("broken")
        if self._ending == "must end":
            raise MustEnd("taken for dead")
        if self._ending == "raises several":
            raise ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("the first"), OSError("the second")])
        if self._ending == "returns":
            return
        await self._drained.wait()
        if self._ending == "deaf":
            await asyncio.Event().wait()
        self._told.append(f"drained {self.name}")

    def drain(self) -> None:
        self._drained.set()

    async def stop(self) -> None:
        self._told.append(f"stop {self.name}")


def runner(told: list[str], *endings: str, drain_timeout_s: float = 5.0) -> Runner:
    return Runner(
        [Scripted(name, told, ending) for name, ending in zip("abc", endings, strict=False)],
        drain_timeout_s,
        NullLogbook(),
    )


async def test_services_start_in_order_and_stop_in_reverse_after_all_are_drained():
    told: list[str] = []
    running = runner(told, "drained", "drained")
    assert await running.run(running.drain) == 0
    assert told == ["start a", "start b", "drained a", "drained b", "stop b", "stop a"]


@pytest.mark.parametrize("ending", ["raises", "returns"])
async def test_a_service_that_ends_by_itself_drains_the_others_and_fails_the_process(ending, caplog):
    told: list[str] = []
    running = runner(told, "drained", ending)
    assert await running.run(lambda: None) == CRASHED
    assert "drained a" in told


async def test_of_a_group_of_errors_each_is_told():
    notes: list[dict[str, object]] = []

    class Kept(NullLogbook):
        def note(self, level, event, **fields):
            notes.append(fields)

    await Runner([Scripted("a", [], "raises several")], 5.0, Kept()).run(lambda: None)
    assert {"error": "ValueError: the first; OSError: the second"} in notes


async def test_what_was_started_is_stopped_when_a_start_fails():
    told: list[str] = []
    with pytest.raises(RuntimeError, match="no start"):
        await runner(told, "drained", "no start", "drained").run(lambda: None)
    assert told == ["start a", "start b", "stop c", "stop b", "stop a"]


async def test_a_service_that_does_not_drain_is_cut_off_after_the_timeout():
    told: list[str] = []
    running = runner(told, "deaf", "drained", drain_timeout_s=0.01)
    assert await running.run(running.drain) == CUT_OFF
    assert told[-2:] == ["stop b", "stop a"]


async def test_a_process_that_must_end_waits_for_nothing_that_does_not_end_soon(monkeypatch):
    monkeypatch.setattr("bellhouse.app.runner._LAST_WORDS_S", 0.05)
    told: list[str] = []
    running = runner(told, "drained", "deaf", "must end", drain_timeout_s=600.0)
    async with asyncio.timeout(60.0):
        assert await running.run(lambda: None) == CRASHED
    assert told[-4:] == ["drained a", "stop c", "stop b", "stop a"]


async def test_the_second_drain_ends_at_once():
    told: list[str] = []
    running = runner(told, "deaf", drain_timeout_s=600.0)

    def twice() -> None:
        running.drain()
        running.drain()

    assert await running.run(twice) == CUT_OFF


async def test_a_resource_is_open_from_start_to_stop_and_closed_once():
    told: list[str] = []

    async def opened() -> None:
        told.append("open")

    resource = Resource("store", opened, lambda: told.append("closed"))
    running = Runner([resource], 1.0, NullLogbook())
    assert await running.run(running.drain) == 0
    await resource.stop()
    assert told == ["open", "closed"]
