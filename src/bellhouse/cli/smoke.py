"""`smoke`: one probe through each channel, now."""

import typer

from bellhouse.cli import show
from bellhouse.cli.api import connect
from bellhouse.cli.failure import FAILED, Failure
from bellhouse.cli.options import DEFAULT_DATA, Data, Json, Key, Url


def smoke(data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Send a probe through every channel that has a recipient in `[probes]`, and wait until it has got through.

    Exit status 1 where one has not.
    """
    answer = connect(data, url, key).post("/v1/probes")
    probes = answer["probes"]
    if not probes:
        raise Failure("No channel can be probed", "Name a recipient for each channel in the table [probes]")
    if json:
        show.as_json(answer)
    else:
        names = ("channel", "outcome", "seconds", "provider", "reason", "id")
        show.table(names, [[probe[name] for name in names] for probe in probes], "")
    if any(probe["outcome"] != "confirmed" for probe in probes):
        raise typer.Exit(FAILED)
