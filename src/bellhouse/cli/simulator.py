"""`simulator`: runs the outside world in a box, and turns its dials while it runs."""

import json as json_text
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.options import DEFAULT_SIMULATOR, Json, Simulator

if TYPE_CHECKING:
    from bellhouse.simulator.client import SimulatorClient

simulator = typer.Typer(
    help="Run the outside world, or turn its dials.", invoke_without_command=True, rich_markup_mode=None
)


@simulator.callback()
def run(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Its own API; the providers' ports follow it. 0 for any free ones.")] = 9100,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    directory: Annotated[Path | None, typer.Option("--dir", help="Keep its credentials here over restarts.")] = None,
    receipts: Annotated[Path | None, typer.Option(help="Append every receipt to this NDJSON file.")] = None,
    callbacks: Annotated[str | None, typer.Option(help="The server that account-level callbacks go to.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes its dice repeatable.")] = None,
) -> None:
    """Run the simulator until Ctrl-C. It prints one JSON object with its ports and URLs when it is ready."""
    if context.invoked_subcommand is not None:
        return
    from bellhouse.simulator import Options, serve

    options = Options(
        host=host,
        port=port,
        dir=str(directory) if directory else None,
        receipts=str(receipts) if receipts else None,
        callback_base_url=callbacks,
        seed=seed,
    )
    try:
        serve(options)
    except OSError as error:
        raise Failure(f"The simulator cannot start: {error}", "Give another --port, or 0 for any free ones") from None


@simulator.command()
def dial(
    provider: Annotated[str, typer.Argument(help="fcm, sendgrid, smtp, twilio or vonage.")],
    settings: Annotated[
        list[str], typer.Argument(help="name=value; a dotted name goes into a dial, null is its default.")
    ],
    url: Simulator = DEFAULT_SIMULATOR,
    json: Json = False,
) -> None:
    """Turn dials: `bellhouse simulator dial sendgrid outage=503 latency.kind=fixed errors.internal=0.1`."""
    patch: dict[str, Any] = {}
    for setting in settings:
        _put(patch, setting)
    with _client(url) as client:
        _show_dials({provider: client.put_dials(provider, **patch)}, json)


@simulator.command()
def dials(url: Simulator = DEFAULT_SIMULATOR, json: Json = False) -> None:
    """Show how every provider behaves now."""
    with _client(url) as client:
        _show_dials(client.dials(), json)


@simulator.command()
def receipts(
    since: Annotated[int, typer.Option(help="Only receipts numbered above this.")] = 0,
    summary: Annotated[bool, typer.Option(help="Counts by provider and verdict.")] = False,
    url: Simulator = DEFAULT_SIMULATOR,
) -> None:
    """Print what the simulator has answered, one JSON object a line."""
    with _client(url) as client:
        if summary:
            show.as_json(client.summary())
            return
        for receipt in client.receipts(since):
            print(json_text.dumps(receipt))


@simulator.command()
def reset(url: Simulator = DEFAULT_SIMULATOR, json: Json = False) -> None:
    """Turn all dials back and forget all receipts."""
    with _client(url) as client:
        client.reset()
    show.as_json({"reset": True}) if json else show.line("All dials are back at their defaults.")


@contextmanager
def _client(url: str) -> Iterator["SimulatorClient"]:
    """A client whose refusals are Failures."""
    from bellhouse.simulator.client import SimulatorClient, SimulatorError

    try:
        yield SimulatorClient(url)
    except SimulatorError as error:
        raise Failure(str(error), "`bellhouse simulator dials` shows the names", USAGE) from None
    except OSError as error:
        raise Failure(
            f"No simulator answers at {url}: {error}", "Start one with `bellhouse simulator`, or give its --url"
        ) from None


def _put(patch: dict[str, Any], setting: str) -> None:
    """Enter one `a.b=value` into a nested patch; a value that is not JSON is a text."""
    name, equals, text = setting.partition("=")
    if not equals or not name:
        raise Failure(f"{setting!r} is not name=value", "Write for example outage=503", USAGE)
    value: Any = text
    if text not in ("503",):
        try:
            value = json_text.loads(text)
        except ValueError:
            value = text
    *tables, last = name.split(".")
    for table in tables:
        patch = patch.setdefault(table, {})
    patch[last] = value


def _show_dials(found: dict[str, Any], json: bool) -> None:
    if json:
        show.as_json(found)
        return
    for provider, of in found.items():
        show.line(f"[bold]{provider}[/bold]")
        show.table(("dial", "value"), [(name, json_text.dumps(value)) for name, value in of.items()])
