"""The timeline of faults: each begins and ends once, and leaves the world as it was."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bellhouse.adapters.clock import SystemClock
from bellhouse.demo.faults import CLUSTER_TIMELINE, TIMELINE, Disturber, Fault
from bellhouse.demo.processes import World, start_world
from bellhouse.simulator.client import SimulatorClient


class Platform:
    """Remembers what was done to it."""

    def __init__(self) -> None:
        self.killed: list[str] = []
        self.restarted: list[str] = []
        self.may_come_back = threading.Event()
        self.may_come_back.set()

    def kill(self, role: str) -> int:
        self.killed.append(role)
        return 4_711

    def restart(self, engine: str) -> None:
        self.may_come_back.wait()
        self.restarted.append(engine)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorClient]:
    with asyncio.Runner() as runner:
        started: World = runner.run(start_world(Path(tmp_path_factory.mktemp("world")), seed=1))
        yield SimulatorClient(started.url)
        runner.run(started.child.stop())


def _dials(world: SimulatorClient, provider: str) -> dict[str, Any]:
    dials: dict[str, Any] = world.dials()[provider]
    return dials


@pytest.mark.parametrize(
    ("timeline", "killed", "restarted"),
    [
        (TIMELINE, ["bulk"], []),
        (CLUSTER_TIMELINE, ["relay", "router", "push worker", "scheduler"], ["kafka", "valkey", "postgres"]),
    ],
    ids=["embedded", "cluster"],
)
def test_every_dial_of_the_timeline_is_taken_and_everything_ends_as_usual(
    world: SimulatorClient, timeline: Sequence[Fault], killed: list[str], restarted: list[str]
) -> None:
    platform = Platform()
    disturber = Disturber(world, platform, SystemClock(), timeline)
    disturber.usual()
    usual = world.dials()
    for percent in range(101):
        disturber.step(percent / 100, percent * 10)
    disturber.heal()
    assert world.dials() == usual
    assert {noted.name for noted in disturber.noted} == {fault.name for fault in timeline}
    assert platform.killed == killed
    assert sorted(platform.restarted) == sorted(restarted)


def test_a_fault_is_on_between_its_beginning_and_its_end(world: SimulatorClient) -> None:
    fault = Fault("out", "it is out", 0.2, 0.4, "sendgrid", {"outage": "503"})
    disturber = Disturber(world, Platform(), SystemClock(), [fault])
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
        world, Platform(), SystemClock(), [Fault("x", "x", 0.0, 2.0, "fcm", {"errors": {"internal": 1}})]
    )
    disturber.step(0.5, 1)
    assert _dials(world, "fcm")["errors"] == {"internal": 1}
    disturber.heal()
    assert disturber.current == []
    assert _dials(world, "fcm")["errors"] == {}


def test_a_fault_lasts_no_longer_because_the_day_stands_still(world: SimulatorClient) -> None:
    fault = Fault("out", "it is out", 0.2, 0.4, "sendgrid", {"outage": "503"})
    disturber = Disturber(world, Platform(), SystemClock(), [fault], length_ms=1_000)
    disturber.step(0.2, 200)
    disturber.step(0.3, 399)
    assert disturber.current == [fault]
    disturber.step(0.3, 400)
    assert disturber.current == []


def test_the_day_goes_on_while_something_is_started_again(world: SimulatorClient) -> None:
    restart = Fault("restart", "it is away", 0.2, 0.21, act="restart", whom="kafka")
    platform = Platform()
    platform.may_come_back.clear()
    disturber = Disturber(world, platform, SystemClock(), [restart, Fault("k", "k", 0.3, 0.4, act="kill", whom="api")])
    disturber.step(0.2, 200)
    disturber.step(0.35, 350)
    assert platform.killed == ["api"]
    assert disturber.current[0] == restart
    platform.may_come_back.set()
    disturber.heal()
    assert platform.restarted == ["kafka"]
    assert disturber.current == []
