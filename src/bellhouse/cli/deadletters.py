"""`dlq`: the deliveries that were given up."""

from typing import Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.api import Api, connect
from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.levers import tell_warnings
from bellhouse.cli.options import DEFAULT_DATA, Data, DryRun, Json, Key, Url, Why

dlq = typer.Typer(help="List, show, replay and discard dead letters.", no_args_is_help=True, rich_markup_mode=None)

Channel = Annotated[str | None, typer.Option(help="Only of this channel.")]
Reason = Annotated[str | None, typer.Option(help="Only with this reason.")]
Provider = Annotated[str | None, typer.Option(help="Only of this provider.")]
Type = Annotated[str | None, typer.Option("--type", help="Only of this notification type.")]
Since = Annotated[str | None, typer.Option(help="Only those given up since, RFC 3339 with a zone.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Delivery ids; or use the filters, or --all.")]
All = Annotated[bool, typer.Option("--all", help="All that are open, where no filter is given.")]


@dlq.command(name="list")
def list_(
    channel: Channel = None,
    reason: Reason = None,
    provider: Provider = None,
    kind: Type = None,
    since: Since = None,
    state: Annotated[str, typer.Option(help="open, replayed or discarded.")] = "open",
    limit: Annotated[int, typer.Option(help="How many at the most.", min=1, max=1000)] = 100,
    cursor: Annotated[str | None, typer.Option(help="Go on behind this one.")] = None,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """List dead letters, the oldest first."""
    found = connect(data, url, key).get(
        "/v1/dead-letters",
        channel=channel, reason=reason, provider=provider, type=kind, since=since, state=state, limit=limit,
        cursor=cursor,
    )  # fmt: skip
    if json:
        show.as_json(found)
        return
    names = ("id", "at", "channel", "provider", "type", "user_id", "reason", "code", "epoch")
    rows = [[letter[name] for name in names] for letter in found["dead_letters"]]
    show.table(names, rows, f"There are no {state} dead letters.")
    if found["next"]:
        show.line(f"\nMore: --cursor {found['next']}")


@dlq.command(name="show")
def show_(
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.")],
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Show one dead letter with its whole history."""
    notification, wanted = _ids_of(delivery_id)
    story = connect(data, url, key).get(f"/v1/notifications/{notification}")
    delivery = next((one for one in story["deliveries"] if one["id"] == wanted), None)
    if delivery is None:
        raise Failure(f"There is no delivery {wanted}", "`bellhouse dlq list` shows their ids")
    if json:
        show.as_json({"notification": {**story, "deliveries": None}, "delivery": delivery})
        return
    show.line(
        f"[bold]{delivery['channel']}[/bold] of {story['type']} for {show.cell(story['user_id'])}: {delivery['state']}"
    )
    show.line(show.cell(delivery["reason"]["sentence"]))
    rows = [
        (step["at"], step["source"], step["state"], (step.get("reason") or {}).get("sentence"), step.get("by"))
        for step in delivery["history"]
    ]
    show.table(("at", "source", "state", "reason", "by"), rows)


@dlq.command()
def replay(
    ids: Ids = None,
    channel: Channel = None,
    reason: Reason = None,
    provider: Provider = None,
    kind: Type = None,
    since: Since = None,
    everything: All = False,
    rate: Annotated[float | None, typer.Option(help="At most so many a second.")] = None,
    lifetime: Annotated[int, typer.Option(help="Seconds that what would have expired may live from now.")] = 3600,
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Send dead letters again, each once however often it is asked."""
    body = _chosen(ids, channel, reason, provider, kind, since, everything)
    body |= {"lifetime_s": lifetime} | ({"rate": rate} if rate else {})
    body |= ({"why": why} if why else {}) | ({"dry_run": True} if dry_run else {})
    _act(connect(data, url, key), "replay", body, json)


@dlq.command()
def discard(
    why: Annotated[str, typer.Option(help="The reason, which is kept with them.")],
    ids: Ids = None,
    channel: Channel = None,
    reason: Reason = None,
    provider: Provider = None,
    kind: Type = None,
    since: Since = None,
    everything: All = False,
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Put dead letters away for good, with a reason."""
    body = _chosen(ids, channel, reason, provider, kind, since, everything) | {"why": why}
    body |= {"dry_run": True} if dry_run else {}
    _act(connect(data, url, key), "discard", body, json)


def _chosen(
    ids: list[str] | None,
    channel: str | None,
    reason: str | None,
    provider: str | None,
    kind: str | None,
    since: str | None,
    everything: bool,
) -> dict[str, Any]:
    """The part of a request that says which ones; nothing at all is refused rather than taken for everything."""
    filters = {"channel": channel, "reason": reason, "provider": provider, "type": kind, "since": since}
    given = {name: value for name, value in filters.items() if value is not None}
    if ids and (given or everything):
        raise Failure("Ids and filters do not go together", "Give the one or the other", USAGE)
    if ids:
        return {"ids": [_ids_of(one)[1] for one in ids]}
    if not given and not everything:
        raise Failure("Which ones?", "Give ids, or filters, or --all", USAGE)
    return {"filter": given}


def _act(api: Api, act: str, body: dict[str, Any], json: bool) -> None:
    """One call works for some seconds; the same call again goes on with what is left."""
    done, more, dry_run = 0, True, "dry_run" in body
    while more:
        answer = api.post(f"/v1/dead-letters/{act}", body)
        done += answer["done"]
        # What is only counted does not become less: the same call would count it again.
        more = answer["more"] and answer["done"] > 0 and not dry_run
    word = "replayed" if act == "replay" else "discarded"
    if json:
        show.as_json({"done": done} | ({"dry_run": True} if dry_run else {}))
        return
    show.line(f"{done}{'+' if dry_run and answer['more'] else ''} {'would be ' * dry_run}{word}.")
    tell_warnings(answer)


def _ids_of(text: str) -> tuple[str, str]:
    """The ids of the notification and of the delivery: they differ in the last byte."""
    from uuid import UUID

    try:
        delivery = UUID(text)
    except ValueError:
        raise Failure(f"{text!r} is no id", "`bellhouse dlq list` shows them", USAGE) from None
    return str(UUID(int=delivery.int & ~0xFF)), str(delivery)
