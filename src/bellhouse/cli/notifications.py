"""`send`, `get` and `why`: one notification, from the request to its story."""

import json as json_text
from typing import Annotated, Any

import typer

from bellhouse.cli import show
from bellhouse.cli.api import connect
from bellhouse.cli.failure import USAGE, Failure
from bellhouse.cli.options import DEFAULT_DATA, Data, Json, Key, Url

Id = Annotated[str, typer.Argument(metavar="ID", help="The notification's id.")]


def send(
    user_id: Annotated[str, typer.Argument(help="The recipient.")],
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="The notification's type.")],
    fields: Annotated[
        list[str] | None, typer.Option("--set", help="A field of its data, name=value; value may be JSON. Repeatable.")
    ] = None,
    priority: Annotated[str | None, typer.Option(help="critical, high, normal or low.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="Only this channel. Repeatable.")] = None,
    send_at: Annotated[str | None, typer.Option(help="When to send it, RFC 3339 with a zone.")] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it is no longer worth sending.")] = None,
    campaign: Annotated[str | None, typer.Option(help="The campaign that it belongs to.")] = None,
    collapse_key: Annotated[str | None, typer.Option(help="Replaces an earlier one with the same key.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="Makes a repeat safe for 24 hours.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; send nothing.")] = False,
    data: Data = DEFAULT_DATA,
    url: Url = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Send one notification and print its id."""
    body: dict[str, Any] = {
        "user_id": user_id,
        "type": kind,
        "data": dict(map(_field, fields)) if fields else None,
        "priority": priority,
        "channels": channel or None,
        "send_at": send_at,
        "expires_at": expires_at,
        "campaign": campaign,
        "collapse_key": collapse_key,
        "idempotency_key": idempotency_key,
        "dry_run": dry_run or None,
    }
    given = {name: value for name, value in body.items() if value is not None}
    answer = connect(data, url, key).post("/v1/notifications", given)
    if json or dry_run:
        show.as_json(answer)
    else:
        print(answer["id"])


def get(notification_id: Id, data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Show a notification's whole story.

    Its decision with reasons, its deliveries, their attempts and callbacks, each with its time.
    """
    story = connect(data, url, key).get(f"/v1/notifications/{id_in(notification_id)}")
    if json:
        show.as_json(story)
        return
    campaign = f", campaign {show.cell(story['campaign'])}" if story.get("campaign") else ""
    show.line(
        f"[bold]{story['type']}[/bold] for {show.cell(story['user_id'])}: {story['state']} ({story['priority']}, "
        f"received {story['received_at']}{campaign})"
    )
    for reason in (story["decision"] or {}).get("reasons", []):
        show.line(f"  {reason.get('channel') or 'all channels'}: {show.cell(reason['sentence'])}")
    for delivery in story["deliveries"]:
        show.line(f"\n[bold]{delivery['channel']}[/bold] to {show.cell(delivery['contact'])}: {delivery['state']}")
        show.table(("at", "what", "provider", "result", "detail"), _events(delivery), "  Nothing yet.")


def why(notification_id: Id, data: Data = DEFAULT_DATA, url: Url = None, key: Key = None, json: Json = False) -> None:
    """Say in sentences why she got it, or why not."""
    answer = connect(data, url, key).get(f"/v1/notifications/{id_in(notification_id)}/why")
    if json:
        show.as_json(answer)
        return
    show.line(f"[bold]{answer['state']}[/bold]")
    for sentence in answer["sentences"]:
        show.line(f"- {show.cell(sentence)}")


def _events(delivery: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Attempts and callbacks of a delivery in the order in which they happened.

    A callback comes after the attempt that it is about, whatever the provider's clock said.
    """
    made = {one["attempt"]: one["at"] for one in delivery["attempts"]}
    rows = [
        ((one["at"], False), (one["at"], f"attempt {one['attempt']}", one["provider"], one["verdict"], one.get("code")))
        for one in delivery["attempts"]
    ]
    rows += [
        (
            (max(one["at"], made.get(one["attempt"], "")), True),
            (one["at"], "callback", one.get("provider"), one["news"], one.get("code")),
        )
        for one in delivery["callbacks"]
    ]
    return [row for _, row in sorted(rows, key=lambda both: both[0])]


def _field(text: str) -> tuple[str, Any]:
    """`name=value`; a value that is not JSON is a text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Failure(f"{text!r} is not name=value", "Write for example --set order=4711", USAGE)
    try:
        return name, json_text.loads(value)
    except ValueError:
        return name, value


def id_in(text: str) -> str:
    """The id that was given, in its canonical spelling. Raises Failure for what is none."""
    from uuid import UUID

    try:
        return str(UUID(text))
    except ValueError:
        raise Failure(f"{text!r} is no id", "An id is a UUID, as `bellhouse send` prints it", USAGE) from None
