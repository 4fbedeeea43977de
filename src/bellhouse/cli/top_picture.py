"""Draws a frame of `bellhouse top`: what is wrong is red, what may become so is yellow."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from bellhouse.domain.words import PRIORITIES
from bellhouse.ops.doctor.causes import plural
from bellhouse.ops.top import Frame

_DEAD_MAN: Final = "Watchdog"
"""The alert that always fires: where it does not, alerts do not arrive."""
_LOW_SUCCESS: Final = 95.0
_SLOW_S: Final = 2.0
_OLD_S: Final = 60.0
_YOUNG_S: Final = 60.0
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_KILO: Final = 1000
_TEN: Final = 10


def picture(frame: Frame) -> RenderableType:
    """The whole board."""
    parts: list[RenderableType] = [_head(frame)]
    if frame.alerts is not None:
        parts += [_alerts(frame)]
    beside = Table.grid(padding=(0, 4))
    beside.add_row(_priorities(frame), _channels(frame))
    parts += [beside, _providers(frame), _processes(frame)]
    return Group(*(part for one in parts for part in (one, Text(""))))


def gone(shown: RenderableType, why: str) -> RenderableType:
    """The last board, marked as old."""
    return Group(Text.from_markup(f"[red bold]Nobody answers:[/] {escape(why)}. What follows is old."), Text(""), shown)


def _head(frame: Frame) -> RenderableType:
    at = datetime.fromtimestamp(frame.at, UTC).strftime("%H:%M:%S UTC")
    dead = sum(line.dead_letters for line in frame.channels)
    parts = [
        f"[bold]Bellhouse[/] {at}, over {frame.window_s:.0f} s",
        "step " + _marked(frame.step, frame.step != "open"),
        _ledger(frame),
        "dead letters " + _marked(f"{dead:.0f}", dead > 0, "yellow"),
        f"refused {_rate(frame.rejected_per_s)}/s",
    ]
    lines = ["  ·  ".join(parts)]
    if frame.figures_age_s is None or frame.figures_age_s > _OLD_S:
        age = "missing" if frame.figures_age_s is None else f"{_span(frame.figures_age_s)} old"
        lines.append(
            f"[red bold]Shared figures are {age}[/]: queues, breakers, ages and the ledger are not to be trusted"
        )
    if frame.levers:
        lines.append(_levers(frame))
    lines += [f"[red bold]Cannot reach[/] {escape(one)}" for one in frame.down]
    lines += [f"[red bold]No answer from[/] {escape(one)}" for one in frame.unreachable]
    return Text.from_markup("\n".join(lines))


def _levers(frame: Frame) -> str:
    """What is pulled, and the channels or single lanes that a pause holds."""
    pulled = ", ".join(plural(count, kind) for kind, count in sorted(frame.levers.items()))
    lanes: dict[str, list[str]] = {}
    for lane in frame.paused:
        channel, _, priority = lane.partition(".")
        lanes.setdefault(channel, []).append(priority)
    held = ", ".join(
        channel if len(own) == len(PRIORITIES) else f"{channel} {'/'.join(own)}" for channel, own in lanes.items()
    )
    return f"[yellow]Levers pulled:[/] {escape(pulled)}{f'; paused: {escape(held)}' if held else ''}"


def _ledger(frame: Frame) -> str:
    if frame.ledger_imbalance is None or frame.ledger_age_s is None:
        return "ledger [yellow]not checked yet[/]"
    wrong = frame.ledger_imbalance != 0
    said = f"{frame.ledger_imbalance:.0f} unaccounted for" if wrong else "balances"
    return f"ledger {_marked(said, wrong)}, {_span(frame.ledger_age_s)} ago"


def _alerts(frame: Frame) -> RenderableType:
    alerts = frame.alerts or ()
    parts: list[RenderableType] = []
    if not any(alert.name == _DEAD_MAN for alert in alerts):
        parts.append(Text.from_markup(f"[red bold]{_DEAD_MAN} does not fire:[/] alerts may not arrive anywhere"))
    rows = [
        (
            _marked(alert.state, alert.state == "firing", "red" if alert.severity == "critical" else "yellow"),
            escape(alert.severity),
            escape(alert.name),
            escape(alert.since[11:19]),
            escape(alert.summary),
        )
        for alert in alerts
        if alert.name != _DEAD_MAN
    ]
    if rows:
        parts.append(_table(("alert", "severity", "name", "since", "what"), rows, right=(), folds=(4,)))
    else:
        parts.append(Text.from_markup("[green]No alert is active[/]"))
    return Group(*parts)


def _priorities(frame: Frame) -> Table:
    rows = (
        (
            line.priority,
            _rate(line.received_per_s),
            _count(line.queue),
            _marked(_span(line.oldest_s), line.oldest_s > _OLD_S and line.priority != "low", "yellow"),
        )
        for line in frame.priorities
    )
    return _table(("priority", "in/s", "queue", "oldest"), rows, right=(1, 2, 3))


def _channels(frame: Frame) -> Table:
    rows = (
        (
            line.channel,
            _rate(line.attempts_per_s),
            _success(line.success),
            _rate(line.delivered_per_s),
            _latency(line.p99_s),
            _marked(_count(line.dead_letters), line.dead_lettered > 0, "yellow"),
        )
        for line in frame.channels
    )
    return _table(("channel", "sent/s", "success", "delivered/s", "p99", "dead"), rows, right=(1, 2, 3, 4, 5))


def _providers(frame: Frame) -> Table:
    rows = (
        (
            line.channel,
            escape(line.provider),
            _marked(line.breaker, line.breaker != "closed", "red" if line.breaker == "open" else "yellow"),
            _rate(line.calls_per_s),
            _success(line.success),
            _latency(line.p95_s),
            _marked(_span(line.silence_s), line.silence_s > 0, "yellow") if line.silence_s else "",
            "" if line.balance is None else f"{line.balance:,.2f}",
        )
        for line in frame.providers
    )
    columns = ("channel", "provider", "breaker", "calls/s", "success", "p95", "silent for", "balance")
    return _table(columns, rows, right=(3, 4, 5, 6, 7))


def _processes(frame: Frame) -> Table:
    rows = (
        (
            escape(line.role),
            escape(line.instance),
            f"{line.memory_bytes / 1e6:.0f} MB",
            f"{line.cores:.2f}",
            _marked(_span(line.up_s), line.up_s < _YOUNG_S, "yellow"),
            _marked(str(line.restarts), line.restarts > 0),
        )
        for line in frame.processes
    )
    return _table(("process", "at", "memory", "cores", "up", "restarts"), rows, right=(2, 3, 4, 5))


def _table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int], folds: Sequence[int] = ()
) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place in right else "left", no_wrap=place not in folds)
    for row in rows:
        table.add_row(*row)
    return table


def _marked(text: str, wrong: bool, colour: str = "red") -> str:
    return f"[{colour} bold]{text}[/]" if wrong else text


def _success(percent: float | None) -> str:
    return "" if percent is None else _marked(f"{percent:.1f} %", percent < _LOW_SUCCESS)


def _latency(seconds: float | None) -> str:
    return "" if seconds is None else _marked(_span(seconds), seconds > _SLOW_S, "yellow")


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= _TEN else f"{per_s:.1f}"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _span(seconds: float) -> str:
    """A span of time in its two or three leading figures."""
    if seconds < 1:
        return f"{seconds * _KILO:.0f} ms" if seconds else "0"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < _TEN else f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < _DAY else f"{seconds / _DAY:.1f} d"
