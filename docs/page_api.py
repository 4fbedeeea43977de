"""The page `docs/reference/api.md`, made from the OpenAPI document that the application itself answers."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from bellhouse.adapters.clock import SystemClock
from bellhouse.app.http import Services, build_asgi
from bellhouse.ingest.steps import Steps
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry
from bellhouse.templates.render import Renderer
from bellhouse.web.limits import Limits

_NOBODY: Final = cast(Any, None)
"""Stands for a store: the document is the same whatever lies behind the routes."""

_INTRODUCTION: Final = """\
# The HTTP API

Made from the code by `make docs`, out of the OpenAPI 3.1 document at `/openapi.json`; `/docs` browses the same on a
running server, without asking any other host. JSON in, JSON out; ids are UUIDs, times RFC 3339 with a zone.

* **Key:** `Authorization: Bearer bh_<environment>_<key id>_<secret>` names tenant and environment. Scopes: `send`
  sends and cancels; `read` reads; `manage` writes recipients, types, templates and suppressions; `operate` works on
  dead letters and breakers; `admin` is all of them, and sees every tenant's dead letters and ledger.
* **Errors** are problem details (RFC 9457); [errors.md](errors.md) has every code with its remedy.
* **States** are the words of [states.md](states.md), **reasons** the codes of [reasons.md](reasons.md).
* **Pages** have `next`: pass it as `cursor`, unchanged, for the page behind; null at the end.
* **Everywhere** `unauthorized`, `forbidden`, `internal_error` and `store_unavailable` are answers too; the lists below
  leave them out, but for routes that need no key.
* A field marked **required** must be there; `?` after a type means that it may be null; no other field is taken."""

_METHODS: Final = ("post", "put", "get", "patch", "delete")

Schema = Mapping[str, Any]


def page() -> str:
    """The page's text."""
    return "\n".join(_lines(document())) + "\n"


def document() -> dict[str, Any]:
    """The OpenAPI document of an application with nothing behind it."""
    found: dict[str, Any] = json.loads(asyncio.run(_answer("/openapi.json")))
    return found


async def _answer(path: str) -> bytes:
    parts: list[bytes] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        parts.append(message.get("body", b""))

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await build_asgi(_services())(scope, receive, send)
    return b"".join(parts)


def _services() -> Services:
    return Services(
        ingest=_NOBODY,
        route=_NOBODY,
        recipients=_NOBODY,
        catalogue=_NOBODY,
        breakers=_NOBODY,
        dead_letters=_NOBODY,
        levers=_NOBODY,
        audit=_NOBODY,
        expiry=_NOBODY,
        log=_NOBODY,
        insights=_NOBODY,
        clock=SystemClock(),
        telemetry=NullTelemetry(),
        logbook=NullLogbook(),
        renderer=Renderer(),
        pepper=bytes(32),
        callbacks=_NOBODY,
        readiness=_NOBODY,
        metrics=_NOBODY,
        steps=Steps(Limits(), SystemClock(), NullTelemetry(), NullLogbook()),
        provider_channels={},
    )


def _lines(found: Schema) -> Iterator[str]:
    yield _INTRODUCTION
    operations = sorted(
        (path, _METHODS.index(method), operation)
        for path, methods in found["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    )
    for tag in found["tags"]:
        yield from ("", f"## {tag['name']}", "", tag["description"])
        for path, method, operation in operations:
            if operation["tags"] == [tag["name"]]:
                yield from _operation(_METHODS[method].upper(), path, operation, found["components"]["schemas"])
    yield from _shapes(found["components"]["schemas"])


def _operation(method: str, path: str, operation: Schema, shapes: Mapping[str, Schema]) -> Iterator[str]:
    yield from ("", f"### {operation['summary']}", "", f"`{method} {path}`")
    if operation.get("description"):
        yield from ("", operation["description"])
    given = operation.get("parameters", [])
    if given:
        yield from ("", "| parameter | in | what it takes |", "| --- | --- | --- |")
        yield from (_parameter(each) for each in given)
    body = operation.get("requestBody")
    if body is not None:
        (media,) = body["content"].values()
        yield from ("", f"Body: {_type(media['schema'])}.")
        yield from ("", "```json", json.dumps(_example(media["schema"], shapes), ensure_ascii=False), "```")
    answers = sorted(operation["responses"].items())
    told = [(status, _answer_text(answer)) for status, answer in answers if int(status) < 400]
    yield from ("", "Answers " + "; ".join(f"`{status}` {text}".rstrip() for status, text in told) + ".")
    errors = [(status, code) for status, answer in answers for code in _codes(answer) if code not in _EVERYWHERE]
    if errors:
        yield "Refuses with " + ", ".join(f"`{status}` `{code}`" for status, code in errors) + "."


_EVERYWHERE: Final = frozenset({"unauthorized", "forbidden", "internal_error", "store_unavailable", "outcome_unknown"})


def _parameter(given: Schema) -> str:
    needed = "**required**. " if given.get("required") and given["in"] != "path" else ""
    text = " ".join(part for part in (_type(given["schema"]), _limits(given["schema"])) if part)
    said = given.get("description") or ""
    return f"| `{given['name']}` | {given['in']} | {needed}{text}{'. ' + said if said else ''} |"


def _codes(answer: Schema) -> list[str]:
    return [code for media in answer.get("content", {}).values() for code in media.get("examples", {})]


def _answer_text(answer: Schema) -> str:
    shapes = [_type(media["schema"]) for media in answer.get("content", {}).values()]
    said = str(answer.get("description", ""))
    plain = "" if said.startswith(("Request fulfilled", "Document created")) else said
    return ": ".join(part for part in (*shapes, plain[:1].lower() + plain[1:]) if part)


def _shapes(shapes: Mapping[str, Schema]) -> Iterator[str]:
    yield from ("", "## Shapes")
    for name, shape in sorted(shapes.items()):
        yield from ("", f"### {name}", "")
        needed = set(shape.get("required", ()))
        if "properties" not in shape:
            yield f"{_type(shape)}. {shape.get('description', '')}".strip()
            continue
        yield from ("| field | type | |", "| --- | --- | --- |")
        for field, of in shape["properties"].items():
            notes = ["**required**"] if field in needed else []
            notes += [part for part in (_limits(of), str(of.get("description") or "")) if part]
            yield f"| `{field}` | {_type(of)} | {'. '.join(note.rstrip('.') for note in notes)} |"


def _type(schema: Schema) -> str:
    """A schema in a few words; `?` where null is taken too."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "oneOf" in schema or "anyOf" in schema:
        kinds = [each for each in schema.get("oneOf") or schema["anyOf"] if each]
        named = list(dict.fromkeys(_type(each) for each in kinds if each.get("type") != "null"))
        return " or ".join(named) + ("?" if len(named) < len(kinds) else "")
    if "enum" in schema:
        words = [f"`{word}`" for word in schema["enum"] if word is not None]
        return " ".join(words) + ("?" if None in schema["enum"] else "")
    return _plain(schema)


def _plain(schema: Schema) -> str:
    kinds = schema.get("type", "anything")
    many = kinds if isinstance(kinds, list) else [kinds]
    kind = next((each for each in many if each != "null"), "anything")
    null = "?" if "null" in many else ""
    match kind:
        case "array":
            return f"list of {_type(schema.get('items', {}))}{null}"
        case "object":
            values = schema.get("additionalProperties")
            return f"map of {_type(values)}{null}" if values else f"object{null}"
        case "string":
            return ("time" if schema.get("format") == "date-time" else "text") + null
        case _:
            return f"{kind}{null}"


_BOUNDS: Final = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "up to {}",
}


def _limits(schema: Schema) -> str:
    said = [text.format(f"{schema[name]:,g}") for name, text in _BOUNDS.items() if name in schema]
    if "default" in schema and schema["default"] not in (None, [], {}, ""):
        said.append(f"default `{json.dumps(schema['default'])}`")
    return ", ".join(said)


def _example(schema: Schema, shapes: Mapping[str, Schema]) -> Any:
    """What a caller could send: the required fields, and those for which the document has an example."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return _example(shapes[str(schema["$ref"]).rpartition("/")[2]], shapes)
    if "oneOf" in schema:
        return _example(next(each for each in schema["oneOf"] if each.get("type") != "null"), shapes)
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        needed = set(schema.get("required", ()))
        return {
            name: _example(of, shapes)
            for name, of in schema["properties"].items()
            if name in needed or _is_shown(of, shapes)
        }
    match schema.get("type"):
        case "array":
            return [_example(schema["items"], shapes)]
        case "object":
            return {}
        case "integer" | "number":
            return schema.get("default", 1)
        case "boolean":
            return schema.get("default", True)
        case _:
            return "text"


def _is_shown(schema: Schema, shapes: Mapping[str, Schema]) -> bool:
    """Whether an optional field is worth showing: its schema has an example, or a list of what has one."""
    if "items" in schema and "$ref" in schema["items"]:
        of = shapes[schema["items"]["$ref"].rpartition("/")[2]]
        return any(_is_shown(each, shapes) for each in of.get("properties", {}).values())
    return bool(schema.get("examples")) and schema.get("format") != "date-time" and "null" not in str(schema)
