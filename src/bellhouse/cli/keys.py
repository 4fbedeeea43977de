"""`keys`: API keys, made and revoked on the store itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bellhouse.cli import show
from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.options import DEFAULT_DATA, Config, Data, Json

if TYPE_CHECKING:
    from bellhouse.app.settings import Settings
    from bellhouse.security.keys import Scope

keys = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True, rich_markup_mode=None)


@keys.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose key it is.")] = "default",
    environment: Annotated[str, typer.Option(help="The tenant's environment, e.g. production.")] = "development",
    scope: Annotated[
        list[str] | None, typer.Option(help="send, read, manage, operate or admin; may be repeated. [default: send]")
    ] = None,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    data: Data = DEFAULT_DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a key and print it; it is shown this once and stored only as a digest."""
    from msgspec import to_builtins

    from bellhouse.app.maintenance import make_key

    with on_store(data, config) as settings:
        try:
            made, token = make_key(
                settings, tenant, environment, cast("tuple[Scope, ...]", tuple(scope or ["send"])), label
            )
        except ValueError as error:
            raise Failure(str(error), "", USAGE) from None
    if json:
        show.as_json({**to_builtins(made), "key": token})
    else:
        print(token)


@keys.command(name="list")
def list_(data: Data = DEFAULT_DATA, config: Config = None, json: Json = False) -> None:
    """List all keys, without their secrets."""
    from msgspec import to_builtins

    from bellhouse.app.maintenance import keys_of

    with on_store(data, config) as settings:
        found = to_builtins(keys_of(settings))
    if json:
        show.as_json({"keys": found})
        return
    names = ("id", "tenant", "environment", "scopes", "label", "created_at", "revoked_at")
    show.table(names, [[key[name] for name in names] for key in found], "There are no keys.")


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")],
    data: Data = DEFAULT_DATA,
    config: Config = None,
    json: Json = False,
) -> None:
    """End a key; a running server refuses it within a second."""
    from bellhouse.app.maintenance import revoke_key

    with on_store(data, config) as settings:
        revoked = revoke_key(settings, key_id)
    if not revoked:
        raise Failure(f"There is no key {key_id} that could be revoked", "`bellhouse keys list` shows their ids")
    show.as_json({"revoked": key_id}) if json else show.line(f"Key {key_id} is revoked.")


@contextmanager
def on_store(data: Path, config: Path | None) -> "Iterator[Settings]":
    """The settings of the store to work on; what can be wrong with it becomes a Failure."""
    from bellhouse.app.folder import CannotServe
    from bellhouse.app.maintenance import NoSuchFile
    from bellhouse.app.settings import SettingsError, load
    from bellhouse.ports.store.errors import StoreUnavailable

    try:
        yield load({"data": data}, config).settings
    except SettingsError as error:
        raise Failure(str(error), "`bellhouse config` shows every setting and where it comes from", USAGE) from None
    except NoSuchFile as error:
        raise Failure(
            f"There is no database at {error}", "Start `bellhouse serve` once, or name the folder with --data"
        ) from None
    except StoreUnavailable as error:
        raise Failure(f"The database cannot be used: {error.reason}", error.remedy) from None
    except CannotServe as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"The data folder cannot be used: {error}", "Check --data and who owns it") from None
