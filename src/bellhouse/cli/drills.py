"""`drill`: breaks something on purpose and shows that the alert, the diagnosis and the lever work."""

from pathlib import Path
from typing import Annotated

import typer

from bellhouse.cli import show
from bellhouse.cli.demo import insist_on_engines
from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.options import Json


def drill(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[DRILL]...", help="Which, as --list names them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, one after another.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Only say which there are.")] = False,
    report: Annotated[Path | None, typer.Option(help="Also leave the report in this file, as Markdown.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Leave data and logs in this folder.")] = None,
    json: Json = False,
) -> None:
    """Break something on purpose, in a Bellhouse of its own, and show that it is seen, understood and mended.

    A minute of the alerts' rules is a second here. Exit status 0: the alert fired in time, the doctor named the cause,
    all recovered and the ledger balances; 1: not so.
    """
    insist_on_engines()
    from bellhouse.drills.catalogue import NAMES, SCENARIOS, named

    if listed:
        _list(json)
        return
    if bool(names) == everything:
        raise Failure("Which drill?", "Give names as --list shows them, or --all", USAGE)
    try:
        chosen = SCENARIOS if everything else named(names or ())
    except KeyError as error:
        raise Failure(f"There is no drill {error.args[0]}", f"There are: {', '.join(NAMES)}", USAGE) from None
    from bellhouse.demo.client import Refusal
    from bellhouse.demo.processes import DidNotStart
    from bellhouse.drills.session import Options, run
    from bellhouse.engines.errors import EngineDidNotStart, ProgramFailed

    try:
        status = run(chosen, Options(report=report, keep=keep, json=json))
    except (DidNotStart, EngineDidNotStart, ProgramFailed, Refusal) as error:
        remedy = "`make setup-cluster` installs what drills run on; --keep DIR leaves the logs"
        raise Failure(str(error), remedy) from None
    except OSError as error:
        raise Failure(str(error), "Give paths that can be written") from None
    raise typer.Exit(status)


def _list(json: bool) -> None:
    from bellhouse.drills.catalogue import SCENARIOS

    if json:
        rows = [
            {"name": one.name, "mode": one.mode, "breaks": one.breaks, "alert": one.alert, "cause": one.cause}
            for one in SCENARIOS
        ]
        show.as_json({"drills": rows})
        return
    show.table(
        ("drill", "on", "what breaks", "alert", "cause"),
        [(one.name, one.mode, one.breaks, one.alert, one.cause) for one in SCENARIOS],
    )
