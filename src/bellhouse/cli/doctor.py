"""`doctor`: what is wrong, how one can see it, and what to type next."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.failure import FAILED, USAGE, Failure
from bellhouse.cli.options import DEFAULT_DATA, Data, Json, Key, Url

if TYPE_CHECKING:
    from bellhouse.ops.doctor.diagnose import Diagnosis


def doctor(
    slug: Annotated[
        str | None, typer.Argument(help="The runbook of the alert that fired; without it, everything counts alike.")
    ] = None,
    metrics: Annotated[
        list[str] | None, typer.Option(help="An address of /metrics; may be repeated. [default: the server's own]")
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(help="A Prometheus that scrapes all of them; its window is 5 minutes."),
    ] = None,
    window: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between the two looks at the metrics.")] = 5.0,
    log: Annotated[str | None, typer.Option(help="A log file to read as well; - reads standard input.")] = None,
    test_providers: Annotated[
        bool, typer.Option("--test-providers", help="Make one dry call of each provider.", show_default=False)
    ] = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Say what is wrong, what shows it, and what to type next.

    Collects facts for some seconds and ranks causes, the likeliest first. It changes nothing. Exit status 0: healthy;
    1: a cause was found, or nothing could be asked.
    """
    from bellhouse.app.examine import Request, examine
    from bellhouse.cli.api import kept_key, running_url
    from bellhouse.ops.doctor.diagnose import diagnose
    from bellhouse.ops.doctor.slugs import FIRST

    if slug is not None and slug not in FIRST:
        raise Failure(f"There is no runbook {slug!r}", f"Known are: {', '.join(FIRST)}", USAGE)
    where = url or running_url(data)
    with _lines(log) as lines:
        facts = examine(
            Request(
                where.rstrip("/") if where else None,
                key or kept_key(data),
                data if data.is_dir() or not (where or metrics or prometheus) else None,
                tuple(metrics or ()),
                prometheus,
                window,
                lines,
                test_providers,
            )
        )
    found = diagnose(facts, slug)
    if json:
        show.as_json(_as_json(found))
    else:
        _show(found)
    raise typer.Exit(0 if found.healthy else FAILED)


def _lines(log: str | None) -> Any:
    if log is None:
        return nullcontext(None)
    if log == "-":
        return nullcontext(sys.stdin)
    try:
        return Path(log).open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Failure(f"{log} cannot be read: {error.strerror}", "Give the file of the server's log", USAGE) from None


def _as_json(found: "Diagnosis") -> dict[str, Any]:
    from msgspec import to_builtins

    answer: dict[str, Any] = to_builtins(found)
    for rank, (cause, row) in enumerate(zip(found.causes, answer["causes"], strict=True), 1):
        row |= {"rank": rank, "confidence": cause.confidence}
    unknown = not found.healthy and found.causes[0].name == "Healthy"
    answer |= {"healthy": found.healthy, "cause": None if unknown else found.causes[0].name}
    if found.slug is not None:
        answer["runbook"] = f"docs/runbooks/{found.slug}.md"
    return answer


def _show(found: "Diagnosis") -> None:
    first, *rest = found.causes
    if not found.healthy and first.name == "Healthy":
        show.line(f"[bold]Unknown[/bold]: {show.cell(first.summary)}")
    elif found.healthy:
        show.line(f"[bold]Healthy[/bold]: {show.cell(first.summary)}")
    else:
        show.line(f"[bold]{first.name}[/bold] ({first.confidence}): {show.cell(first.summary)}")
    for sentence in first.evidence:
        show.line(f"  {show.cell(sentence)}")
    if not found.healthy:
        show.line("\nNext:")
        for command in first.commands:
            show.line(f"  {show.cell(command)}")
    if rest:
        show.line("\nAlso seen:\n")
        rows = [
            (cause.name, cause.confidence, cause.summary, f"with {cause.explained_by}" if cause.explained_by else "")
            for cause in rest
        ]
        show.table(("cause", "", "what", "comes"), rows)
    for gap in found.gaps:
        show.line(f"\nNot asked: {show.cell(gap)}")
    if found.slug is not None:
        show.line(f"\nThe runbook is docs/runbooks/{found.slug}.md.")
