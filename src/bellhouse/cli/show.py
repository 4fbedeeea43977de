"""Prints answers: one JSON object for scripts, tables and lines for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

_PIPE_COLUMNS: Final = 250


def as_json(answer: object) -> None:
    """Print the answer as one JSON object."""
    print(json.dumps(answer, indent=2, ensure_ascii=False, default=str))


def line(text: str) -> None:
    """Print a line; `[bold]...[/bold]` and the like are Rich's markup."""
    _console().print(text, highlight=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str = "Nothing.") -> None:
    """Print rows under their headings, or `empty` where there are none."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    found = False
    for row in rows:
        found = True
        shown.add_row(*(cell(value) for value in row))
    console = _console()
    if found:
        console.print(shown)
    else:
        console.print(empty)


def drawing(shown: Any) -> None:
    """Print something that Rich draws."""
    _console().print(shown)


def cell(value: Any) -> str:
    """A value as a table shows it, with nothing in it taken for markup."""
    from rich.markup import escape

    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return escape(", ".join(str(item) for item in value))
        case _:
            return escape(str(value))


def _console() -> Any:
    from rich.console import Console

    # A pipe has no width: there a line stays one line, so that it can be searched and cut.
    return Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
