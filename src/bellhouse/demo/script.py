"""The day as a file: NDJSON that anyone can read, write or replace, checked line by line.

First what a product defines, then what happens, one JSON object a line:

    {"kind":"type","name":"otp_code","type":{…}}                      the body of PUT /v1/types/{name}
    {"kind":"template","name":"otp_code","template":{…}}              the body of PUT /v1/templates/{name}
    {"kind":"recipient","user_id":"u1","recipient":{…}}               the body of PUT /v1/recipients/{user_id}
    {"kind":"event","at":"2026-11-23T08:00:00Z","notification":{…}}   when, and the body of POST /v1/notifications
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bellhouse.domain.words import Channel, Priority

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Body = dict[str, object]


class TypeLine(Struct, frozen=True, tag_field="kind", tag="type", forbid_unknown_fields=True):
    name: Name
    type: Body


class TemplateLine(Struct, frozen=True, tag_field="kind", tag="template", forbid_unknown_fields=True):
    name: Name
    template: Body


class RecipientLine(Struct, frozen=True, tag_field="kind", tag="recipient", forbid_unknown_fields=True):
    user_id: Name
    recipient: Body


class Asked(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/notifications`."""

    user_id: Name
    type: Name
    data: dict[str, object] = {}
    priority: Priority | None = None
    channels: list[Channel] | None = None
    send_at: str | None = None
    expires_at: str | None = None
    collapse_key: Annotated[str, Meta(max_length=255)] | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    dry_run: Literal[False] = False


class EventLine(Struct, frozen=True, tag_field="kind", tag="event", forbid_unknown_fields=True):
    at: str
    notification: Asked


Line = TypeLine | TemplateLine | RecipientLine | EventLine


class Day(Struct, frozen=True):
    """Everything that a demo plays; the events are in the order of their moments."""

    types: tuple[TypeLine, ...]
    templates: tuple[TemplateLine, ...]
    recipients: tuple[RecipientLine, ...]
    events: tuple[EventLine, ...]


class BadLine(Exception):
    """A line of the file that cannot be played: where, which field, what is wrong and how to put it right."""

    def __init__(self, line: int, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"line {line}, field {field}: {problem}. {remedy}")
        self.line = line
        self.field = field
        self.problem = problem
        self.remedy = remedy


def write(path: Path, day: Day) -> None:
    """Keep the day at `path`, as UTF-8 NDJSON."""
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as file:
        file.writelines(encode(line) + b"\n" for line in lines_of(day))


def lines_of(day: Day) -> Iterator[Line]:
    """The day's lines in the order of the file."""
    return chain(day.types, day.templates, day.recipients, day.events)


def read(path: Path) -> Day:
    """The day kept at `path`; empty lines are left out. Raises BadLine for the first line that is none, OSError."""
    with path.open("rb") as file:
        return gathered(file)


def gathered(lines: Iterable[bytes]) -> Day:
    """The day in these lines. Raises BadLine."""
    decoder = msgspec.json.Decoder(Line)
    kinds: dict[type[Line], list[Line]] = {TypeLine: [], TemplateLine: [], RecipientLine: [], EventLine: []}
    number = 0
    for number, raw in enumerate(lines, 1):
        if raw.strip():
            line = _decoded(decoder, raw, number)
            kinds[type(line)].append(line)
    if not kinds[EventLine]:
        raise BadLine(number, "kind", "the file has no event", 'Add lines of the form {"kind":"event",…}.')
    events = [line for line in kinds[EventLine] if isinstance(line, EventLine)]
    return Day(
        types=tuple(line for line in kinds[TypeLine] if isinstance(line, TypeLine)),
        templates=tuple(line for line in kinds[TemplateLine] if isinstance(line, TemplateLine)),
        recipients=tuple(line for line in kinds[RecipientLine] if isinstance(line, RecipientLine)),
        events=tuple(sorted(events, key=lambda event: moment(event.at))),
    )


def moment(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time. Raises ValueError for one without a zone, or none at all."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("the time has no zone")
    return round(at.timestamp() * 1000)


def _decoded(decoder: msgspec.json.Decoder[Line], raw: bytes, number: int) -> Line:
    try:
        line = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _bad(number, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadLine(number, "$", f"not JSON ({error})", "Write one JSON object in UTF-8 on each line.") from error
    if isinstance(line, EventLine):
        _check_times(line, number)
    return line


def _check_times(event: EventLine, number: int) -> None:
    asked = event.notification
    for field, text in (
        ("at", event.at),
        ("notification.send_at", asked.send_at),
        ("notification.expires_at", asked.expires_at),
    ):
        try:
            if text is not None:
                moment(text)
        except ValueError as error:
            remedy = "Write it with date, time and zone, such as 2026-11-23T08:00:00Z."
            raise BadLine(number, field, f"{text!r} is not an RFC 3339 time ({error})", remedy) from error


_WHERE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<path>[^`]*)`)?$", re.S)
_NAMED: Final = re.compile(r"(?P<kind>missing required|contains unknown) field `(?P<name>[^`]*)`")


def _bad(number: int, text: str) -> BadLine:
    """msgspec's message as a line, a field and a remedy."""
    match = _WHERE.match(text)
    path = (match["path"] if match else None) or ""
    what = (match["what"] if match else text) or text
    named = _NAMED.search(what)
    if named is None:
        return BadLine(number, path or "$", what, _remedy(path))
    field = f"{path}.{named['name']}" if path else named["name"]
    if named["kind"] == "missing required":
        return BadLine(number, field, "it is missing", f"Add {field}.")
    return BadLine(number, field, "there is no such field", f"Take {field} out, or correct its name.")


def _remedy(path: str) -> str:
    if path in ("", "kind"):
        return "A line is a JSON object whose kind is type, template, recipient or event."
    return f"Correct {path}: the reference of the API says what it takes."
