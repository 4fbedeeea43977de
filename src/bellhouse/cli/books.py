"""`ledger`, `migrate` and `config`: what is in the file, and what is in the settings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.api import connect, running_url
from bellhouse.cli.failure import FAILED, USAGE, Failure
from bellhouse.cli.keys import on_file
from bellhouse.cli.options import DEFAULT_DATA, Config, Data, Json, Key, Url


def ledger(
    recount: Annotated[bool, typer.Option(help="Count the rows themselves beside the running counters.")] = True,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Show that nothing was lost.

    Where everything that was accepted stands, by independent counts; exit status 1 if they do not balance. Asks the
    running server, or the file itself where none runs.
    """
    if url or running_url(data):
        answer = connect(data, url, key).get("/v1/ledger", recount="true" if recount else "false")
    else:
        answer = _ledger_of_file(data, recount)
    if json:
        show.as_json(answer)
    else:
        _show_ledger(answer)
    raise typer.Exit(FAILED if answer["imbalance"] else 0)


def migrate(data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """Bring the file's schema up to date.

    `serve` does the same at its start.
    """
    from bellhouse.app.maintenance import migrate as run

    with on_file():
        done = run(data)
    if json:
        show.as_json({"file": done.file, "applied": done.applied})
    elif done.applied:
        show.line(f"{done.file}: applied {', '.join(str(number) for number in done.applied)}.")
    else:
        show.line(f"{done.file} is up to date.")


def config(
    data: Annotated[Path | None, typer.Option(help="The data folder.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print every setting and its origin.

    Its default, its value, and where that comes from: default, file, environment. Secrets are not shown.
    """
    import msgspec

    from bellhouse.app.settings import SettingsError, load
    from bellhouse.app.settings_page import rows

    try:
        loaded = load({"data": data}, config)
    except SettingsError as error:
        raise Failure(str(error), "docs/reference/settings.md explains each of them", USAGE) from None
    found = rows(loaded)
    if json:
        show.as_json({"file": str(loaded.file) if loaded.file else None, "settings": msgspec.to_builtins(found)})
        return
    show.line(f"File: {loaded.file or 'none'}\n")
    show.table(
        ("setting", "value", "default", "unit", "from"),
        [(row.name, _shown(row.value), _shown(row.default), row.unit, row.origin) for row in found],
    )


def _shown(value: Any) -> Any:
    return "unset" if value is None else value


def _ledger_of_file(data: Path, recount: bool) -> Any:
    from msgspec import to_builtins

    from bellhouse.app.maintenance import ledger as read
    from bellhouse.ops.levers import ledger_answer

    with on_file():
        return to_builtins(ledger_answer(read(data, recount)))


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
