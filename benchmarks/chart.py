"""Draws the figures that have a target as an SVG: how far each is from what must be reached."""

from collections.abc import Sequence
from html import escape

from benchmarks.figures import Figure, number

_ROW = 30
_LEFT = 430
_WIDE = 400
_COLOURS = {"aim": "#2e7d4f", "must": "#7aa95c", "missed": "#c0392b"}


def svg(figures: Sequence[Figure]) -> str:
    """A bar each, as long as the share of the target that is used up; the line at 1 is the target itself."""
    shown = [figure for figure in figures if figure.must]
    height = 70 + _ROW * len(shown)
    width = _LEFT + _WIDE + 170
    unit = _WIDE / 1.5
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        '<text x="16" y="26" font-size="15" font-weight="bold">How much of its target each figure uses up</text>',
    ]
    for place, figure in enumerate(shown):
        parts += _bar(figure, 44 + place * _ROW, unit)
    x = _LEFT + unit
    parts.append(f'<line x1="{x:.0f}" y1="38" x2="{x:.0f}" y2="{height - 22}" stroke="#222" stroke-dasharray="4 3"/>')
    parts.append(f'<text x="{x:.0f}" y="{height - 8}" text-anchor="middle">must</text>')
    return "\n".join([*parts, "</svg>", ""])


def _bar(figure: Figure, y: int, unit: float) -> list[str]:
    assert figure.must  # only such figures are drawn
    share = figure.must / max(figure.value, 1e-9) if figure.more_is_better else figure.value / figure.must
    length = min(share, 1.5) * unit
    parts = [
        f'<text x="{_LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(figure.name)}</text>',
        f'<rect x="{_LEFT}" y="{y}" width="{max(length, 1):.1f}" height="20" fill="{_COLOURS[figure.verdict]}"/>',
        f'<text x="{_LEFT + max(length, 1) + 8:.1f}" y="{y + 15}">{number(figure.value)} {escape(figure.unit)}</text>',
    ]
    if figure.aim:
        aimed = figure.must / figure.aim if figure.more_is_better else figure.aim / figure.must
        x = _LEFT + aimed * unit
        parts.append(f'<line x1="{x:.1f}" y1="{y - 2}" x2="{x:.1f}" y2="{y + 22}" stroke="#222"/>')
    return parts
