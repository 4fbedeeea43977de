"""Draws the boards from what a Prometheus has seen: `python docs/boards_picture.py URL --until TIME --seconds 600`.

They are no screenshots: the panels, their queries and their words are those of Grafana's boards, the figures are
Prometheus' answers, and the lines are drawn here.
"""

import argparse
import json
import math
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bellhouse.monitoring.boards import BOARDS
from bellhouse.monitoring.boards.asking import asked
from bellhouse.monitoring.boards.board import Board, Panel, Query
from boards_drawing import Points, Series, Span, picture

PICTURES: Final = Path(__file__).resolve().parent / "images" / "boards"

_POINTS: Final = 120


def seen(url: str, board: Board, span: Span, scrape_s: float) -> dict[str, Sequence[Series]]:
    """The series of every panel of a board."""
    return {panel.title: list(_series(url, board, panel, span, scrape_s)) for panel in board.panels}


def starts(url: str, board: Board, span: Span) -> list[float]:
    """The moments at which a process began: where the age that marks it goes back, or begins."""
    moments = set()
    for mark in board.marks:
        for _, points in _asked(url, asked(mark.expr, board, span.end - span.begin, span.step, span.step), span):
            ages = dict(points)
            moments |= {at - age for at, age in ages.items() if ages.get(at - span.step, math.inf) > age}
    return sorted(at for at in moments if span.begin + 2 * span.step < at < span.end)


def _series(url: str, board: Board, panel: Panel, span: Span, scrape_s: float) -> Iterator[Series]:
    for query in panel.queries:
        expr = asked(query.expr, board, span.end - span.begin, span.step, scrape_s)
        looked = msgspec.structs.replace(span, begin=span.end) if panel.kind in ("stat", "bars") else span
        for labels, points in _asked(url, expr, looked):
            if points:
                yield Series(_named(query, labels), points)


def _asked(url: str, expr: str, span: Span) -> list[tuple[dict[str, str], Points]]:
    query = {"query": expr, "start": f"{span.begin}", "end": f"{span.end}", "step": f"{span.step}"}
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
    return [
        (one["metric"], [(float(at), float(value)) for at, value in one["values"] if math.isfinite(float(value))])
        for one in found
    ]


def _named(query: Query, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), query.legend).strip()


def main() -> None:
    """Ask, and draw every board."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="a Prometheus that scrapes Bellhouse")
    parser.add_argument("--until", type=float, required=True, help="seconds since the epoch")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--scrape", type=float, default=5.0, help="its scrape interval, in seconds")
    given = parser.parse_args()
    span = Span(given.until - given.seconds, given.until, given.seconds / _POINTS)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        found = seen(given.url, board, span, given.scrape)
        drawn = picture(board, found, span, starts(given.url, board, span))
        (PICTURES / f"{board.uid}.svg").write_text(drawn, encoding="utf-8")
        empty = [title for title, series in found.items() if not series]
        print(f"{board.uid}.svg{': nothing in ' + ', '.join(empty) if empty else ''}")


if __name__ == "__main__":
    main()
