"""A board's queries as Prometheus is asked them: Grafana's variables replaced as Grafana replaces them."""

import re
from typing import Final

from bellhouse.monitoring.boards.board import Board

_ALL: Final = ".*"
_SCRAPES: Final = 4
"""Grafana's `$__rate_interval` holds at least so many scrapes, so that a rate has something to go by."""

_VARIABLE: Final = re.compile(r"\$(\w+)")


def asked(expr: str, board: Board, range_s: float, step_s: float, scrape_s: float) -> str:
    """The expression with every choice at its beginning: all values, or the text that stands there.

    `range_s` is the time shown, `step_s` the distance of two points, `scrape_s` the interval of scrapes, all in
    seconds. Raises KeyError for a variable that neither the board nor Grafana has.
    """
    step_s = max(step_s, scrape_s)
    known = {variable.name: variable.default or _ALL for variable in board.variables}
    known |= {
        "__range": f"{max(1, round(range_s))}s",
        "__interval": f"{max(1, round(step_s))}s",
        "__rate_interval": f"{max(1, round(max(step_s + scrape_s, _SCRAPES * scrape_s)))}s",
    }
    return _VARIABLE.sub(lambda found: known[found[1]], expr)
