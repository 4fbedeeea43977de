"""The timeline of faults: each begins and ends once, and leaves the world as it was."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bellhouse.adapters.clock import SystemClock
from bellhouse.demo.faults import TIMELINE, Disturber, Fault
from bellhouse.demo.processes import World, start_world
from bellhouse.simulator.client import SimulatorClient


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorClient]:
    with asyncio.Runner() as runner:
        started: World = runner.run(start_world(Path(tmp_path_factory.mktemp("world")), seed=1))
        yield SimulatorClient(started.url)
        runner.run(started.child.stop())


def _dials(world: SimulatorClient, provider: str) -> dict[str, Any]:
    dials: dict[str, Any] = world.dials()[provider]
    return dials


def test_every_dial_of_the_timeline_is_taken_and_everything_ends_as_usual(world: SimulatorClient) -> None:
    kills: list[int] = []
    disturber = Disturber(world, lambda: kills.append(1) or 4_711, SystemClock())
    disturber.usual()
    usual = world.dials()
    for percent in range(101):
        disturber.step(percent / 100, percent * 10)
    assert world.dials() == usual
    assert {noted.name for noted in disturber.noted} == {fault.name for fault in TIMELINE}
    assert kills == [1]
    assert disturber.killed == 4_711


def test_a_fault_is_on_between_its_beginning_and_its_end(world: SimulatorClient) -> None:
    fault = Fault("out", "it is out", 0.2, 0.4, "sendgrid", {"outage": "503"})
    disturber = Disturber(world, lambda: 0, SystemClock(), [fault])
    disturber.step(0.1, 100)
    assert _dials(world, "sendgrid")["outage"] == "none"
    disturber.step(0.25, 250)
    assert _dials(world, "sendgrid")["outage"] == "503"
    assert disturber.current == [fault]
    disturber.step(0.5, 500)
    assert _dials(world, "sendgrid")["outage"] == "none"
    assert [(noted.from_ms, noted.to_ms) for noted in disturber.noted] == [(250, 500)]


def test_healing_ends_what_is_still_going(world: SimulatorClient) -> None:
    disturber = Disturber(
        world, lambda: 0, SystemClock(), [Fault("x", "x", 0.0, 2.0, "fcm", {"errors": {"internal": 1}})]
    )
    disturber.step(0.5, 1)
    assert _dials(world, "fcm")["errors"] == {"internal": 1}
    disturber.heal()
    assert disturber.current == []
    assert _dials(world, "fcm")["errors"] == {}


def test_a_fault_lasts_no_longer_because_the_day_stands_still(world: SimulatorClient) -> None:
    fault = Fault("out", "it is out", 0.2, 0.4, "sendgrid", {"outage": "503"})
    disturber = Disturber(world, lambda: 0, SystemClock(), [fault], length_ms=1_000)
    disturber.step(0.2, 200)
    disturber.step(0.3, 399)
    assert disturber.current == [fault]
    disturber.step(0.3, 400)
    assert disturber.current == []
