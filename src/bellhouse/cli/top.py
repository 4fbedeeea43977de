"""`top`: the on-call board in a terminal."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bellhouse.cli import show
from bellhouse.cli.failure import Failure
from bellhouse.cli.options import DEFAULT_DATA, Data, Json, Url

if TYPE_CHECKING:
    from bellhouse.app.scraping import Scraper

_REMEDY: Final = "Start the server with `bellhouse serve`, or say where it is with --url, --metrics or --prometheus"


def top(
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end.", show_default=False)] = False,
    interval: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two looks.")] = 2.0,
    metrics: Annotated[
        list[str] | None,
        typer.Option(help="A process's /metrics; repeat it for each of a cluster. [default: the server's own]"),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(help="A Prometheus: for its alerts, and for all figures where no --url or --metrics is given."),
    ] = None,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show how the platform is, like top.

    Rates, success, latency, queues, breakers, providers, processes and alerts, over the last minute, looked at anew
    every few seconds until Ctrl-C. With --json one frame is printed, as with --once; without a Prometheus it takes two
    looks, an interval apart.
    """
    from bellhouse.app.asking import Unanswered
    from bellhouse.app.scraping import Scraper

    scraper = Scraper(_targets(data, url, metrics or [], prometheus), prometheus)
    try:
        if json or once or not sys.stdout.isatty():
            _print_one(scraper, interval, json)
        else:
            _live(scraper, interval)
    except Unanswered as error:
        raise Failure(f"Nobody gives figures: {error}", _REMEDY) from None


def _targets(data: Any, url: str | None, metrics: list[str], prometheus: str | None) -> list[str]:
    from bellhouse.cli.api import running_url

    if metrics or (prometheus is not None and url is None):
        return metrics
    server = url or running_url(data)
    if server is None:
        raise Failure(f"No server runs on {data}", _REMEDY)
    return [f"{server.rstrip('/')}/metrics"]


def _print_one(scraper: "Scraper", interval: float, json: bool) -> None:
    from msgspec import to_builtins

    from bellhouse.cli.top_picture import picture

    frame = scraper.look()
    if scraper.needs_two_looks:
        scraper.pause(interval)
        frame = scraper.look()
    if json:
        show.as_json(to_builtins(frame))
    else:
        show.drawing(picture(frame))


def _live(scraper: "Scraper", interval: float) -> None:
    from contextlib import suppress

    from rich.live import Live

    from bellhouse.app.asking import Unanswered
    from bellhouse.cli.top_picture import gone, picture

    shown = picture(scraper.look())
    # Ctrl-C is how one leaves; it is no failure.
    with suppress(KeyboardInterrupt), Live(shown, screen=True, auto_refresh=False) as live:
        live.refresh()
        while True:
            scraper.pause(interval)
            try:
                shown = picture(scraper.look())
                live.update(shown, refresh=True)
            except Unanswered as error:
                live.update(gone(shown, str(error)), refresh=True)
