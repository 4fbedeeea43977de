"""What the drills showed, as a table for a terminal and as Markdown."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from bellhouse.drills.run import Result

HEADINGS: Final = ("drill", "alert", "fired after", "promised", "cause", "diagnosed", "recovered", "ledger", "")


class Report(msgspec.Struct, frozen=True):
    """All drills of one run."""

    scale: float
    """What every duration of the rules was multiplied by."""
    took_s: float
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        return bool(self.results) and all(one.passed for one in self.results)

    @property
    def summary(self) -> str:
        """One sentence with the figures that count."""
        count = len(self.results)
        in_time, right = sum(one.in_time for one in self.results), sum(one.named_right for one in self.results)
        recovered = sum(one.recovered_s is not None for one in self.results)
        balanced = sum(one.balanced for one in self.results)
        drills = "1 drill" if count == 1 else f"{count} drills"
        return (
            f"{drills} in {self.took_s / 60:.1f} minutes: the right alert in time {in_time}, the cause named first "
            f"{right}, recovered {recovered}, the ledger balanced {balanced}."
        )


def rows(report: Report) -> Iterator[tuple[str, ...]]:
    """The cells of the table, a row for each drill."""
    for one in report.results:
        yield (
            one.name,
            f"{one.alert} ({one.severity})",
            _seconds(one.fired_s),
            _seconds(one.promised_s),
            one.found if one.named_right else f"{one.found or 'none'}, not {one.cause}",
            _seconds(one.diagnosed_s),
            _seconds(one.recovered_s),
            "balanced" if one.balanced else "not shown",
            "passed" if one.passed else "failed",
        )


def as_json(report: Report) -> bytes:
    """One object with every figure, and what follows from them."""
    results = [
        {**msgspec.to_builtins(one), "in_time": one.in_time, "named_right": one.named_right, "passed": one.passed}
        for one in report.results
    ]
    return msgspec.json.encode(
        {"passed": report.passed, "scale": report.scale, "took_s": report.took_s, "results": results}
    )


def show(console: Console, report: Report) -> None:
    """Draw the table and what went wrong."""
    table = Table(title="Drills", title_justify="left", header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for row in rows(report):
        table.add_row(*row)
    console.print(table)
    for complaint in complaints(report):
        console.print(complaint, highlight=False, markup=False)
    console.print(report.summary, highlight=False)


def complaints(report: Report) -> Iterator[str]:
    """A sentence for everything that was not as it should be."""
    for one in report.results:
        if one.error:
            yield f"{one.name}: {one.error}"
        elif one.woken:
            yield f"{one.name}: somebody was woken: {', '.join(one.also)}"


def markdown(report: Report) -> str:
    """The report as a page."""
    lines = ["# Drills", "", report.summary, f"A minute of the rules took {60 * report.scale:g} s.", ""]
    lines += [f"| {' | '.join(HEADINGS)} |", f"| {' | '.join('---' for _ in HEADINGS)} |"]
    lines += [f"| {' | '.join(row)} |" for row in rows(report)]
    lines += ["", *(f"* {one}" for one in complaints(report))]
    for one in report.results:
        lines += ["", f"## {one.name}", "", f"{one.breaks} Mended by: {one.lever}.", ""]
        lines += [f"* {sentence}" for sentence in one.evidence]
        if one.also:
            lines.append(f"* Fired as well: {', '.join(one.also)}.")
    return "\n".join(lines).rstrip() + "\n"


def keep(report: Report, path: Path) -> None:
    """Write the page. Raises OSError."""
    path.write_text(markdown(report), encoding="utf-8")


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
