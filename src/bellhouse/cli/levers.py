"""`pause`, `resume`, `provider`, `rate`, `levers` and `audit`: what an operator pulls, and what he did."""

from typing import Annotated, Any, Final

import typer

from bellhouse.cli import show
from bellhouse.cli.api import connect
from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.options import DEFAULT_DATA, Data, DryRun, For, Json, Key, Provider, Url, Why

provider = typer.Typer(
    help="Look at providers, test them, and say which comes first.", no_args_is_help=True, rich_markup_mode=None
)
rate = typer.Typer(help="Set how much may go out through a provider.", no_args_is_help=True, rich_markup_mode=None)

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

Channel = Annotated[str | None, typer.Option(help="Of this channel.")]
Priority = Annotated[str | None, typer.Option(help="Of this priority.")]
Tenant = Annotated[str | None, typer.Option(help="Of this tenant, in each of its environments.")]
Type = Annotated[str | None, typer.Option("--type", help="Of this notification type.")]
Template = Annotated[str | None, typer.Option(help="Of this template.")]
Campaign = Annotated[str | None, typer.Option(help="Of this campaign, in every tenant.")]
All = Annotated[bool, typer.Option("--all", help="The whole platform, where nothing else is chosen.")]


def pause(
    channel: Channel = None,
    priority: Priority = None,
    tenant: Tenant = None,
    kind: Type = None,
    template: Template = None,
    campaign: Campaign = None,
    everything: All = False,
    time: For = None,
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Send nothing of what is chosen until it is resumed; it is accepted, and waits within its lifetime."""
    body = _chosen(channel, priority, tenant, kind, template, campaign, everything) | {"for_s": seconds(time)}
    tell(connect(data, url, key).post("/v1/levers/pause", acted(body, why, dry_run)), json)


def resume(
    channel: Channel = None,
    priority: Priority = None,
    tenant: Tenant = None,
    kind: Type = None,
    template: Template = None,
    campaign: Campaign = None,
    everything: All = False,
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """End the pause that was begun with the same words; what waited goes out at the configured rates."""
    body = _chosen(channel, priority, tenant, kind, template, campaign, everything)
    tell(connect(data, url, key).post("/v1/levers/resume", acted(body, why, dry_run)), json)


@provider.command()
def prefer(
    name: Annotated[str | None, typer.Argument(metavar="[PROVIDER]", help="Which comes first.")] = None,
    channel: Annotated[str | None, typer.Option(help="On this channel; without it, on each that it serves.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="The configured order again, on --channel.")] = False,
    time: For = None,
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Put a provider first among those that can reach the contact point; it wins over PRIMARY_PROVIDER."""
    if reset == (name is not None) or (reset and channel is None):
        raise Failure("Which?", "Give a provider, or --reset with --channel", USAGE)
    body = {"provider": name, "channel": channel, "for_s": seconds(time)}
    tell(connect(data, url, key).post("/v1/levers/prefer", acted(body, why, dry_run)), json)


@provider.command(name="list")
def list_(data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Show every provider: channels, rate, breakers, which comes first, whether it confirms, its status page."""
    answer = connect(data, url, key).get("/v1/providers")
    if json:
        show.as_json(answer)
        return
    rows: list[tuple[Any, ...]] = []
    for one in answer["providers"]:
        at = "no limit" if one["rate"] is None else f"{one['rate']:g}/s ({one['rate_from']})"
        for of in one["channels"]:
            breaker = of["breaker"] + (" (forced)" if of["forced"] != "none" else "")
            first = {"lever": "yes (lever)", "setting": "yes", "none": ""}[of["preferred_by"]]
            rows.append((of["channel"], one["name"], first, breaker, at, one["confirms"], one["status_page"]))
        if not one["enabled"]:
            rows.append((None, one["name"], "not in use", None, None, None, None))
    rows.sort(key=lambda row: row[0] or "~")
    show.table(("channel", "provider", "first", "breaker", "rate", "confirms", "status page"), rows)


@provider.command(name="test")
def try_out(name: Provider, data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Call a provider with the server's credentials, sending nothing to anybody; exit with 1 where that fails."""
    from urllib.parse import quote

    answer = connect(data, url, key).post(f"/v1/providers/{quote(name, safe='')}/test")
    if json:
        show.as_json(answer)
    elif not answer["trials"]:
        show.line(f"{show.cell(name)}: nothing leaves this machine, so there is nothing to test.")
    for trial in () if json else answer["trials"]:
        result = "works" if trial["works"] else f"{trial['verdict']} {trial['code']}"
        said = f": {trial['said']}" if trial["said"] else ""
        show.line(f"{trial['of']}: {show.cell(result)} in {trial['duration_ms']:g} ms{show.cell(said)}")
        if trial["remedy"]:
            show.line(f"  {show.cell(trial['remedy'])}")
    if not answer["works"]:
        if answer["status_page"] and not json:
            show.line(f"Its status page: {answer['status_page']}")
        raise typer.Exit(1)


@rate.command(name="set")
def set_(
    name: Provider,
    messages: Annotated[float, typer.Argument(metavar="RATE", help="Messages a second, all processes together.")],
    time: For = None,
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Send at this rate until it is reset; it wins over the configured rate and SEND_RATE_LIMIT."""
    body = {"provider": name, "rate": messages, "for_s": seconds(time)}
    tell(connect(data, url, key).post("/v1/levers/rate", acted(body, why, dry_run)), json)


@rate.command(name="reset")
def reset_(
    name: Provider,
    why: Why = "",
    dry_run: DryRun = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Send at the configured rate again."""
    tell(connect(data, url, key).post("/v1/levers/rate", acted({"provider": name}, why, dry_run)), json)


def levers(data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Show what is pulled now: pauses, preferred providers, rates."""
    answer = connect(data, url, key).get("/v1/levers")
    if json:
        show.as_json(answer)
        return
    names = ("kind", "scope", "value", "by", "at", "until", "why")
    show.table(names, [[row[name] for name in names] for row in answer["levers"]], "No lever is pulled.")


def audit(
    since: Annotated[str | None, typer.Option(help="Only acts since, RFC 3339 with a zone.")] = None,
    act: Annotated[str | None, typer.Option(help="Only acts of this kind, e.g. pause.")] = None,
    limit: Annotated[int, typer.Option(help="How many at the most.", min=1, max=1000)] = 100,
    cursor: Annotated[str | None, typer.Option(help="Go on behind this one.")] = None,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Show what operators did, the newest first: who, when, why, before and after."""
    answer = connect(data, url, key).get("/v1/audit", since=since, act=act, limit=limit, cursor=cursor)
    if json:
        show.as_json(answer)
        return
    names = ("at", "act", "scope", "by", "before", "after", "why")
    show.table(names, [[row[name] for name in names] for row in answer["acts"]], "No acts are recorded.")
    if answer["next"]:
        show.line(f"\nMore: --cursor {answer['next']}")


def seconds(text: str | None) -> int | None:
    """A time such as `30s`, `20m`, `4h` or `2d` in seconds."""
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and unit in _SECONDS):
        raise Failure(f"{text!r} is no time", "Give one like 30s, 20m, 4h or 2d", USAGE)
    return int(number) * _SECONDS[unit]


def acted(body: dict[str, Any], why: str, dry_run: bool) -> dict[str, Any]:
    """A request for an act, without what was not given."""
    return {name: value for name, value in body.items() if value is not None} | {"why": why, "dry_run": dry_run}


def tell(answer: dict[str, Any], json: bool) -> None:
    """Print what an act on levers changed."""
    if json:
        show.as_json(answer)
        return
    for change in answer["changes"]:
        what = f"{change['kind']} {change['scope']}"
        if not change["changed"]:
            show.line(f"{show.cell(what)}: unchanged, it is {show.cell(change['after'] or 'not pulled')}")
            continue
        verb = "would go" if answer["dry_run"] else "went"
        steps = f"{change['before'] or 'not pulled'} to {change['after'] or 'not pulled'}"
        show.line(f"{show.cell(what)}: {verb} from {show.cell(steps)}")
    tell_warnings(answer)


def tell_warnings(answer: dict[str, Any]) -> None:
    """Print what is to be said of an act besides."""
    for warning in answer.get("warnings", []):
        show.line(f"Mind: {show.cell(warning)}")


def _chosen(
    channel: str | None,
    priority: str | None,
    tenant: str | None,
    kind: str | None,
    template: str | None,
    campaign: str | None,
    everything: bool,
) -> dict[str, Any]:
    words = {
        "channel": channel,
        "priority": priority,
        "tenant": tenant,
        "type": kind,
        "template": template,
        "campaign": campaign,
    }
    given: dict[str, Any] = {name: value for name, value in words.items() if value is not None}
    if bool(given) == everything:
        raise Failure(
            "Which?", "Give --channel, --priority, --tenant, --type, --template, --campaign, or --all alone", USAGE
        )
    return given | ({"all": True} if everything else {})
