"""`breaker`: the circuit breakers of providers, looked at and forced."""

from typing import Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.api import connect
from bellhouse.cli.options import DEFAULT_DATA, Data, Json, Key, Url

breaker = typer.Typer(help="Look at circuit breakers and force them.", no_args_is_help=True, rich_markup_mode=None)

Provider = Annotated[str, typer.Argument(help="The provider, e.g. sendgrid.")]


@breaker.command(name="list")
def list_(data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Show the breaker of every provider and channel."""
    _show(connect(data, url, key).get("/v1/breakers"), json)


@breaker.command(name="open")
def open_(provider: Provider, data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Send nothing through a provider until it is reset."""
    _show(connect(data, url, key).post(f"/v1/breakers/{provider}/open"), json)


@breaker.command()
def close(provider: Provider, data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Send through a provider whatever fails, until it is reset."""
    _show(connect(data, url, key).post(f"/v1/breakers/{provider}/close"), json)


@breaker.command()
def reset(provider: Provider, data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Close a breaker and let it work by itself again."""
    _show(connect(data, url, key).post(f"/v1/breakers/{provider}/reset"), json)


def _show(answer: dict[str, Any], json: bool) -> None:
    if json:
        show.as_json(answer)
        return
    names = ("channel", "provider", "state", "forced", "failures", "reason", "changed_at")
    show.table(names, [[row[name] for name in names] for row in answer["breakers"]], "There are no breakers yet.")
