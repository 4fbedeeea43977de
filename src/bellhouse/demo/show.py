"""What a demo shows while it runs and at its end: a live picture in a terminal, plain lines elsewhere."""

import json
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bellhouse.demo.faults import Fault
from bellhouse.demo.oracle import Spread
from bellhouse.demo.processes import Ended
from bellhouse.demo.report import Report
from bellhouse.demo.watch import Ledger, Reading
from bellhouse.domain.words import DELIVERY_STATES

_COLOURS: Final = {"closed": "green", "open": "red", "half_open": "yellow"}
_PLAIN_EVERY_S: Final = 3.0


class Show(Protocol):
    """Where the progress goes."""

    def say(self, text: str) -> None:
        """One step of the preparation or of the end."""

    def look(self, share: float, asked: int, reading: Reading, faults: Sequence[Fault]) -> None:
        """How things stand at `share` of the day."""

    def close(self) -> None: ...


class Silent:
    """Shows nothing: for `--json`."""

    def say(self, text: str) -> None: ...

    def look(self, share: float, asked: int, reading: Reading, faults: Sequence[Fault]) -> None: ...

    def close(self) -> None: ...


class Lines:
    """A line every few seconds, and one for each change of what goes wrong."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = -_PLAIN_EVERY_S
        self._going: set[str] = set()

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False)

    def look(self, share: float, asked: int, reading: Reading, faults: Sequence[Fault]) -> None:
        for fault in faults:
            if fault.name not in self._going:
                self.say(f"{hour(share)}  {fault.name}: {fault.what}")
        for name in sorted(self._going - {fault.name for fault in faults}):
            self.say(f"{hour(share)}  {name} is over")
        self._going = {fault.name for fault in faults}
        if reading.at_s - self._last >= _PLAIN_EVERY_S:
            self._last = reading.at_s
            self.say(
                f"{hour(share)}  {asked:,} events; {_rates(reading)}; {_states(reading)}; {ledger_line(reading.ledger)}"
            )

    def close(self) -> None: ...


class Picture:
    """One picture in a terminal, drawn anew a few times a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None

    def say(self, text: str) -> None:
        self.close()
        self._console.print(text, highlight=False)

    def look(self, share: float, asked: int, reading: Reading, faults: Sequence[Fault]) -> None:
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        self._live.update(picture(share, asked, reading, faults))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def hour(share: float) -> str:
    """The time of the day at a share of it."""
    minutes = min(round(share * 1_440), 1_440)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def picture(share: float, asked: int, reading: Reading, faults: Sequence[Fault]) -> RenderableType:
    """Everything at one moment."""
    clock = Table.grid(padding=(0, 2))
    clock.add_row(
        Text(hour(share), style="bold"),
        ProgressBar(total=1.0, completed=min(share, 1.0), width=48),
        f"{asked:,} events",
    )
    channels = Table(box=None, pad_edge=False)
    for title in ("channel", "sent", "a second"):
        channels.add_column(title, justify="left" if title == "channel" else "right")
    for channel, count in sorted(reading.sent.items()):
        channels.add_row(channel, f"{count:,.0f}", f"{reading.sent_per_s.get(channel, 0):,.0f}")
    trouble = Text(
        "\n".join(f"{fault.name}: {fault.what}" for fault in faults) or "nothing", style="red" if faults else "dim"
    )
    return Panel(
        Group(
            clock,
            Text(),
            channels,
            Text(),
            Text.assemble("breakers  ", *_breaker_texts(reading)),
            Text(f"on their way  {_states(reading)}"),
            Text(
                f"ledger  {ledger_line(reading.ledger)}", style="green" if reading.ledger.imbalance == 0 else "bold red"
            ),
            Text.assemble("going wrong  ", trouble),
        ),
        title="a product's day",
        width=100,
    )


def _breaker_texts(reading: Reading) -> list[tuple[str, str]]:
    return [(f"{each.provider} {each.state}  ", _COLOURS.get(each.state, "")) for each in reading.breakers]


def _rates(reading: Reading) -> str:
    return (
        ", ".join(f"{name} {rate:,.0f}/s" for name, rate in sorted(reading.through.items()) if rate >= 0.5)
        or "nothing sent"
    )


def _states(reading: Reading) -> str:
    return f"{reading.backlog:,} in the log, {reading.retries:,} retries, {reading.dead_letters:,} dead letters"


def ledger_line(ledger: Ledger) -> str:
    """The ledger in one line: every notification and every delivery is somewhere."""
    parts = [f"{line.state} {line.counted:,}" for line in ledger.lines if line.level == "delivery" and line.counted]
    verdict = "balances" if ledger.imbalance == 0 else f"IMBALANCE {ledger.imbalance:,}"
    return f"{ledger.accepted:,} accepted, {ledger.planned:,} planned = {' + '.join(parts) or '0'}: {verdict}"


def final(console: Console, report: Report) -> None:
    """The end: what was asked, what happened, and whether it adds up."""
    _caller(console, report)
    _counts(console, "Deliveries by channel", report.by_channel)
    _counts(console, "Deliveries by priority", report.by_priority, report.oracle.latency_ms)
    _counts(console, "What the outside world answered, by provider", report.by_provider)
    _pairs(console, "Deliveries that no provider accepted, and why", report.oracle.reasons)
    _pairs(console, "Left out by the router, and why", report.suppressed)
    _pairs(console, "Still waiting, by reason", report.waiting)
    _faults(console, report)
    _story(console, report.story)
    _dead_letters(console, report)
    _ledger(console, report)
    _oracle(console, report)


def _caller(console: Console, report: Report) -> None:
    caller = report.caller
    refused = ", ".join(f"{count} {reason}" for reason, count in caller.refused.items()) or "none"
    console.print(
        f"\n[bold]{caller.events:,} events[/] for {report.recipients:,} recipients in {report.play_s:.0f} s: "
        f"{caller.accepted:,} accepted, {caller.repeats:,} repeats got their first answer, refused: {refused}.",
        highlight=False,
    )
    console.print(
        f"The answer took {_ms(caller.single_ms)} for a single POST, {_ms(caller.batch_ms)} for a batch.",
        highlight=False,
    )


def _ms(spread: Spread) -> str:
    return f"{spread.p50:,.0f} ms (p99 {spread.p99:,.0f})"


def _counts(
    console: Console,
    title: str,
    rows: Mapping[str, Mapping[str, int]],
    latency: Mapping[str, Spread] | None = None,
) -> None:
    seen = dict.fromkeys(state for states in rows.values() for state in states)
    columns = [*(state for state in DELIVERY_STATES if state in seen), *(s for s in seen if s not in DELIVERY_STATES)]
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for column in ("p50 ms", "p99 ms") if latency else ():
        table.add_column(column, justify="right")
    for name, states in rows.items():
        cells = [f"{states[column]:,}" if column in states else "" for column in columns]
        if latency is not None:
            spread = latency.get(name)
            cells += [f"{spread.p50:,.0f}", f"{spread.p99:,.0f}"] if spread else ["", ""]
        table.add_row(name, *cells)
    console.print(table)


def _pairs(console: Console, title: str, counts: Mapping[str, int]) -> None:
    if not counts:
        return
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    console.print(table)


def _faults(console: Console, report: Report) -> None:
    table = Table(title="What went wrong on the way", title_justify="left", header_style="bold")
    for column in ("from", "to", "", ""):
        table.add_column(column)
    for fault in report.faults:
        table.add_row(f"{fault.from_ms / 1000:.1f} s", f"{fault.to_ms / 1000:.1f} s", fault.name, fault.what)
    console.print(table)
    _ended(console, report)
    if report.breakers:
        console.print("Breakers: " + ", ".join(report.breakers), highlight=False)


def _ended(console: Console, report: Report) -> None:
    """Who was killed, and who took over."""
    if not report.ended:
        return
    if len(report.ended) == 1:
        (ended,) = report.ended
        console.print(f"{ended.role}: {_end(ended)}, process {ended.again} took over.", highlight=False)
    else:
        _processes(console, report)
    console.print(f"{report.in_hands:,} deliveries were in the hands of what was killed.", highlight=False)


def _processes(console: Console, report: Report) -> None:
    table = Table(title="The processes", title_justify="left", header_style="bold")
    for column in ("role", "on the way", "took over"):
        table.add_column(column)
    for role in report.roles:
        gone = [ended for ended in report.ended if ended.role == role]
        table.add_row(role, "\n".join(map(_end, gone)), "\n".join(f"process {ended.again}" for ended in gone))
    console.print(table)


def _end(ended: Ended) -> str:
    how = "was killed" if ended.status == -signal.SIGKILL else f"ended with status {ended.status}"
    return f"process {ended.pid} {how}"


def _story(console: Console, story: Mapping[str, Any]) -> None:
    if not story:
        return
    console.print(
        f"\n[bold]The story of {story['id']}[/]: {story['type']} for {story['user_id']}, {story['priority']}, "
        f"{story['state']}; received {story['received_at']}",
        highlight=False,
    )
    for delivery in story["deliveries"]:
        console.print(
            f"  {delivery['channel']}: {delivery['state']}. {delivery['reason']['sentence']}", highlight=False
        )
        for step in delivery["history"]:
            console.print(f"    {step['at'][11:23]}  {step['source']:8}  {_step(step, delivery)}", highlight=False)
    decision = story.get("decision") or {}
    for reason in decision.get("reasons", []):
        console.print(f"  not {reason.get('channel', '')}: {reason['sentence']}", highlight=False)


def _step(step: Mapping[str, Any], delivery: Mapping[str, Any]) -> str:
    """One thing that happened, with the attempt that it was."""
    reason = step.get("reason")
    attempt = next(
        (each for each in delivery["attempts"] if each["at"] == step["at"] and each["state"] == step["state"]), None
    )
    call = f" · {attempt['provider']} said {attempt.get('code', '?')}" if attempt and attempt.get("provider") else ""
    return f"{step['state']}{call}{' · ' + reason['sentence'] if reason else ''}"


def _dead_letters(console: Console, report: Report) -> None:
    letters = report.dead_letters
    _pairs(console, f"Dead letters: {letters.found:,}", letters.by_reason)
    if not letters.found:
        return
    left = ", ".join(f"{count:,} {state}" for state, count in letters.left.items())
    console.print(
        f"The cause is healed; {letters.replayed:,} were replayed and {letters.sent:,} of them have gone out"
        f"{f' ({left})' if left else ''}.",
        highlight=False,
    )


def _ledger(console: Console, report: Report) -> None:
    table = Table(title="The ledger", title_justify="left", header_style="bold")
    for column, right in (("", False), ("state", False), ("counted", True), ("recounted from the rows", True)):
        table.add_column(column, justify="right" if right else "left")
    for line in report.ledger.lines:
        if line.counted or line.recounted:
            again = "" if line.recounted is None else f"{line.recounted:,}"
            table.add_row(line.level, line.state, f"{line.counted:,}", again)
    console.print(table)
    held = sum(check.holds for check in report.ledger.checks)
    console.print(
        f"{report.ledger.accepted:,} accepted, {report.ledger.planned:,} planned; "
        f"{held} of {len(report.ledger.checks)} equations hold, imbalance {report.ledger.imbalance}.",
        highlight=False,
    )


def _oracle(console: Console, report: Report) -> None:
    oracle = report.oracle
    console.print(
        f"\n[bold]Promised {oracle.promised:,}, planned {oracle.planned:,}[/]: {oracle.received:,} accepted outside, "
        f"{oracle.in_app:,} in the inbox, {sum(oracle.reasons.values()):,} not sent with a reason. "
        f"{oracle.duplicates:,} second copies ({oracle.duplicates_unknown:,} after an unknown outcome, "
        f"{oracle.duplicates_killed:,} of killed processes, {oracle.duplicates_unexplained:,} without a cause).",
        highlight=False,
    )
    for failure in report.failures:
        console.print(f"[bold red]✗[/] {failure}", highlight=False)
    if report.sound:
        console.print("[bold green]✓ The ledger balances, nothing was lost, and nothing is stuck.[/]", highlight=False)
    if not report.caller.as_expected:
        console.print(
            f"[yellow]![/] The caller expected otherwise: {json.dumps(_expectation(report))}", highlight=False
        )


def _expectation(report: Report) -> dict[str, int]:
    wanted = report.caller.expected
    return {"accepted": wanted.accepted, "repeats": wanted.repeats, "refused": wanted.refused}
