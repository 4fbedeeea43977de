"""How the benchmark's figures are judged and told."""

import json
from xml.etree import ElementTree

import pytest
from benchmarks.chart import svg
from benchmarks.figures import Figure, Run, machine, markdown, text

FIGURES = [
    Figure("cost", 90.0, "µs", 200, 100, limit=45.0, limit_name="µs bare", note="So it was measured."),
    Figure("rate", 5_000.0, "/s", 9_000, 14_000, True),
    Figure("size", 4.0, "KiB", 8, 3),
    Figure("pages", 1.4, "pages"),
]
RUN = Run("a machine", "python -m benchmarks", "small", 12.0, FIGURES)


def test_a_figure_reaches_the_aim_the_must_or_neither() -> None:
    assert [figure.verdict for figure in FIGURES] == ["aim", "missed", "must", ""]


@pytest.mark.parametrize(("value", "verdict"), [(14_000, "aim"), (13_999, "must"), (9_000, "must"), (8_999, "missed")])
def test_where_more_is_better_the_targets_are_lower_bounds(value: float, verdict: str) -> None:
    assert Figure("rate", value, "/s", 9_000, 14_000, True).verdict == verdict


def test_the_ratio_is_to_the_limit_of_the_same_run() -> None:
    assert FIGURES[0].ratio == 2.0
    assert FIGURES[1].ratio is None


def test_the_text_the_json_and_the_page_hold_every_figure_with_its_target() -> None:
    assert "cost" in text(RUN)
    assert "≤ 200 (aim 100)" in text(RUN)
    told = json.loads(RUN.as_json())
    assert [figure["verdict"] for figure in told["figures"]] == ["aim", "missed", "must", ""]
    page = markdown(RUN, "benchmarks.svg")
    assert "| cost | 90 µs | ≤ 200 (aim 100) | aim | 45 µs bare | 2.00 |" in page
    assert "So it was measured." in page
    assert "python -m benchmarks" in page


def test_the_chart_is_svg_with_a_bar_for_every_figure_that_has_a_target() -> None:
    drawn = ElementTree.fromstring(svg(FIGURES))
    bars = [each for each in drawn if each.get("height") == "20"]
    assert len(bars) == 3


def test_the_machine_is_told_with_its_cores_and_versions() -> None:
    assert "cores" in machine()
    assert "SQLite" in machine()
