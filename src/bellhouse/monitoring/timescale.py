"""Durations as Prometheus writes them, and all of an expression's multiplied at once, so that drills run in seconds."""

import re
from collections.abc import Callable
from typing import Final

_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_ONE: Final = re.compile(r"(\d+)(ms|[smhdw])")
_WHOLE: Final = re.compile(r"(?:\d+(?:ms|[smhdw]))+")
# A range `[5m]`, a subquery `[1h:5m]` or `[1h:]`, and `offset 5m`: nowhere else is a duration in an expression.
_IN_EXPRESSION: Final = re.compile(r"(?<=\[)[^\]\[]+(?=\])|(?<=offset )\w+")
_QUOTED: Final = re.compile(r'("(?:[^"\\]|\\.)*")')


def milliseconds(duration: str) -> int:
    """`5m`, `1h30m` in milliseconds; raises ValueError for what is no duration."""
    if not _WHOLE.fullmatch(duration):
        raise ValueError(f"{duration!r} is no duration such as 30s, 5m or 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in _ONE.findall(duration))


def written(ms: int) -> str:
    """Milliseconds as a duration, in the largest unit that it is a whole number of: `90s`, never below `1ms`."""
    ms = max(ms, 1)
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if ms % _UNITS[unit] == 0)
    return f"{ms // _UNITS[unit]}{unit}"


def scaled(duration: str, scale: float) -> str:
    """A duration multiplied, to the millisecond; as it is where the scale is 1."""
    return duration if scale == 1 else written(round(milliseconds(duration) * scale))


def scaled_expression(expression: str, scale: float) -> str:
    """An expression with every duration multiplied; texts in quotes are left alone."""
    return with_durations(expression, lambda duration: scaled(duration, scale))


def with_durations(expression: str, change: Callable[[str], str]) -> str:
    """An expression with every duration changed."""

    def part(text: str) -> str:
        return _IN_EXPRESSION.sub(lambda found: ":".join(one and change(one) for one in found[0].split(":")), text)

    pieces = _QUOTED.split(expression)
    return "".join(piece if piece.startswith('"') else part(piece) for piece in pieces)
