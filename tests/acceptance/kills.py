"""The table of kills: what was killed in the middle of what, what it had in its hands, and how soon it went on."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import pytest


class Kill(NamedTuple):
    """One kill -9."""

    stage: str
    process: str
    in_flight: int
    """Deliveries that were being sent, in the whole house."""
    back_s: float
    """Until the first sign of the killed process's work being taken up again."""


KILLS: list[Kill] = []
VERDICTS: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was killed in all of the run."""
    kills, verdicts = [], []
    for report in chain.from_iterable(terminalreporter.stats.values()):
        if getattr(report, "when", "") == "teardown":
            told = dict(report.user_properties)
            kills += [Kill(*kill) for kill in told.get("kills", ())]
            verdicts += told.get("verdicts", ())
    if kills:
        terminalreporter.section("kill -9")
        for line in _table(kills, verdicts):
            terminalreporter.write_line(line)


def _table(kills: Sequence[Kill], verdicts: Sequence[str]) -> list[str]:
    head = f"{'':>3}  {'in the middle of':<34} {'killed':<28} {'in flight':>9}  {'back after':>10}"
    rows = [
        f"{number:>3}  {kill.stage:<34} {kill.process:<28} {kill.in_flight:>9}  {kill.back_s:>8.2f} s"
        for number, kill in enumerate(kills, 1)
    ]
    slowest = max(kill.back_s for kill in kills)
    median = sorted(kill.back_s for kill in kills)[len(kills) // 2]
    said = f"{len(kills)} kills; back after {median:.2f} s (median), {slowest:.2f} s (slowest)"
    return [head, *rows, said, *verdicts]
