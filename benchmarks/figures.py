"""A figure with its target and its limit, and the ways in which the figures are told: text, JSON, Markdown."""

import json
import os
import platform
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import apsw


@dataclass(frozen=True)
class Figure:
    """One measured value. Less is better unless `more_is_better`."""

    name: str
    value: float
    unit: str
    must: float | None = None
    """The target that must be reached."""
    aim: float | None = None
    """The one that we would like to reach."""
    more_is_better: bool = False
    limit: float | None = None
    """What this machine's own limit is, measured in the same run."""
    limit_name: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the limit it is."""
        return self.value / self.limit if self.limit else None

    @property
    def verdict(self) -> str:
        """`aim`, `must` or `missed`; empty where there is no target."""
        if self.must is None:
            return ""
        if self.aim is not None and self._reaches(self.aim):
            return "aim"
        return "must" if self._reaches(self.must) else "missed"

    def _reaches(self, target: float) -> bool:
        return self.value >= target if self.more_is_better else self.value <= target


@dataclass(frozen=True)
class Run:
    """A run of the benchmarks: on what, how large, and what came out."""

    machine: str
    command: str
    size: str
    seconds: float
    figures: Sequence[Figure] = field(default_factory=list)

    def as_json(self) -> str:
        """The whole run as one JSON object."""
        figures = [{**asdict(figure), "ratio": figure.ratio, "verdict": figure.verdict} for figure in self.figures]
        return json.dumps({**asdict(self), "figures": figures}, indent=2, ensure_ascii=False)


def machine(engines: str = f"SQLite {apsw.sqlite_lib_version()}") -> str:
    """What this machine is, in a line, with the versions of what is measured on it."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{model}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, {engines}"
    )


def number(value: float) -> str:
    """A value with about three digits that matter."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def target(figure: Figure) -> str:
    """Its targets: what must be, and what is aimed at."""
    if figure.must is None:
        return ""
    sign = "≥" if figure.more_is_better else "≤"
    aimed = f" (aim {number(figure.aim)})" if figure.aim is not None else ""
    return f"{sign} {number(figure.must)}{aimed}"


def text(run: Run) -> str:
    """A table for a terminal."""
    rows = [("figure", "measured", "target", "", "limit here", "ratio")]
    for figure in run.figures:
        ratio = figure.ratio
        limit = f"{number(figure.limit)} {figure.limit_name}" if figure.limit is not None else ""
        measured = f"{number(figure.value)} {figure.unit}"
        rows.append((figure.name, measured, target(figure), figure.verdict, limit, f"{ratio:.2f}" if ratio else ""))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([run.machine, f"{run.command}: {run.size}, {run.seconds:.0f} s", "", *lines])


@dataclass(frozen=True)
class Page:
    """What a page of figures says about them as a whole."""

    title: str
    paragraphs: Sequence[str]


EMBEDDED = Page(
    "What it costs and how fast it is",
    (
        "CPU is user and system time of Bellhouse's own processes (supervisor, API and bulk), by their own clocks; the "
        "simulator and the load generator are processes of their own and not counted, but share the cores. "
        "`synchronous=FULL`, every record kept. A limit is what the same machine does in the same run without "
        "Bellhouse, and the ratio is how many times that ours is. `aim` and `must` say which target was reached. "
        "Absolute values differ from machine to machine; ratios hold better.",
    ),
)


def markdown(run: Run, picture: str, page: Page = EMBEDDED) -> str:
    """A page of `docs/`."""
    rows = []
    for figure in run.figures:
        limit = f"{number(figure.limit)} {figure.limit_name}" if figure.limit is not None else ""
        ratio = f"{figure.ratio:.2f}" if figure.ratio else ""
        measured = f"{number(figure.value)} {figure.unit}"
        rows.append(f"| {figure.name} | {measured} | {target(figure)} | {figure.verdict} | {limit} | {ratio} |")
    notes = [_wrapped(f"* **{figure.name}**: {figure.note}", "  ") for figure in run.figures if figure.note]
    paragraphs = [f"Machine: {run.machine}. Size: {run.size}. It took {run.seconds:.0f} s.", *page.paragraphs]
    return "\n".join(
        [
            f"# {page.title}",
            "",
            "Every figure of this page comes from one run of one command on one machine; run it on yours:",
            "",
            f"    {run.command}",
            "",
            *(line for paragraph in paragraphs for line in (_wrapped(paragraph), "")),
            f"![The figures against their targets]({picture})",
            "",
            "| figure | measured | target | reached | limit here | ratio |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            "## How each was measured",
            "",
            *notes,
            "",
        ]
    )


def _wrapped(paragraph: str, indent: str = "") -> str:
    return textwrap.fill(paragraph, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
