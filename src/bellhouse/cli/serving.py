"""The commands that run something: `serve` and `bench`."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.options import Config, Json

if TYPE_CHECKING:
    from bellhouse.app.serve import Started


def serve(
    data: Annotated[Path | None, typer.Option(help="The data folder. [default: bellhouse-data]")] = None,
    port: Annotated[int | None, typer.Option(help="The API's port; 0 for any free one. [default: 8080]")] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on. [default: 127.0.0.1]")] = None,
    simulator: Annotated[str | None, typer.Option(help="A simulator's URL: all providers are taken from it.")] = None,
    processes: Annotated[int | None, typer.Option(help="1 or 2 processes. [default: 2]")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Run the platform until Ctrl-C.

    API, routing, delivery and callbacks, on one file. A development key is made and printed at the first start.
    """
    from bellhouse.app.folder import CannotServe
    from bellhouse.app.serve import serve as run
    from bellhouse.app.settings import SettingsError, load

    flags = {"data": data, "port": port, "host": host, "simulator": simulator, "processes": processes}
    try:
        settings = load(flags, config).settings
        status = run(settings, _as_json if json else _banner, lambda text: print(text, file=sys.stderr, flush=True))
    except SettingsError as error:
        raise Failure(str(error), "`bellhouse config` shows every setting and where it comes from", USAGE) from None
    except CannotServe as error:
        raise Failure(str(error)) from None
    raise typer.Exit(status)


def _as_json(started: "Started") -> None:
    import msgspec

    print(msgspec.json.encode(started).decode(), flush=True)


def _banner(started: "Started") -> None:
    rows = [("API", started.url), ("Docs", started.docs), ("Data", started.data)]
    rows.append(("Providers", "; ".join(f"{channel}: {', '.join(of)}" for channel, of in started.providers.items())))
    if started.key is not None:
        rows.append(("API key", f"{started.key}  (shown this once)"))
    if started.key_file is not None:
        rows.append(("Key file", f"{started.key_file}  (the command line on this machine uses it)"))
    print(f"\n  Bellhouse {started.version} is up.\n")
    for name, value in rows:
        print(f"  {name:<10} {value}")
    if all(set(of) <= {"log", "in_app"} for of in started.providers.values()):
        print("\n  No provider is configured, so push, email and SMS are accepted and sent nowhere (`log`).")
        print("  Configure one (docs/reference/settings.md), or try `bellhouse simulator` and --simulator URL.")
    print("\n  Ctrl-C ends it; what is in flight is finished first.\n", flush=True)


def bench(
    arguments: Annotated[list[str] | None, typer.Argument(help="Passed on; `bellhouse bench -- --help` lists.")] = None,
) -> None:
    """Measure cost, rate and latency.

    On this machine, beside their targets and the limits of the same machine.
    """
    root = _repository()
    if root is None:
        raise Failure(
            "The benchmarks are part of the repository, not of the installed package",
            "Clone the repository and run `make bench`",
        )
    command = [sys.executable, "-m", "benchmarks", *(arguments or [])]
    raise typer.Exit(subprocess.run(command, cwd=root, check=False).returncode)


def _repository() -> Path | None:
    """The repository that this package was installed from, where it still is one."""
    import bellhouse

    root = Path(bellhouse.__file__).resolve().parents[2]
    return root if (root / "benchmarks" / "__main__.py").exists() else None
