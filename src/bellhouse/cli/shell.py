"""The command line put together: all commands, and how failures are told."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from bellhouse import __version__
from bellhouse.cli import (
    backlog,
    books,
    breakers,
    config,
    deadletters,
    keys,
    levers,
    monitoring,
    notifications,
    show,
    simulator,
)
from bellhouse.cli.demo import demo
from bellhouse.cli.doctor import doctor
from bellhouse.cli.drills import drill, ops_demo
from bellhouse.cli.failure import Failure
from bellhouse.cli.move import move
from bellhouse.cli.running import run, topics
from bellhouse.cli.serving import bench, serve
from bellhouse.cli.smoke import smoke
from bellhouse.cli.top import top
from bellhouse.cli.tracing import trace

shell = typer.Typer(
    name="bellhouse",
    help="Bellhouse: a notification platform that a team runs itself.",
    epilog="Exit status: 0 done, 1 failed or unbalanced, 2 asked wrongly. Every command takes --help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: laying it out by Rich takes longer than everything else together.
    rich_markup_mode=None,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        print(f"bellhouse {__version__}")
        raise typer.Exit


@shell.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None: ...


shell.command()(serve)
shell.command()(run)
shell.command()(topics)
shell.add_typer(simulator.simulator, name="simulator")
shell.command()(demo)
shell.add_typer(keys.keys, name="keys")
shell.command()(notifications.send)
shell.command()(notifications.get)
shell.command()(notifications.why)
shell.command()(trace)
shell.add_typer(deadletters.dlq, name="dlq")
shell.add_typer(breakers.breaker, name="breaker")
shell.command()(levers.pause)
shell.command()(levers.resume)
shell.add_typer(levers.provider, name="provider")
shell.add_typer(levers.rate, name="rate")
shell.add_typer(backlog.queue, name="queue")
shell.command()(backlog.token_cleanup)
shell.command()(levers.levers)
shell.command()(levers.audit)
shell.command()(top)
shell.command()(doctor)
shell.command()(smoke)
shell.command()(drill)
shell.command(name="ops-demo")(ops_demo)
shell.command()(books.ledger)
shell.command()(books.migrate)
shell.command()(move)
shell.command()(bench)
shell.add_typer(config.config, name="config")
shell.add_typer(monitoring.monitoring, name="monitoring")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        shell(given, prog_name="bellhouse")
    except Failure as failure:
        if "--json" in given:
            show.as_json(failure.words)
        else:
            print(f"bellhouse: {failure.message}", file=sys.stderr)
            if failure.remedy:
                print(f"  {failure.remedy.rstrip('.')}.", file=sys.stderr)
        sys.exit(failure.status)
    except KeyboardInterrupt:
        sys.exit(130)
