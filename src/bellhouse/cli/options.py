"""The options that many commands share, each written once."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_DATA = Path("bellhouse-data")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Data = Annotated[
    Path, typer.Option("--data", envvar="BELLHOUSE_DATA", help="The data folder of the server.", show_default=True)
]
Url = Annotated[
    str | None,
    typer.Option("--url", envvar="BELLHOUSE_URL", help="The server; without it, the one that runs on --data."),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="BELLHOUSE_KEY",
        help="The API key; without it, the development key of --data.",
        show_envvar=True,
    ),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="A TOML file of settings; without it, bellhouse.toml in --data.")
]
Simulator = Annotated[str, typer.Option("--url", envvar="BELLHOUSE_SIMULATOR_URL", help="Where the simulator listens.")]
DEFAULT_SIMULATOR = "http://127.0.0.1:9100"

Why = Annotated[str, typer.Option("--why", help="Why, for whoever comes after; kept with the act.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")]
For = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="It goes back by itself after this: 30s, 20m, 4h or 2d.")
]
Provider = Annotated[str, typer.Argument(help="The provider, e.g. sendgrid.")]
