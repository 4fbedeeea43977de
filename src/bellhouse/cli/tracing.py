"""`trace`: where a notification's time went, as a tree; and its spans to a collector."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.api import connect
from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.notifications import Id, id_in
from bellhouse.cli.options import DEFAULT_DATA, Data, Json, Key, Url

if TYPE_CHECKING:
    from bellhouse.app.sections import Traces


def trace(
    notification_id: Id,
    export: Annotated[
        bool, typer.Option("--export", help="Send its spans to the collector of the settings, or of --otlp.")
    ] = False,
    otlp: Annotated[str | None, typer.Option("--otlp", metavar="URL", help="The collector to send them to.")] = None,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Show where a notification's time went, beside the latency budget.

    The trace is rebuilt from what is stored, whether it was sampled or not; what was not stored is not claimed.
    """
    answer = connect(data, url, key).get(f"/v1/notifications/{id_in(notification_id)}/trace")
    sent = _export(answer, otlp, data) if export or otlp is not None else None
    if json:
        show.as_json(answer if sent is None else {**answer, "exported_to": sent})
        return
    recorded = "recorded while it was worked on" if answer["sampled"] else "not sampled, rebuilt from its story"
    show.line(f"Trace [bold]{answer['trace_id']}[/bold] ({recorded})")
    show.table(("span", "service", "at", "took", "budget", "what"), _rows(answer["spans"]))
    if sent is not None:
        show.line(f"{len(answer['spans'])} spans were taken by {show.cell(sent)}.")


def _rows(spans: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The spans in the order of a walk through their tree, each indented below its parent."""
    known = {span["id"] for span in spans}
    rows: list[tuple[str, ...]] = []

    def walk(parent: str | None, depth: int) -> None:
        for span in spans:
            above = span["parent"] if span["parent"] in known else None
            if above == parent:
                rows.append(_row(span, depth))
                walk(span["id"], depth + 1)

    walk(None, 0)
    return rows


def _row(span: dict[str, Any], depth: int) -> tuple[str, ...]:
    took, budget = span["duration_ms"], span.get("budget_ms")
    measured = span["after_ms"] if span["name"] == "route" else took
    allowed = "" if budget is None else f"{budget:g} ms" + (" exceeded" if measured > budget else "")
    shown = f"{took:g} ms" if took else ""
    return "  " * depth + span["name"], span["service"], f"{span['after_ms']:+g} ms", shown, allowed, _about(span)


def _about(span: dict[str, Any]) -> str:
    about = span["attributes"]
    told = [str(about[name]) for name in ("priority", "state", "news", "status", "code", "reason") if about.get(name)]
    if span["name"] == "receive_notification":
        told.append(span["start"])
    return ", ".join(dict.fromkeys(told))


def _export(answer: dict[str, Any], otlp: str | None, data: Path) -> str:
    """Send the spans; answers where they went."""
    import msgspec

    from bellhouse.app.tracing import export
    from bellhouse.ops.trace import TraceAnswer, span_of

    settings = _settings(data)
    collector = otlp or settings.otlp_url
    if collector is None:
        raise Failure("No collector is known", "Say where it is with --otlp, or set traces.otlp_url", USAGE)
    if not collector.startswith(("http://", "https://")):
        raise Failure(f"{collector} is no URL of a collector", "Give one like http://127.0.0.1:4318", USAGE)
    told = msgspec.convert(answer, TraceAnswer)
    try:
        taken = export([span_of(told.trace_id, view) for view in told.spans], collector, settings)
    except ValueError as error:
        raise Failure(str(error)) from None
    if not taken:
        raise Failure(f"{collector} does not take the spans", "Check that an OTLP/HTTP collector listens there")
    return collector


def _settings(data: Path) -> "Traces":
    """The settings of the server's own folder and this environment."""
    from bellhouse.app.settings import SettingsError, load

    try:
        return load({"data": data}).settings.traces
    except SettingsError as error:
        raise Failure(str(error), "", USAGE) from None
