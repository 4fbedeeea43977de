"""`move`: from one machine's file to a cluster's database, with everything that is pending."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.failure import FAILED, USAGE, Failure
from bellhouse.cli.options import DEFAULT_DATA, Config, Json

if TYPE_CHECKING:
    from bellhouse.app.move import Plan, Tell
    from bellhouse.app.settings import Settings
    from bellhouse.ops.move import MoveReport

_SCHEME = "sqlite:"


def move(
    from_: Annotated[str, typer.Option("--from", help="sqlite:DIR, the data folder of a stopped `serve`.")],
    to: Annotated[
        str | None, typer.Option("--to", help="postgresql://user@host:5432/database. [default: store.url]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be moved, and write nothing.")] = False,
    data: Annotated[
        Path,
        typer.Option("--data", envvar="BELLHOUSE_DATA", help="The folder with the roles' bellhouse.toml."),
    ] = DEFAULT_DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Move up from one machine to the cluster.

    Takes everything that a stopped data folder has into an empty PostgreSQL: what is pending goes on there, what was
    being sent is answered for by its type's policy, and both sides are counted. Killed at any moment and run again, it
    goes on. Exit status 1 if anything differs.
    """
    with _on(from_, to, data, config) as (settings, origin):
        if dry_run:
            _say_plan(_plan(settings, origin), json)
            return
        from bellhouse.app.move import move as run

        with _bars(json) as tell:
            report = run(settings, origin, tell)
    _say_report(report, json)
    raise typer.Exit(0 if report.balances else FAILED)


@contextmanager
def _on(from_: str, to: str | None, data: Path, config: Path | None) -> "Iterator[tuple[Settings, Path]]":
    """The target's settings and the source's place; what can be wrong becomes a Failure."""
    if not from_.startswith(_SCHEME) or from_ == _SCHEME:
        raise Failure(f"--from {from_} is not sqlite:DIR", "Name the data folder: --from sqlite:bellhouse-data", USAGE)
    from bellhouse.app.folder import CannotServe
    from bellhouse.app.move_needs import CannotMove
    from bellhouse.app.settings import SettingsError, load
    from bellhouse.ports.store.errors import StoreUnavailable

    flags: dict[str, Any] = {"data": data} if to is None else {"data": data, "store": {"url": to}}
    try:
        settings = load(flags, config).settings
        if settings.store.url is None:
            raise Failure("--to is needed", "Name the database: --to postgresql://user@host:5432/database", USAGE)
        yield settings, Path(from_.removeprefix(_SCHEME))
    except SettingsError as error:
        raise Failure(str(error), "`bellhouse config` shows every setting and where it comes from", USAGE) from None
    except (CannotMove, CannotServe) as error:
        raise Failure(str(error)) from None
    except StoreUnavailable as error:
        raise Failure(f"A database cannot be used: {error.reason}", error.remedy) from None
    except OSError as error:
        raise Failure(f"A folder cannot be used: {error}", "Check --from, --data, and who owns them") from None


def _plan(settings: "Settings", origin: Path) -> "Plan":
    from bellhouse.app.move import plan

    return plan(settings, origin)


def _say_plan(plan: "Plan", json: bool) -> None:
    from msgspec import to_builtins

    if json:
        show.as_json(to_builtins(plan))
    else:
        show.line(f"From {plan.moved_from} to {plan.moved_to} would be moved\n")
        show.table(("table", "rows"), [(name, rows) for name, rows in plan.rows.items() if rows], "no rows")
        show.line("")
        pending = [*plan.pending.items(), ("interrupted deliveries, of unknown outcome", plan.interrupted)]
        show.table(("pending", "records"), pending)
        for obstacle in plan.obstacles:
            show.line(f"\nNot yet: {show.cell(obstacle)}")
    if plan.obstacles:
        raise typer.Exit(FAILED)


def _say_report(report: "MoveReport", json: bool) -> None:
    from msgspec import to_builtins

    if json:
        show.as_json({**to_builtins(report), "differences": report.differences, "balances": report.balances})
        return
    word = {True: "", False: "DIFFERS"}
    show.line(f"From {report.moved_from} to {report.moved_to}: {report.accepted} notifications\n")
    show.table(
        ("table", "in the source", "read", "written", "in the target", ""),
        [
            (t.table, t.source, t.read, t.written, t.target, word[t.holds])
            for t in report.tables
            if t.source or t.target
        ],
    )
    show.line("")
    show.table(
        ("pending", "source", "target", ""), [(p.kind, p.source, p.target, word[p.holds]) for p in report.pending]
    )
    show.line("")
    show.table(
        ("ledger", "state", "source", "recounted", "target", "recounted", ""),
        [
            (x.level, x.state, x.source, x.source_recounted, x.target, x.target_recounted, word[x.holds])
            for x in report.ledger
        ],
    )
    show.line("")
    for sentence in _verdict(report):
        show.line(sentence)


def _verdict(report: "MoveReport") -> Iterator[str]:
    if report.interrupted:
        yield f"{report.interrupted} deliveries were being sent when the source ended: unknown, their policy decides."
    if report.finished_before:
        yield f"{report.finished_before} records of the log had been worked on already, and were left behind."
    if report.unreadable:
        yield f"{report.unreadable} records of the log cannot be read, and were left behind."
    if report.differences:
        yield f"[bold]The target differs: {', '.join(report.differences)}.[/bold] Nothing was opened: both stay marked."
        yield (
            "Drop and create the database, and run the command again: it begins anew. If it differs again, keep both "
            "and report it."
        )
        return
    if report.balances:
        yield "[bold]Both sides agree and balance.[/bold] The folder is marked as moved, and is not served any more."
    else:
        yield (
            f"[bold]Both sides agree, and do not balance[/bold]: {report.source_imbalance} unaccounted for in the "
            f"source, {report.target_imbalance} in the target."
        )
    yield f"{show.cell(report.pepper)}."


@contextmanager
def _bars(json: bool) -> "Iterator[Tell]":
    """Progress bars on a terminal; elsewhere nothing is shown on the way."""
    if json or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    from bellhouse.app.move import Step, titles

    names, bars = titles(), dict[str, TaskID]()
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def tell(step: Step) -> None:
            if step.total == 0:
                return
            if step.part not in bars:
                bars[step.part] = progress.add_task(names[step.part], total=step.total)
            progress.update(bars[step.part], completed=step.done, total=step.total)

        yield tell
