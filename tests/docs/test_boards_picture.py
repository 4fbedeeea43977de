"""The pictures of the boards show each panel of their board, and draw what was seen and nothing else."""

import html
import xml.etree.ElementTree as ET

import pytest

from bellhouse.monitoring.boards import BOARDS
from bellhouse.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Word
from boards_drawing import Series, Span, picture, worded
from tests.docs.pages import DOCS

SPAN = Span(0, 600, 5)
SVG = "{http://www.w3.org/2000/svg}"


def board_of(panel: Panel) -> Board:
    return Board("one", "One", "", (Row("Row", (panel,)),), (), ())


def texts(drawn: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(drawn).iter(f"{SVG}text")]


def panel(kind: str = "lines", **fields: object) -> Panel:
    return Panel("The Panel", "Says.", (Query("a", "{{b}}"),), fields.pop("unit", "count"), kind, **fields)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_kept_picture_has_every_panel_of_its_board(board: Board) -> None:
    drawn = html.unescape((DOCS / "images" / "boards" / f"{board.uid}.svg").read_text(encoding="utf-8"))
    shown = texts((DOCS / "images" / "boards" / f"{board.uid}.svg").read_text(encoding="utf-8"))
    assert [one.title for one in board.panels if one.title not in shown] == []
    assert "not a screenshot" in drawn
    assert "No data" not in shown


def test_a_panel_without_data_says_so() -> None:
    assert "No data" in texts(picture(board_of(panel()), {}, SPAN))


def test_a_line_is_broken_where_nothing_was_seen() -> None:
    points = [(float(at), 1.0) for at in (*range(0, 100, 5), *range(300, 400, 5))]
    drawn = picture(board_of(panel()), {"The Panel": [Series("one", points)]}, SPAN)
    (path,) = (one.get("d", "") for one in ET.fromstring(drawn).iter(f"{SVG}path") if one.get("stroke-width"))
    assert path.count("M") == 2


def test_states_are_named_and_joined_as_long_as_they_stay() -> None:
    words = (Word(0, "Closed", "green"), Word(1, "Open", "red"))
    points = [(float(at), float(200 <= at < 400)) for at in range(0, 600, 5)]
    shown = texts(picture(board_of(panel("states", words=words)), {"The Panel": [Series("fcm <push>", points)]}, SPAN))
    assert [one for one in shown if one in ("Closed", "Open")] == ["Closed", "Open", "Closed"]
    assert "fcm <push>" in shown


def test_a_figure_has_the_colour_of_the_threshold_that_it_has_reached() -> None:
    one = panel("stat", unit="percent", base="red", thresholds=(Threshold(95, "yellow"), Threshold(99, "green")))
    for value, colour in ((90.0, "#cf222e"), (95.0, "#d4a72c"), (99.5, "#2da44e")):
        assert colour in picture(board_of(one), {"The Panel": [Series("", [(600.0, value)])]}, SPAN)


def test_stacked_lines_stand_on_one_another() -> None:
    series = [Series(name, [(float(at), 10.0) for at in range(0, 601, 5)]) for name in "ab"]
    drawn = picture(board_of(panel("stacked")), {"The Panel": series}, SPAN)
    first, second = (one.get("d", "") for one in ET.fromstring(drawn).iter(f"{SVG}path") if one.get("stroke-width"))
    assert float(first.split("L")[1].split()[1]) > float(second.split("L")[1].split()[1])


def test_figures_are_as_short_as_they_can_be_understood() -> None:
    assert [worded(*one) for one in (
        (0.0125, "seconds"), (1.5, "seconds"), (600, "seconds"), (99.96, "percent", 2), (40_000, "count"),
        (1500, "count"), (0.25, "cores"), (52_000_000, "bytes"), (12.0, "per_second"), (0, "seconds"),
    )] == ["12 ms", "1.5 s", "10 min", "99.96 %", "40k", "1,500", "0.25", "52 MB", "12/s", "0 s"]  # fmt: skip
