"""The commands of the distributed mode: `run` plays a role, `topics` makes and checks the log's topics."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellhouse.cli import show
from bellhouse.cli.failure import FAILED, USAGE, Failure
from bellhouse.cli.options import Config, Json

if TYPE_CHECKING:
    from bellhouse.app.run import Running


class RoleWord(StrEnum):
    """A role of the distributed mode."""

    API = "api"
    RELAY = "relay"
    ROUTER = "router"
    WORKER = "worker"
    SCHEDULER = "scheduler"
    EXPORTER = "exporter"
    ALL = "all"


class ChannelWord(StrEnum):
    """A channel."""

    PUSH = "push"
    EMAIL = "email"
    SMS = "sms"
    IN_APP = "in_app"
    CHAT = "chat"


class PriorityWord(StrEnum):
    """A priority."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


def run(
    role: Annotated[RoleWord, typer.Argument(help="What this process does; any number of each, on any host.")],
    channel: Annotated[
        list[ChannelWord] | None, typer.Option(help="A worker's channel; may be repeated. [default: all]")
    ] = None,
    priority: Annotated[
        list[PriorityWord] | None,
        typer.Option(help="A relay's, router's or worker's priority; may be repeated. [default: all]"),
    ] = None,
    host: Annotated[str | None, typer.Option(help="The API's address. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="The API's port; 0 for any free one. [default: 8080]")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="The port of health and metrics, of a role without the API. [default: 9464]")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The folder of bellhouse.toml and, without BELLHOUSE_SECRET, of the pepper.")
    ] = None,
    simulator: Annotated[str | None, typer.Option(help="A simulator's URL: all providers are taken from it.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Play a role of the distributed mode until SIGTERM.

    On PostgreSQL, Kafka and Redis, as the settings name them. Run `bellhouse migrate` and `bellhouse topics --create`
    first. A role that is told to end takes on nothing new, finishes what it has in hand, and leaves.
    """
    from bellhouse.app.folder import CannotServe
    from bellhouse.app.roles import Play
    from bellhouse.app.run import run as play_role
    from bellhouse.app.settings import SettingsError, load
    from bellhouse.app.simulated import simulated
    from bellhouse.domain.words import CHANNELS, PRIORITIES

    flags = {"data": data, "host": host, "port": port, "metrics_port": metrics_port, "simulator": simulator}
    channels = tuple(c for c in CHANNELS if channel is None or c in channel)
    priorities = tuple(p for p in PRIORITIES if priority is None or p in priority)
    try:
        settings = simulated(load(flags, config).settings)
        status = play_role(settings, Play(role.value, channels, priorities), _as_json if json else _banner)
    except SettingsError as error:
        raise Failure(str(error), "`bellhouse config check --role ROLE` says what a role needs", USAGE) from None
    except CannotServe as error:
        raise Failure(str(error)) from None
    raise typer.Exit(status)


def _as_json(running: "Running") -> None:
    import msgspec

    print(msgspec.json.encode(running).decode(), flush=True)


def _banner(running: "Running") -> None:
    print(f"Bellhouse {running.version}: {running.role} is up at {running.url} (process {running.pid})", flush=True)


def topics(
    create: Annotated[bool, typer.Option("--create", help="Make what is missing.", show_default=False)] = False,
    data: Annotated[Path | None, typer.Option(help="The data folder.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Check the log's topics, or make them.

    Each with what differs from the settings and what to do about it; exit status 1 if any is missing.
    """
    import msgspec

    from bellhouse.app.settings import SettingsError, load
    from bellhouse.app.topics import look_at_topics
    from bellhouse.ports.log import LogUnavailable

    try:
        settings = load({"data": data}, config).settings
        reports = look_at_topics(settings, create)
    except SettingsError as error:
        raise Failure(str(error), "`bellhouse config` shows every setting and where it comes from", USAGE) from None
    except LogUnavailable as down:
        raise Failure(f"The log cannot be used: {down.reason}", down.remedy) from None
    rows = msgspec.to_builtins(reports)
    if json:
        show.as_json({"topics": rows})
    else:
        show.table(
            ("topic", "cluster", "detail"),
            [(row["topic"], row["cluster"], row["detail"] or "as it should be") for row in rows],
        )
    if any(not row["usable"] for row in rows):
        print("Some topics are missing: `bellhouse topics --create` makes them.", file=sys.stderr)
        raise typer.Exit(FAILED)
