"""The boards say what they show, ask only for what exists, and are kept as Grafana reads them."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bellhouse.monitoring import slo
from bellhouse.monitoring.boards import BOARDS
from bellhouse.monitoring.boards.asking import asked
from bellhouse.monitoring.boards.board import Board, Panel, Query, metrics_of
from bellhouse.observability.catalogue import BY_NAME

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "monitoring" / "grafana"

BY_UID = {board.uid: board for board in BOARDS}

NAMED = {
    "notification_overview": {
        "Notifications/sec by Priority": "sum(rate(notifications_received_total[1m])) by (priority)",
        "Delivery Success Rate": (
            'sum(rate(notifications_sent_total{status="success"}[5m])) '
            "/ sum(rate(notifications_sent_total[5m])) * 100"
        ),
        "End-to-End Latency (p99)": None,
        "Queue Depth": "sum(kafka_consumer_lag) by (topic)",
    },
    "provider_health": {
        "Provider Success Rate": None,
        "Provider Latency (p95)": None,
        "Circuit Breaker Status": None,
    },
    "product": {},
    "cost_tracking": {"Daily SMS Cost": None, "Daily Email Cost": None},
}  # fmt: skip
"""What operators know the panels by; None where a query is narrowed by what is chosen on the board."""


def the_writer() -> ModuleType:
    """The script that writes the JSON."""
    spec = importlib.util.spec_from_file_location("boards_writer", ROOT / "deploy" / "monitoring" / "grafana.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def each_panel(board: Board) -> Iterator[pytest.param]:
    yield from (pytest.param(board, panel, id=f"{board.uid}: {panel.title}") for panel in board.panels)


def test_the_kept_boards_are_what_the_code_says() -> None:
    writer = the_writer()
    stale = [board.uid for board in BOARDS if writer.kept(board) != writer.text_of(board)]
    assert stale == [], "`make boards` writes them"
    assert {path.stem for path in (GRAFANA / "dashboards").glob("*.json")} == set(BY_UID)


def test_the_panels_that_operators_know_are_there_by_their_names() -> None:
    assert list(BY_UID) == list(NAMED)
    for uid, known in NAMED.items():
        panels = {panel.title: panel for panel in BY_UID[uid].panels}
        for title, query in known.items():
            assert title in panels, uid
            assert query is None or [one.expr for one in panels[title].queries] == [query]
    assert BY_UID["notification_overview"].refresh == "10s"


def test_a_breaker_s_states_are_shown_in_words() -> None:
    (panel,) = (panel for panel in BY_UID["provider_health"].panels if panel.title == "Circuit Breaker Status")
    assert [(word.value, word.text) for word in panel.words] == [(0, "Closed"), (1, "Open"), (2, "Half-open")]


@pytest.mark.parametrize(("board", "panel"), [one for board in BOARDS for one in each_panel(board)])
def test_a_panel_explains_itself_and_asks_only_for_what_exists(board: Board, panel: Panel) -> None:
    assert panel.says.endswith(".")
    assert len({one.title for one in board.panels}) == len(list(board.panels))
    for query in panel.queries:
        check_names(board, query)
        for name in metrics_of(query.expr):
            assert f"`{name}`: {BY_NAME[name].help}" in panel.help


def check_names(board: Board, query: Query) -> None:
    """Every metric, label and variable of a query exists."""
    expr = asked(query.expr, board, 3600, 15, 15)
    names = set(re.findall(r"\b([a-z][a-z0-9_]*)(?:\{|\[)", expr))
    families = set(metrics_of(query.expr)) | {"ALERTS"}
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in names if name not in families} <= families, query
    for name, matchers in re.findall(r"\b(?<!:)([a-z_]+)\{([^}]*)\}", expr):
        assert set(re.findall(r"(\w+)\s*=", matchers)) <= labels_of(name), query
    recorded = set(re.findall(r"\b\w+:[\w:]+", expr))
    assert recorded <= {rule.name for rule in slo.recordings()}, query
    known = {label for family in families for label in labels_of(family)} | {"le"} | (_OF_RULES if recorded else set())
    for grouped in re.findall(r"\b(?:by|on) ?\(([^)]*)\)", expr):
        assert set(re.split(r"[,\s]+", grouped.strip())) <= known, query
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= known, query


_OF_RULES = {"slo"} | {label for objective in slo.OBJECTIVES for label in objective.by}
_OF_ALERTS = {"alertname", "alertstate", "severity"}


def labels_of(name: str) -> set[str]:
    """The labels of a metric's series, or of Prometheus' own about alerts."""
    if name == "ALERTS":
        return _OF_ALERTS
    family = next(metrics_of(name))
    return {label.name for label in BY_NAME[family].labels} | ({"le"} if name != family else set())


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_choice_on_a_board_narrows_something(board: Board) -> None:
    exprs = [query.expr for panel in board.panels for query in panel.queries]
    assert [one.name for one in board.variables if not any(f"${one.name}" in expr for expr in exprs)] == []


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_kept_board_leaves_nothing_to_the_reader_of_its_json(board: Board) -> None:
    kept = json.loads((GRAFANA / "dashboards" / f"{board.uid}.json").read_text(encoding="utf-8"))
    assert (kept["uid"], kept["refresh"], kept["editable"]) == (board.uid, board.refresh, False)
    assert [one["name"] for one in kept["templating"]["list"]] == ["datasource", *(v.name for v in board.variables)]
    panels = [one for one in kept["panels"] if one["type"] != "row"]
    assert [one["title"] for one in panels] == [panel.title for panel in board.panels]
    assert all(one["datasource"]["uid"] == "${datasource}" and one["description"] for one in panels)
    assert len({one["id"] for one in kept["panels"]}) == len(kept["panels"])
    assert all(one["gridPos"]["x"] + one["gridPos"]["w"] <= 24 for one in panels)
    assert [one["expr"] for one in kept["annotations"]["list"]] == [mark.expr for mark in board.marks]


def test_grafana_s_variables_become_what_grafana_makes_of_them() -> None:
    costs = BY_UID["cost_tracking"]
    assert asked('a{channel=~"$channel"}[$__range]', costs, 3600, 15, 15) == 'a{channel=~".*"}[3600s]'
    assert asked("rate(a[$__rate_interval])", costs, 3600, 15, 15) == "rate(a[60s])"
    assert asked("rate(a[$__rate_interval])", costs, 3600, 120, 15) == "rate(a[135s])"
    assert asked("rate(a[$__interval])", costs, 3600, 1, 15) == "rate(a[15s])"
    assert asked("vector($sms_cap)", costs, 3600, 15, 15) == "vector(100)"
    with pytest.raises(KeyError):
        asked("$nothing", costs, 3600, 15, 15)
