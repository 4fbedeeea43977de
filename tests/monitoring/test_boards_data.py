"""Every query of every board, asked of a real Prometheus that has looked at a running house, is answered with data."""

import math
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
        named = [label for label in ("channel", "provider", "priority") if f"{{{{{label}}}}}" in query.legend]
        assert all(labels.get(label) for labels, _ in found for label in named), query


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
