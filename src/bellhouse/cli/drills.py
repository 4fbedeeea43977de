"""`drill`: breaks something on purpose and shows that the alert, the diagnosis and the lever work."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.demo import insist_on_engines
from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.options import Json

if TYPE_CHECKING:
    from bellhouse.drills.scenario import Scenario


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
    _play(chosen, report=report, keep=keep, json=json)


def ops_demo(
    stay: Annotated[
        bool, typer.Option("--stay", help="Let everything run on until Ctrl-C.", show_default=False)
    ] = False,
    keep: Annotated[Path | None, typer.Option(help="Leave data and logs in this folder.")] = None,
) -> None:
    """Show one drill step by step, from the alert to the recovery, with a real Prometheus and Alertmanager.

    All providers of SMS go down under load; the pager is called, the doctor asked, the lever pulled.
    """
    insist_on_engines()
    from bellhouse.drills.catalogue import named

    _play(named(["all-providers-down"]), keep=keep, tour=True, stay=stay)


def _play(chosen: "Sequence[Scenario]", **options: Any) -> None:
    """Run drills, and exit with what came of it."""
    from bellhouse.demo.client import Refusal
    from bellhouse.demo.processes import DidNotStart
    from bellhouse.drills.session import Options, run
    from bellhouse.engines.errors import EngineDidNotStart, ProgramFailed

    try:
        status = run(chosen, Options(**options))
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
