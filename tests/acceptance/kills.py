"""The table of kills: what was killed in the middle of what, what it had in its hands, and how soon it went on."""

from typing import NamedTuple


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


def table() -> list[str]:
    """The kills of this run as lines of text."""
    if not KILLS:
        return []
    head = f"{'':>3}  {'in the middle of':<34} {'killed':<28} {'in flight':>9}  {'back after':>10}"
    rows = [
        f"{number:>3}  {kill.stage:<34} {kill.process:<28} {kill.in_flight:>9}  {kill.back_s:>8.2f} s"
        for number, kill in enumerate(KILLS, 1)
    ]
    slowest = max(kill.back_s for kill in KILLS)
    median = sorted(kill.back_s for kill in KILLS)[len(KILLS) // 2]
    return [
        head,
        *rows,
        f"{len(KILLS)} kills; back after {median:.2f} s (median), {slowest:.2f} s (slowest)",
        *VERDICTS,
    ]
