"""`queue` and `token-cleanup`: what waits, what of it has expired, and device tokens that have died."""

from typing import Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.api import connect
from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.levers import seconds, tell_warnings
from bellhouse.cli.options import DEFAULT_DATA, Data, DryRun, Json, Key, Url, Why

queue = typer.Typer(
    help="Look at what waits, and end what has expired in it.", no_args_is_help=True, rich_markup_mode=None
)

_DAY_S = 86_400


@queue.command(name="list")
def list_(data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Show how much waits in each topic, since when, and whether it is paused."""
    answer = connect(data, url, key).get("/v1/queue")
    if json:
        show.as_json(answer)
        return
    waiting = [one for one in answer["topics"] if one["lag"] or one["paused"]]
    rows = [(one["topic"], one["lag"], one["oldest"], round(one["oldest_s"]), one["paused"]) for one in waiting]
    show.table(("topic", "lag", "oldest since", "seconds", "paused"), rows, "Nothing waits.")


@queue.command(name="skip-expired")
def skip_expired(
    channel: Annotated[str | None, typer.Option(help="Only deliveries of this channel.")] = None,
    priority: Annotated[str | None, typer.Option(help="Only of this priority.")] = None,
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """End what has expired in the backlog now, as expired, instead of when its turn comes."""
    body = {"channel": channel, "priority": priority, "why": why, "dry_run": dry_run}
    given = {name: value for name, value in body.items() if value is not None}
    api = connect(data, url, key)
    answer = api.post("/v1/queue/skip-expired", given)
    total = answer
    # One call works for some seconds; what is only counted would be counted again.
    while answer["more"] and not dry_run and answer["notifications"] + answer["deliveries"] > 0:
        answer = api.post("/v1/queue/skip-expired", given)
        total = {**answer, **{name: total[name] + answer[name] for name in ("notifications", "deliveries")}}
    if json:
        show.as_json(total)
        return
    verb = "would be ended" if dry_run else "ended"
    more = " so far; there is more" if total["more"] else ""
    show.line(f"{total['notifications']} notifications and {total['deliveries']} deliveries {verb} as expired{more}.")
    tell_warnings(total)


def token_cleanup(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="DAYS", help="Of profiles that nobody has stored for so long.")
    ] = "270d",
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Remove the push tokens of profiles that nobody has stored for long; dead ones were removed when they died."""
    body = {"older_than_days": _days(older_than), "why": why, "dry_run": dry_run}
    answer: dict[str, Any] = connect(data, url, key).post("/v1/token-cleanup", body)
    if json:
        show.as_json(answer)
        return
    verb = "would be removed" if dry_run else "removed"
    show.line(
        f"{answer['removed']} tokens {verb}, of {answer['profiles']} profiles that nobody has stored for so long."
    )
    tell_warnings(answer)


def _days(text: str) -> int:
    whole = seconds(text) or 0
    if whole == 0 or whole % _DAY_S:
        raise Failure(f"{text!r} is no number of days", "Give one like 270d", USAGE)
    return whole // _DAY_S
