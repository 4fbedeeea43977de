"""Draws a board as SVG from the series that its queries were answered with."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, assert_never
from xml.sax.saxutils import escape

import msgspec

from bellhouse.monitoring.boards.board import Board, Colour, Panel, Unit

_WIDTH: Final = 1200
_GAP: Final = 8
_HEADING: Final = 30
_HEIGHTS: Final = {"lines": 230, "stacked": 230, "states": 230, "bars": 230, "stat": 110}
_TITLE: Final = 24
_ROOMY: Final = 270
"""From this width on a scale of time has room for six words."""
_LETTER: Final = 6.1
"""About how wide a letter of the legend is."""

_COLOURS: Final[Mapping[Colour, str]] = {
    "green": "#2da44e",
    "yellow": "#d4a72c",
    "orange": "#e16f24",
    "red": "#cf222e",
    "blue": "#3b78c4",
}
_PALETTE: Final = (
    "#3b78c4", "#e16f24", "#2da44e", "#a475f9", "#cf222e", "#1b7c83", "#bf8700", "#bf3989", "#57606a", "#6fdd8b",
    "#7d4e00", "#0a3069",
)  # fmt: skip
_MUTED: Final = "#57606a"

Points = Sequence[tuple[float, float]]


class Series(msgspec.Struct, frozen=True):
    """A line: what it is called, and its values with their times (s since the epoch)."""

    name: str
    points: Points


class Span(msgspec.Struct, frozen=True):
    """The time that is shown (s since the epoch), and the distance of two points (s)."""

    begin: float
    end: float
    step: float


class Box(msgspec.Struct, frozen=True):
    """Where something is drawn."""

    x: float
    y: float
    w: float
    h: float


Seen = Mapping[str, Sequence[Series]]
"""What was seen, by the panels' titles."""


def picture(board: Board, found: Seen, span: Span, marks: Sequence[float] = ()) -> str:
    """The board as SVG."""
    parts: list[str] = []
    y = 44.0
    for row in board.rows:
        parts.append(_text(_GAP, y + 20, row.title, 13, weight="600", colour=_MUTED))
        y += _HEADING
        height = max(_HEIGHTS[panel.kind] for panel in row.panels)
        width = (_WIDTH - _GAP) / len(row.panels)
        for place, panel in enumerate(row.panels):
            box = Box(_GAP + place * width, y, width - _GAP, height)
            parts += _panel(panel, found.get(panel.title, ()), box, span, marks)
        y += height + _GAP
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y:.0f}" width="{_WIDTH}" height="{y:.0f}" '
        'font-family="ui-sans-serif, system-ui, sans-serif">',
        f'<rect width="{_WIDTH}" height="{y:.0f}" fill="#f3f4f6"/>',
        _text(_GAP, 28, board.title, 18, weight="600"),
        _text(_WIDTH - _GAP, 28, _SAID.format((span.end - span.begin) / 60), 11, colour=_MUTED, anchor="end"),
    ]
    return "\n".join((*head, *parts, "</svg>")) + "\n"


_SAID: Final = "drawn from the answers to the board's queries over {:.0f} minutes of one run; not a screenshot"


def _panel(panel: Panel, series: Sequence[Series], box: Box, span: Span, marks: Sequence[float]) -> Iterator[str]:
    yield (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.w:.1f}" height="{box.h}" rx="3" fill="#fff" '
        'stroke="#d8dbe0"/>'
    )
    yield _text(box.x + 8, box.y + 17, panel.title, 12, weight="600")
    inner = Box(box.x + 8, box.y + _TITLE, box.w - 16, box.h - _TITLE - 8)
    if not series:
        yield _text(inner.x + inner.w / 2, inner.y + inner.h / 2, "No data", 12, colour=_MUTED, anchor="middle")
        return
    match panel.kind:
        case "lines" | "stacked":
            yield from _lines(panel, series, inner, span, marks)
        case "stat":
            yield from _stat(panel, series, inner)
        case "bars":
            yield from _bars(panel, series, inner)
        case "states":
            yield from _states(panel, series, inner, span)
        case _:
            assert_never(panel.kind)


def _lines(panel: Panel, series: Sequence[Series], box: Box, span: Span, marks: Sequence[float]) -> Iterator[str]:
    if len(series) > len(_PALETTE):
        # Twenty-four topics of which most are empty: lines on the ground, and no room for their names.
        series = [one for one in series if any(value for _, value in one.points)] or series
    legend = list(_legend(series, box))
    rows = 1 + max((row for row, _, _ in legend), default=0)
    plot = Box(box.x + 46, box.y + 4, box.w - 50, box.h - 24 - 15 * rows)
    shown = _stacked(series, span) if panel.kind == "stacked" else [one.points for one in series]
    values = [value for points in shown for _, value in points]
    highest = max([*values, panel.top or 0])
    top = _round_up(highest) if highest > 0 else 1.0
    lowest = min(values, default=0.0)
    low = -_round_up(-lowest) if lowest < 0 else 0.0
    yield from _scale(panel.unit, plot, low, top, span)

    def at(moment: float, value: float) -> tuple[float, float]:
        x = plot.x + plot.w * (moment - span.begin) / (span.end - span.begin)
        return x, plot.y + plot.h * (1 - (value - low) / (top - low))

    for threshold in panel.thresholds:
        if low < threshold.value <= top:
            _, y = at(span.begin, threshold.value)
            yield _line(plot.x, y, plot.x + plot.w, y, _COLOURS[threshold.colour], dashes="4 3")
    for moment in marks:
        x, _ = at(moment, 0)
        yield _line(x, plot.y, x, plot.y + plot.h, _COLOURS["blue"], dashes="2 2")
    below: Points = ()
    for place, points in enumerate(shown):
        colour = _PALETTE[place % len(_PALETTE)]
        if panel.kind == "stacked":
            yield _area(
                [at(*point) for point in points],
                [at(*point) for point in below] or [at(span.end, 0), at(span.begin, 0)],
                colour,
            )
            below = list(reversed(points))
        yield _path([at(*point) for point in points], colour, span.step * 3 * plot.w / (span.end - span.begin))
    for row, x, place in legend:
        y = box.y + box.h - 15 * (rows - 1 - row) - 3
        yield f'<rect x="{x:.1f}" y="{y - 8:.1f}" width="8" height="8" fill="{_PALETTE[place % len(_PALETTE)]}"/>'
        yield _text(x + 12, y, series[place].name, 10.5, colour=_MUTED)


def _stacked(series: Sequence[Series], span: Span) -> list[Points]:
    """Each upon those before it; where one has no value it adds nothing."""
    count = round((span.end - span.begin) / span.step) + 1
    moments = [span.begin + place * span.step for place in range(count)]
    sums = [0.0] * count
    found = []
    for one in series:
        values = {round((at - span.begin) / span.step): value for at, value in one.points}
        sums = [total + values.get(place, 0.0) for place, total in enumerate(sums)]
        found.append(list(zip(moments, sums, strict=True)))
    return found


def _scale(unit: Unit, plot: Box, low: float, top: float, span: Span) -> Iterator[str]:
    for part in range(5):
        y = plot.y + plot.h * (1 - part / 4)
        yield _line(plot.x, y, plot.x + plot.w, y, "#e6e8eb")
        yield _text(plot.x - 5, y + 3.5, worded(low + (top - low) * part / 4, unit), 10, colour=_MUTED, anchor="end")
    minutes = (span.end - span.begin) / 60
    parts = 5 if plot.w > _ROOMY else 2
    for part in range(parts + 1):
        x = plot.x + plot.w * part / parts
        anchor = "end" if part == parts else "middle"
        yield _text(x, plot.y + plot.h + 13, f"{minutes * part / parts:g} min", 10, colour=_MUTED, anchor=anchor)


def _legend(series: Sequence[Series], box: Box) -> Iterator[tuple[int, float, int]]:
    """Row, left edge and number of each series that has room, in at most three rows."""
    row, x = 0, box.x
    for place, one in enumerate(series):
        width = 22 + _LETTER * len(one.name)
        if x + width > box.x + box.w and x > box.x:
            row, x = row + 1, box.x
        if row > 2:
            return
        yield row, x, place
        x += width


def _stat(panel: Panel, series: Sequence[Series], box: Box) -> Iterator[str]:
    width = box.w / len(series)
    for place, one in enumerate(series):
        value = one.points[-1][1]
        x = box.x + place * width
        colour = _colour_of(panel, value)
        yield (
            f'<rect x="{x:.1f}" y="{box.y:.1f}" width="{width - 4:.1f}" height="{box.h:.1f}" rx="3" fill="{colour}"/>'
        )
        middle = x + (width - 4) / 2
        yield _text(middle, box.y + box.h / 2 + 5, _word_of(panel, value), 22, "600", "#fff", "middle")
        if len(series) > 1:
            yield _text(middle, box.y + box.h - 8, one.name, 10.5, colour="#fff", anchor="middle")


def _bars(panel: Panel, series: Sequence[Series], box: Box) -> Iterator[str]:
    shown = sorted(series, key=lambda one: one.name)[:9]
    top = max([*(one.points[-1][1] for one in shown), panel.top or 0, 1e-9])
    height = min(34.0, box.h / len(shown))
    named = min(box.w * 0.5, 8 + _LETTER * max(len(one.name) for one in shown))
    for place, one in enumerate(shown):
        value = one.points[-1][1]
        y = box.y + place * height
        room = box.w - named - 64
        width = max(1.0, room * value / top)
        yield _text(box.x, y + height / 2 + 4, _fitting(one.name, named), 10.5, colour=_MUTED)
        yield (
            f'<rect x="{box.x + named:.1f}" y="{y + height * 0.2:.1f}" width="{width:.1f}" height="{height * 0.6:.1f}" '
            f'fill="{_colour_of(panel, value)}"/>'
        )
        yield _text(box.x + named + width + 5, y + height / 2 + 4, _word_of(panel, value), 10.5)


def _states(panel: Panel, series: Sequence[Series], box: Box, span: Span) -> Iterator[str]:
    named = min(box.w * 0.6, 8 + _LETTER * max(len(one.name) for one in series))
    height = min(26.0, (box.h - 16) / len(series))
    room = box.w - named

    def at(moment: float) -> float:
        return box.x + named + room * (min(moment, span.end) - span.begin) / (span.end - span.begin)

    for place, one in enumerate(sorted(series, key=lambda one: one.name)):
        y = box.y + place * height
        yield _text(box.x, y + height / 2 + 4, _fitting(one.name, named), 10.5, colour=_MUTED)
        for begin, end, value in _stretches(one.points, span.step):
            yield (
                f'<rect x="{at(begin):.1f}" y="{y + 2:.1f}" width="{max(1.0, at(end) - at(begin)):.1f}" '
                f'height="{height - 4:.1f}" fill="{_colour_of(panel, value)}"/>'
            )
            word = _word_of(panel, value)
            if at(end) - at(begin) > 10 + _LETTER * len(word):
                yield _text(at(begin) + 5, y + height / 2 + 4, word, 10.5, colour="#fff")


def _stretches(points: Points, step: float) -> Iterator[tuple[float, float, float]]:
    """Begin, end and value of each time in which the value stays."""
    begin, last, value = points[0][0], points[0][0], points[0][1]
    for at, now in points[1:]:
        if now != value or at - last > 1.5 * step:
            yield begin, last + step, value
            begin, value = at, now
        last = at
    yield begin, last + step, value


def _fitting(name: str, width: float) -> str:
    """As much of a name as there is room for."""
    room = int((width - 8) / _LETTER)
    return name if len(name) <= room else f"{name[: room - 1]}…"


def _colour_of(panel: Panel, value: float) -> str:
    for word in panel.words:
        if word.value == value:
            return _COLOURS[word.colour]
    colour = panel.base
    for threshold in panel.thresholds:
        if value >= threshold.value:
            colour = threshold.colour
    return _COLOURS[colour]


def _word_of(panel: Panel, value: float) -> str:
    named = next((word.text for word in panel.words if word.value == value), None)
    return named or worded(value, panel.unit, panel.decimals)


def worded(value: float, unit: Unit, decimals: int | None = None) -> str:
    """A figure with its unit, as short as it can be understood."""
    match unit:
        case "percent":
            places = (1 if abs(value) < 200 else 0) if decimals is None else decimals
            return f"{value:,.{places}f} %".replace(".0 %", " %")
        case "seconds":
            if abs(value) >= 120:
                return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.0f} h"
            return f"{value * 1000:.0f} ms" if 0 < abs(value) < 1 else f"{value:.3g} s"
        case "bytes":
            return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"
        case "per_second":
            return f"{_short(value)}/s"
        case "count" | "money" | "cores":
            return _short(value) if decimals is None else f"{value:,.{decimals}f}"
        case _:
            assert_never(unit)


def _short(value: float) -> str:
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    if abs(value) >= 10_000:
        return f"{value / 1000:.0f}k"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * 0.999)


def _text(
    x: float, y: float, text: str, size: float, weight: str = "400", colour: str = "#1f2328", anchor: str = "start"
) -> str:
    style = f'font-size="{size}" fill="{colour}"' + (f' font-weight="{weight}"' if weight != "400" else "")
    end = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}{end}>{escape(text)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float, colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{colour}"{dashed}/>'


def _path(points: Iterable[tuple[float, float]], colour: str, gap: float) -> str:
    """A line; it is broken where there was no value."""
    drawn, last = [], -math.inf
    for x, y in points:
        drawn.append(f"{'M' if x - last > gap else 'L'}{x:.1f} {y:.1f}")
        last = x
    return f'<path d="{"".join(drawn)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _area(above: Sequence[tuple[float, float]], below: Sequence[tuple[float, float]], colour: str) -> str:
    corners = "L".join(f"{x:.1f} {y:.1f}" for x, y in (*above, *below))
    return f'<path d="M{corners}Z" fill="{colour}" fill-opacity="0.25"/>'
