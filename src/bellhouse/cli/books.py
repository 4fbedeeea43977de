"""`ledger` and `migrate`: what is in the store."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.api import connect, running_url
from bellhouse.cli.failure import FAILED, USAGE, Failure
from bellhouse.cli.keys import on_store
from bellhouse.cli.options import DEFAULT_DATA, Config, Data, Json, Key, Url


def ledger(
    recount: Annotated[bool, typer.Option(help="Count the rows themselves beside the running counters.")] = True,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show that nothing was lost.

    Where everything that was accepted stands, by independent counts; exit status 1 if they do not balance. Asks the
    running server, or the file itself where none runs.
    """
    if url or running_url(data):
        answer = connect(data, url, key).get("/v1/ledger", recount="true" if recount else "false")
    else:
        answer = _ledger_of_store(data, config, recount)
    if json:
        show.as_json(answer)
    else:
        _show_ledger(answer)
    raise typer.Exit(FAILED if answer["imbalance"] else 0)


def migrate(
    back_to: Annotated[
        int | None,
        typer.Option(min=0, help="Take PostgreSQL's schema back to this step; what the later ones keep is lost."),
    ] = None,
    now: Annotated[
        bool,
        typer.Option("--now", help="Do it also under living processes that cannot live with it.", show_default=False),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Drop every table with all that is in it: --back-to 0.", show_default=False),
    ] = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Bring the schema up to date.

    Of the file, as `serve` does at its start; or of the PostgreSQL that `store.url` names, before any role of this
    program runs on it: old processes go on beside new ones. A step that they cannot live with is refused while one of
    them is alive; those before it stay. So is the way back, while one lives that needs what would go.
    """
    from bellhouse.app.maintenance import migrate as run

    if back_to == 0 and not yes:
        raise Failure("--back-to 0 drops every table with all that is in it", "Add --yes if that is meant", USAGE)
    with on_store(data, config) as settings:
        done = run(settings, back_to, now)
    if json:
        show.as_json({"file": done.file, "applied": done.applied})
    elif done.applied:
        show.line(f"{done.file}: applied {', '.join(str(number) for number in done.applied)}.")
    else:
        show.line(f"{done.file} is up to date.")


def _ledger_of_store(data: Path, config: Path | None, recount: bool) -> Any:
    from msgspec import to_builtins

    from bellhouse.app.maintenance import ledger as read
    from bellhouse.ops.levers import ledger_answer

    with on_store(data, config) as settings:
        return to_builtins(ledger_answer(read(settings, recount)))


def _show_ledger(answer: dict[str, Any]) -> None:
    show.line(f"Ledger at {answer['at']}: {answer['accepted']} accepted, {answer['planned']} deliveries planned\n")
    names = ("level", "state", "counted", "recounted")
    show.table(names, [[row[name] for name in names] for row in answer["lines"]])
    show.line("")
    rows = [(row["name"], row["left"], row["right"], "holds" if row["holds"] else "BROKEN") for row in answer["checks"]]
    show.table(("check", "left", "right", ""), rows)
    verdict = (
        "It balances." if not answer["imbalance"] else f"It does NOT balance: {answer['imbalance']} unaccounted for."
    )
    show.line(f"\n[bold]{verdict}[/bold]")
