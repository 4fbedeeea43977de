"""`doctor`: what is wrong, how one can see it, and what to type next."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bellhouse.cli import show
from bellhouse.cli.failure import FAILED, USAGE, Failure
from bellhouse.cli.options import DEFAULT_DATA, Data, Json, Key, Url

if TYPE_CHECKING:
    from bellhouse.ops.doctor.diagnose import Diagnosis

_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}


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
    where, folder = url or running_url(data), _folder(data, url, bool(metrics or prometheus))
    with _lines(log) as lines:
        facts = examine(
            Request(
                where.rstrip("/") if where else None,
                key or (kept_key(folder) if folder else None),
                folder,
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


def _folder(data: Path, url: str | None, others: bool) -> Path | None:
    """The data folder, where it may be looked at for the server that is asked about.

    Of one that runs elsewhere it says nothing, though a folder of that name may lie here.
    """
    from bellhouse.cli.api import running_url

    if not data.is_dir():
        return None if url or others else data
    here = running_url(data)
    return None if url and here and not _same(url, here) else data


def _same(one: str, other: str) -> bool:
    """Whether two addresses lead to one server, as far as can be seen from their words."""
    from urllib.parse import urlsplit

    try:
        ends = [(parts.port, parts.hostname) for parts in (urlsplit(one), urlsplit(other))]
    except ValueError:
        return False
    (port, host), (other_port, other_host) = ends
    return port == other_port and (host == other_host or {host, other_host} <= _LOOPBACK)


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
    answer |= {"healthy": found.healthy, "cause": None if found.unknown else found.causes[0].name}
    if found.slug is not None:
        answer["runbook"] = f"docs/runbooks/{found.slug}.md"
    return answer


def _show(found: "Diagnosis") -> None:
    first, *rest = found.causes
    if found.unknown:
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
