"""Drills as a person runs them: two of them in full, and what is said of wrong names."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bellhouse.drills.catalogue import NAMES, SCENARIOS, named
from bellhouse.drills.scenario import Scenario
from bellhouse.drills.stage import SCALE
from bellhouse.monitoring import alerts
from bellhouse.ops.doctor.causes import NAMES as CAUSES


def bellhouse(*arguments: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-P", "-m", "bellhouse", "drill", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def test_two_drills_end_with_the_alert_the_cause_the_recovery_and_a_balanced_ledger(tmp_path: Path) -> None:
    page = tmp_path / "drills.md"
    done = bellhouse("provider-outage", "all-providers-down", "--json", "--report", str(page), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert [one["name"] for one in report["results"]] == ["provider-outage", "all-providers-down"]
    assert all(one["in_time"] and one["named_right"] and one["balanced"] for one in report["results"]), report
    assert "| all-providers-down | AllProvidersDown (critical) |" in page.read_text()


def test_the_tour_calls_the_pager_names_where_to_look_and_ends_by_itself() -> None:
    command = (sys.executable, "-P", "-m", "bellhouse", "ops-demo")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("/alerts", "/#/alerts", "docs/runbooks/all-providers-down.md", "bellhouse top --data"):
        assert word in done.stdout
    fired, resolved = "[pager] FIRING AllProvidersDown", "[pager] resolved AllProvidersDown"
    assert done.stdout.index(fired) < done.stdout.index("Lever: ") < done.stdout.index(resolved)


def test_an_interrupt_leaves_nothing_running() -> None:
    command = (sys.executable, "-P", "-m", "bellhouse", "drill", "provider-outage")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        said = next((line for line in running.stdout if "all under load" in line), "")
        assert said
        started = psutil.Process(running.pid).children(recursive=True)
        assert started
        running.send_signal(signal.SIGINT)
        assert running.wait(90) == 130
    _, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []


def test_a_drill_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    done = bellhouse("nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no drill nothing" in done.stderr
    assert "provider-outage" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("provider-outage", "--all")])
def test_it_must_be_said_which(arguments: tuple[str, ...]) -> None:
    done = bellhouse(*arguments)
    assert done.returncode == 2
    assert "Which drill?" in done.stderr


def test_all_are_listed_with_what_they_break() -> None:
    drills = json.loads(bellhouse("--list", "--json").stdout)["drills"]
    assert [one["name"] for one in drills] == list(NAMES)
    assert all(one["breaks"] and one["mode"] in ("embedded", "cluster") for one in drills)
    assert "provider-outage" in bellhouse("--list").stdout


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_what_a_drill_expects_exists(scenario: Scenario) -> None:
    assert named([scenario.name]) == (scenario,)
    assert scenario.cause in CAUSES
    assert [one for one in alerts.named(scenario.alert) if one.severity == scenario.severity]
    assert scenario.promised_s(SCALE) < 120


def test_a_report_that_cannot_be_written_is_told_before_anything_is_started(tmp_path: Path) -> None:
    done = bellhouse("provider-outage", "--report", str(tmp_path / "nowhere" / "drills.md"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "Give paths that can be written" in done.stderr
