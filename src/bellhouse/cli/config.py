"""`config`: the settings in force, a file to start from, and whether file and environment can be used."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.failure import FAILED, USAGE, Failure
from bellhouse.cli.options import Config, Json
from bellhouse.cli.running import RoleWord

if TYPE_CHECKING:
    from bellhouse.app.faults import Fault
    from bellhouse.app.reachable import Finding
    from bellhouse.app.settings import Settings

config = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

Folder = Annotated[Path | None, typer.Option("--data", help="The data folder.")]


@config.callback()
def all_settings(context: typer.Context, data: Folder = None, config: Config = None, json: Json = False) -> None:
    """Print every setting and its origin.

    Its default, its value, and where that comes from: default, file, environment. Secrets are not shown.
    """
    if context.invoked_subcommand is not None:
        if data or config or json:
            word = context.invoked_subcommand
            raise Failure(f"Options stand behind `{word}`", f"`bellhouse config {word} --help` lists them", USAGE)
        return
    import msgspec

    from bellhouse.app.settings import SettingsError, load
    from bellhouse.app.settings_page import rows

    try:
        loaded = load({"data": data}, config)
    except SettingsError as error:
        raise _refused(error) from None
    found = rows(loaded)
    if json:
        show.as_json({"file": _file(loaded.file), "settings": msgspec.to_builtins(found)})
        return
    show.line(f"File: {loaded.file or 'none'}\n")
    show.table(
        ("setting", "value", "default", "unit", "from"),
        [
            (row.name, _shown(row.value), _shown(row.default), row.unit, row.origin)
            for row in found
            # Eight tables of lanes, all unset, would hide the rest.
            if ".lanes." not in row.name or row.origin != "default"
        ],
    )


@config.command()
def check(
    data: Folder = None,
    config: Config = None,
    role: Annotated[
        RoleWord | None, typer.Option(help="A role of the distributed mode: is there also all that it needs?")
    ] = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Try the store, Kafka and Redis for real.", show_default=False)
    ] = False,
    json: Json = False,
) -> None:
    """Say whether the settings can be used.

    File and environment are read whole, and everything that is wrong is named at once: exit status 2. With --role
    also what that role lacks; with --connect also what answers, and exit status 1 if something does not.
    """
    from bellhouse.app.needs import distributed_faults
    from bellhouse.app.settings import SettingsError, load

    try:
        loaded = load({"data": data}, config)
    except SettingsError as error:
        if not json:
            raise _refused(error) from None
        _as_json(None, error.faults, [], USAGE)
        raise typer.Exit(USAGE) from None
    faults = distributed_faults(loaded.settings) if role is not None else []
    findings = _tried(loaded.settings) if connect else []
    status = USAGE if any(fault.fatal for fault in faults) else FAILED if _unusable(findings) else 0
    if json:
        _as_json(loaded.file, faults, findings, status)
    else:
        _as_text(loaded.file, faults, findings, status)
    raise typer.Exit(status)


@config.command()
def default() -> None:
    """Print a file with every default.

    Each setting with its meaning, unit, bounds and environment variable: `bellhouse config default > bellhouse.toml`
    is a start.
    """
    import bellhouse.app

    print(Path(bellhouse.app.__file__).with_name("bellhouse.default.toml").read_text(encoding="utf-8"), end="")


def _refused(error: Exception) -> Failure:
    return Failure(str(error), "docs/reference/settings.md explains each of them", USAGE)


def _tried(settings: "Settings") -> "list[Finding]":
    import asyncio

    try:
        from bellhouse.app.reachable import reachable
    except ImportError as missing:
        reason = f"The engines cannot be tried without the package {missing.name}"
        raise Failure(reason, "Install it with the engines' drivers: pip install 'bellhouse[all]'") from None
    return asyncio.run(reachable(settings))


def _unusable(findings: "list[Finding]") -> bool:
    return not all(finding.usable for finding in findings)


def _as_json(file: Path | None, faults: "list[Fault]", findings: "list[Finding]", status: int) -> None:
    import msgspec

    show.as_json(
        {
            "file": _file(file),
            "usable": status == 0,
            "faults": msgspec.to_builtins([fault for fault in faults if fault.fatal]),
            "warnings": msgspec.to_builtins([fault for fault in faults if not fault.fatal]),
            "engines": msgspec.to_builtins(findings),
        }
    )


def _as_text(file: Path | None, faults: "list[Fault]", findings: "list[Finding]", status: int) -> None:
    show.line(f"File: {file or 'none'}")
    for fault in faults:
        show.line(f"{'Lacking' if fault.fatal else 'Warning'}: {show.cell(str(fault))}")
    for finding in findings:
        show.line(f"{finding.table}: {'' if finding.usable else 'NOT usable: '}{show.cell(finding.words)}")
        if finding.remedy:
            show.line(f"  {show.cell(finding.remedy)}")
    show.line("[bold]These settings can be used.[/bold]" if status == 0 else "[bold]These settings will not do.[/bold]")


def _file(file: Path | None) -> str | None:
    return str(file) if file else None


def _shown(value: Any) -> Any:
    return "unset" if value is None or value == [] else value
