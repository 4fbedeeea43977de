"""What a board is: rows of panels, each with its queries and the words that explain it."""

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from bellhouse.observability.catalogue import BY_NAME

Unit = Literal["per_second", "percent", "seconds", "count", "bytes", "money", "cores"]
Kind = Literal["lines", "stacked", "stat", "states", "bars"]
"""Lines over time; the same, stacked; one big figure a series; named states over time; a bar a series."""
Colour = Literal["green", "yellow", "orange", "red", "blue"]

_METRIC: Final = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
_OF_HISTOGRAM: Final = re.compile(r"_(?:bucket|sum|count)$")


class Query(msgspec.Struct, frozen=True):
    """PromQL in which Grafana's `$variables` may stand, and what its series are called (`{{label}}`)."""

    expr: str
    legend: str


class Threshold(msgspec.Struct, frozen=True):
    """From this value upward a figure has this colour."""

    value: float
    colour: Colour


class Word(msgspec.Struct, frozen=True):
    """What a value is called."""

    value: int
    text: str
    colour: Colour


class Panel(msgspec.Struct, frozen=True):
    """One picture. `says` tells a support person what it shows and what to make of it."""

    title: str
    says: str
    queries: tuple[Query, ...]
    unit: Unit
    kind: Kind = "lines"
    base: Colour = "green"
    """The colour below the first threshold."""
    thresholds: tuple[Threshold, ...] = ()
    words: tuple[Word, ...] = ()
    decimals: int | None = None
    top: float | None = None
    """Where the scale ends at least."""

    @property
    def help(self) -> str:
        """Markdown: what the panel says, and what each of its metrics is by the catalogue."""
        names = dict.fromkeys(name for query in self.queries for name in metrics_of(query.expr))
        return "\n\n".join((self.says, *(f"`{name}`: {BY_NAME[name].help}" for name in names)))


class Row(msgspec.Struct, frozen=True):
    """Panels beside one another under a heading."""

    title: str
    panels: tuple[Panel, ...]


class Variable(msgspec.Struct, frozen=True):
    """What a reader of the board may choose."""

    name: str
    label: str
    values: tuple[str, ...] = ()
    """Any of them, or all."""
    from_metric: str = ""
    """Or: the values that the label of the variable's name has in this metric."""
    default: str = ""
    """Or: free text, which begins as this."""


class Mark(msgspec.Struct, frozen=True):
    """A line across all panels wherever the query has a value."""

    name: str
    expr: str
    text: str


class Board(msgspec.Struct, frozen=True):
    """A board; `uid` is its name in files and addresses."""

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...]
    marks: tuple[Mark, ...]
    refresh: str = "10s"
    window: str = "1h"
    """How far back it looks at first."""

    @property
    def panels(self) -> Iterator[Panel]:
        """All panels in their order."""
        for row in self.rows:
            yield from row.panels


def metrics_of(expr: str) -> Iterator[str]:
    """The catalogue's metrics that an expression reads, in their order."""
    for name in _METRIC.findall(re.sub(r'"[^"]*"', "", expr)):
        family = name if name in BY_NAME else _OF_HISTOGRAM.sub("", name)
        if family in BY_NAME:
            yield family
