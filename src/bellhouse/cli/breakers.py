"""`breaker`: the circuit breakers of providers, looked at and forced."""

from typing import Any

import typer

from bellhouse.cli import show
from bellhouse.cli.api import Api, connect
from bellhouse.cli.levers import tell_warnings
from bellhouse.cli.options import DEFAULT_DATA, Data, DryRun, Json, Key, Provider, Url, Why

breaker = typer.Typer(help="Look at circuit breakers and force them.", no_args_is_help=True, rich_markup_mode=None)


@breaker.command(name="list")
def list_(data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Show the breaker of every provider and channel."""
    _show(connect(data, url, key).get("/v1/breakers"), json)


@breaker.command(name="open")
def open_(
    provider: Provider,
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Send nothing through a provider until it is reset."""
    _show(_act(connect(data, url, key), provider, "open", why, dry_run), json)


@breaker.command()
def close(
    provider: Provider,
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Send through a provider whatever fails, until it is reset."""
    _show(_act(connect(data, url, key), provider, "close", why, dry_run), json)


@breaker.command()
def reset(
    provider: Provider,
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Close a breaker and let it work by itself again."""
    _show(_act(connect(data, url, key), provider, "reset", why, dry_run), json)


def _act(api: Api, provider: str, act: str, why: str, dry_run: bool) -> Any:
    from urllib.parse import quote, urlencode

    given = urlencode(({"why": why} if why else {}) | ({"dry_run": "true"} if dry_run else {}))
    return api.post(f"/v1/breakers/{quote(provider, safe='')}/{act}" + (f"?{given}" if given else ""))


def _show(answer: dict[str, Any], json: bool) -> None:
    if json:
        show.as_json(answer)
        return
    names = ("channel", "provider", "state", "forced", "failures", "reason", "changed_at")
    show.table(names, [[row[name] for name in names] for row in answer["breakers"]], "There are no breakers yet.")
    if answer.get("outcome") == "unchanged":
        show.line("Unchanged.")
    if answer.get("dry_run"):
        show.line("So it would be; nothing was changed.")
    tell_warnings(answer)
