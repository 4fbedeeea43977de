"""A house in trouble, as the boards show it through a real Prometheus, and as `bellhouse top` shows it."""

import math
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from bellhouse.engines.asking import ask
from bellhouse.monitoring.boards import BOARDS
from bellhouse.monitoring.boards.asking import asked
from bellhouse.monitoring.boards.board import Board, Mark, Panel
from tests.acceptance.waiting import wait_until
from tests.monitoring.trouble import SCRAPE_S, Watched, trouble

_PATIENCE_S = 45.0
"""The exporter looks every five seconds, and the killed process has to come back."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One house in trouble for all boards."""
    with trouble(tmp_path_factory.mktemp("boards")) as running:
        yield running


def panels() -> Iterator[Any]:
    for board in BOARDS:
        yield from (pytest.param(board, panel, id=f"{board.uid}: {panel.title}") for panel in board.panels)


def answer(watched: Watched, board: Board, expr: str, *, at_once: bool) -> list[tuple[dict[str, str], list[float]]]:
    """The series with a figure in them, as Grafana would get them."""
    query = asked(expr, board, watched.seen_s, SCRAPE_S, SCRAPE_S)
    found = watched.now(query) if at_once else watched.over_time(query)
    return [(labels, values) for labels, values in found if any(map(math.isfinite, values))]


@pytest.mark.parametrize(("board", "panel"), list(panels()))
def test_every_query_of_a_panel_returns_data(watched: Watched, board: Board, panel: Panel) -> None:
    at_once = panel.kind in ("stat", "bars")
    for query in panel.queries:
        found = wait_until(
            lambda expr=query.expr: answer(watched, board, expr, at_once=at_once), _PATIENCE_S, query.expr
        )
        named = re.findall(r"\{\{(\w+)\}\}", query.legend)
        assert all(any(labels.get(label) for label in named) for labels, _ in found) or not named, query
        assert all(any(labels.get(label) for labels, _ in found) for label in named), query


@pytest.mark.parametrize(("board", "mark"), [(board, mark) for board in BOARDS for mark in board.marks])
def test_a_process_that_was_started_again_is_marked(watched: Watched, board: Board, mark: Mark) -> None:
    def ages() -> list[float]:
        found = answer(watched, board, mark.expr, at_once=False)
        return next((values for labels, values in found if labels["role"] == "bulk"), [])

    wait_until(lambda: any(later < earlier for earlier, later in pairwise(ages())), _PATIENCE_S, ages)


def test_the_choices_of_providers_are_those_that_are_there(watched: Watched) -> None:
    for variable in {one.name: one for board in BOARDS for one in board.variables if one.from_metric}.values():
        values = ask(
            f"{watched.prometheus.url}/api/v1/label/{variable.name}/values", {"match[]": variable.from_metric}
        )["data"]
        assert {"fcm", "sendgrid", "smtp", "twilio", "vonage"} <= set(values)


def test_what_is_wrong_can_be_seen_on_the_boards(watched: Watched) -> None:
    breakers = [panel for board in BOARDS for panel in board.panels if panel.title == "Circuit Breaker Status"]
    expr = breakers[0].queries[0].expr

    def states() -> dict[str, float]:
        return {labels["provider"]: values[-1] for labels, values in answer(watched, BOARDS[1], expr, at_once=False)}

    wait_until(lambda: states()["twilio"] == 1, _PATIENCE_S, states)
    assert states()["vonage"] == 0


# --- bellhouse top ---


def test_top_prints_one_frame_for_scripts(watched: Watched) -> None:
    def frame() -> Any:
        found = watched.house.cli_json("top", "--interval", "1")
        providers = {(one["channel"], one["provider"]): one for one in found["providers"]}
        seen = providers["sms", "twilio"]["breaker"] == "open" and found["ledger_imbalance"] == 0
        return seen and {one["role"] for one in found["processes"]} == {"api", "bulk"} and found

    found = wait_until(frame, _PATIENCE_S)
    assert found["step"] == "open"
    assert found["alerts"] is None
    assert sum(one["received_per_s"] for one in found["priorities"]) > 0
    channels = {one["channel"]: one for one in found["channels"]}
    assert channels["push"]["success"] < 95
    assert channels["in_app"]["success"] == 100
    assert channels["in_app"]["p99_s"] > 0
    assert all(one["memory_bytes"] > 1e7 and one["cores"] > 0 for one in found["processes"])
    assert found["figures_age_s"] < 60


def test_top_asks_a_prometheus_for_all_figures_and_the_alerts(watched: Watched) -> None:
    url = watched.prometheus.url

    def frame() -> Any:
        found = watched.house.cli_json("top", "--prometheus", url)
        sent = any(one["attempts_per_s"] > 0 for one in found["channels"])
        firing = {one["name"] for one in found["alerts"] if one["state"] == "firing"}
        return sent and firing >= {"Watchdog", "ProviderCircuitOpen"} and found

    found = wait_until(frame, _PATIENCE_S)
    assert (found["window_s"], found["unreachable"]) == (60, [])
    assert all(one["summary"] and one["severity"] for one in found["alerts"])
    assert {one["breaker"] for one in found["providers"] if one["provider"] == "twilio"} == {"open"}
    both = watched.house.cli_json("top", "--url", watched.house.url, "--prometheus", url, "--interval", "0.5")
    assert both["window_s"] < 30
    assert "Watchdog" in {one["name"] for one in both["alerts"]}


def test_top_names_the_processes_that_do_not_answer(watched: Watched) -> None:
    address = watched.house.url.removeprefix("http://")
    targets = ("--metrics", address, "--metrics", "127.0.0.1:1", "--interval", "0.2")
    found = watched.house.cli_json("top", *targets)
    assert {one["instance"] for one in found["processes"]} == {address}
    (silent,) = found["unreachable"]
    assert silent.startswith("http://127.0.0.1:1/metrics: ")
    assert "No answer from" in watched.house.cli("top", "--once", *targets)
    nobody = watched.house.cli_json("top", "--metrics", "127.0.0.1:1", status=1)
    assert "Nobody gives figures" in nobody["error"]["message"]
    assert watched.house.cli_json("top", "--prometheus", watched.house.url, status=1)["error"]["remedy"]


def test_top_draws_itself_anew_in_a_terminal_until_it_is_interrupted(watched: Watched) -> None:
    terminal, inside = pty.openpty()
    command = [sys.executable, "-P", "-m", "bellhouse", "top", "--url", watched.house.url, "--interval", "0.2"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "140", "LINES": "50"}
    # Where the tests run in the background, Ctrl-C is ignored by whatever they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    running = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, env=environment)
    signal.signal(signal.SIGINT, before)
    os.close(inside)
    said = b""
    deadline = time.monotonic() + _PATIENCE_S
    try:
        while said.count(b"breaker") < 3:
            assert time.monotonic() < deadline, said
            if select.select([terminal], [], [], 1)[0]:
                said += os.read(terminal, 65_536)
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
    finally:
        running.kill()
        running.wait()
        os.close(terminal)
    assert b"twilio" in said
