"""A running house is looked at while something is wrong with it, and the doctor names that."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bellhouse.app.examine import Request, examine
from bellhouse.ops.doctor.diagnose import Diagnosis, diagnose
from bellhouse.ops.doctor.facts import Facts
from tests.acceptance import people
from tests.acceptance.house import QUICK, House, World
from tests.acceptance.waiting import wait_until

# What is open stays so while it is looked at.
SLOWER = QUICK.replace("open_ms = 700", "open_ms = 20_000")


class Ward(House):
    """A house with somebody to write to."""

    def settle_in(self) -> None:
        people.define(self.client())
        self.person = people.person(self.client())

    def send(self, count: int, channel: str, kind: str = "order", **data: object) -> list[str]:
        body = {"user_id": self.person.id, "type": kind, "channels": [channel], "data": data or people.DATA}
        return [self.client().post("/v1/notifications", body)["id"] for _ in range(count)]

    def examined(self, **words: Any) -> Facts:
        return examine(Request(self.url, self.key, self.data, **{"window_s": 0.3, **words}))

    def diagnosis(self, **words: Any) -> Diagnosis:
        return diagnose(self.examined(**words))

    def names_first(self, cause: str, subject: str = "", **words: Any) -> None:
        """Wait until the doctor names a cause first: what a provider answers takes its moment to be known."""

        def named() -> bool:
            first = self.diagnosis(**words).causes[0]
            return first.name == cause and (not subject or subject in first.subjects)

        wait_until(named, 30.0, lambda: [(one.name, one.score, one.evidence) for one in self.diagnosis(**words).causes])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    running = World(tmp_path_factory.mktemp("world"))
    yield running
    running.stop()


@pytest.fixture
def ward(world: World, tmp_path: Path) -> Iterator[Ward]:
    """A house of its own for each fault: what was wrong a moment ago is looked at too."""
    world.fresh()
    with Ward(tmp_path / "bellhouse-data", world, 1, SLOWER) as house:
        house.settle_in()
        yield house


@pytest.fixture
def pair(world: World, tmp_path: Path) -> Iterator[Ward]:
    """The same in two processes."""
    world.fresh()
    with Ward(tmp_path / "bellhouse-data", world, 2, SLOWER) as house:
        house.settle_in()
        yield house


def test_a_house_in_which_nothing_is_wrong_is_healthy_and_everything_was_asked(ward: Ward) -> None:
    for channel in ("email", "push", "sms"):
        ward.send(2, channel)
    facts = ward.examined()
    assert diagnose(facts).healthy, diagnose(facts).causes
    assert facts.gaps == ()
    assert {one.role for one in facts.processes} == {"all"}
    assert all(one.alive for one in facts.processes)
    assert facts.breakers
    assert facts.server.ready
    assert facts.provider("sendgrid").status_page


def test_a_provider_that_is_out(ward: Ward, world: World) -> None:
    world.dial("sendgrid", outage="503")
    ward.send(8, "email")
    ward.names_first("ProviderOutage", "sendgrid")
    (first, *_) = ward.diagnosis(test_providers=True).causes
    assert any("503" in sentence for sentence in first.evidence)
    assert any("test call ended" in sentence for sentence in first.evidence)
    assert 'bellhouse provider prefer smtp --channel email --why "sendgrid is down"' in first.commands


def test_every_provider_of_a_channel_is_out(ward: Ward, world: World) -> None:
    world.dial("sendgrid", outage="503")
    world.dial("smtp", outage="refuse")
    ward.send(12, "email")
    ward.names_first("AllProvidersDown", "email")


def test_a_provider_that_throttles(ward: Ward, world: World) -> None:
    world.dial("twilio", errors={"20429": 1.0})
    ward.send(8, "sms")
    ward.names_first("ProviderThrottling", "twilio")


def test_contact_points_that_are_dead(ward: Ward, world: World) -> None:
    world.dial("fcm", errors={"unregistered": 1.0})
    for _ in range(6):
        ward.person = people.person(ward.client())
        ward.send(1, "push")
    ward.names_first("DeadTokens", "fcm")


def test_credentials_that_are_refused(ward: Ward, world: World) -> None:
    world.dial("smtp", errors={"auth_535": 1.0})
    world.dial("sendgrid", errors={"403": 1.0})
    ward.send(6, "email")
    ward.names_first("CredentialExpired", "sendgrid")


def test_an_account_without_money(ward: Ward, world: World) -> None:
    world.dial("twilio", outage="503")
    world.dial("vonage", errors={"9": 1.0})
    ward.send(8, "sms")
    ward.names_first("BalanceZero", "vonage")


def test_a_template_whose_version_is_bad(ward: Ward) -> None:
    ward.send(5, "email", who="Ada")
    ward.names_first("BadTemplateVersion", "words")


def test_a_breaker_that_somebody_holds_open(ward: Ward) -> None:
    ward.force("fcm", "open")
    ward.names_first("BreakerForced", "fcm")


def test_a_channel_that_somebody_has_paused(ward: Ward) -> None:
    ward.client().post("/v1/levers/pause", {"channel": "push", "why": "a test"})
    ward.send(3, "push")
    ward.names_first("PausedByOperator", "push")
    (first, *_) = ward.diagnosis().causes
    assert any("a test" in sentence for sentence in first.evidence)
    assert 'bellhouse resume --channel push --why "it may go on"' in first.commands


def test_a_log_that_speaks_of_unreadable_records(ward: Ward) -> None:
    line = {"message": "Unreadable record skipped", "topic": "notifications.normal", "error": "truncated"}
    ward.names_first("PoisonedRecord", log=[json.dumps(line)])


def test_a_process_that_lives_and_does_nothing(pair: Ward) -> None:
    pid = pair.pid_of("bulk")
    os.kill(pid, signal.SIGSTOP)
    try:
        pair.names_first("StuckWorker")
        assert any("bulk" in sentence for sentence in pair.diagnosis().causes[0].evidence)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_process_that_ends_again_and_again(pair: Ward) -> None:
    first = ""

    def named() -> bool:
        nonlocal first
        pair.kill("bulk")
        pair.pid_of("bulk")
        causes = pair.diagnosis(window_s=1.0).causes
        first = str([(one.name, one.score, one.evidence) for one in causes])
        return causes[0].name == "CrashLoop"

    wait_until(named, 60.0, lambda: first)


def test_the_command_says_it_in_words_and_as_json(ward: Ward, world: World) -> None:
    world.dial("sendgrid", outage="503")
    ward.send(8, "email")
    ward.names_first("ProviderOutage", "sendgrid")
    said = ward.cli("doctor", "circuit-open", "--window", "0.3", status=1)
    assert "ProviderOutage (certain): sendgrid" in said
    assert "docs/runbooks/circuit-open.md" in said
    answer = ward.cli_json("doctor", "--window", "0.3", status=1)
    assert (answer["cause"], answer["healthy"], answer["causes"][0]["rank"]) == ("ProviderOutage", False, 1)


def test_a_house_that_is_gone(world: World, tmp_path: Path) -> None:
    with Ward(tmp_path / "data", world, 1, SLOWER) as house:
        url, data = house.url, house.data
    found = diagnose(examine(Request(url, "", data, window_s=0.2)))
    assert found.causes[0].name == "NotAccepting"
    assert any("supervisor has ended" in sentence for sentence in found.causes[0].evidence)
    assert "NotAccepting" in house.cli("doctor", status=1)


def test_an_unknown_runbook_is_refused_with_those_that_there_are(ward: Ward) -> None:
    said = ward.cli("doctor", "no-such-page", status=2)
    assert "queue-backlog" in said
