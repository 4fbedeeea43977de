"""What the framework's OpenAPI document lacks to be ours: examples, closed bodies, no answers that are never given."""

from collections.abc import Iterator
from typing import Any, Final

from bellhouse.web.examples import BODIES

_SCHEMAS: Final = "#/components/schemas/"
_INTEGER: Final = {"type": "integer"}
_NUMBER: Final = {"type": "number"}


def finished(document: dict[str, Any]) -> dict[str, Any]:
    """The document with an example for each body, only the errors that we answer, and who needs no key."""
    schemas = document["components"]["schemas"]
    asked: list[Any] = []
    for path, item in document["paths"].items():
        for operation in item.values():
            if not path.startswith("/v1/"):
                operation["security"] = []
            if "application/json" in operation["responses"].get("400", {}).get("content", {}):
                del operation["responses"]["400"]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["examples"] = {"example": {"value": BODIES[operation["operationId"]]}}
                asked.append(content["schema"])
    _close(asked, schemas)
    for node in _nodes(document):
        _simplify(node)
    return document


def _close(asked: list[Any], schemas: dict[str, Any]) -> None:
    """Every object that a caller may send has the documented fields and no other."""
    waiting, seen = list(asked), set()
    while waiting:
        for node in _nodes(waiting.pop()):
            name = str(node.get("$ref", "")).removeprefix(_SCHEMAS)
            if name in schemas and name not in seen:
                seen.add(name)
                schemas[name]["additionalProperties"] = False
                waiting.append(schemas[name])


def _simplify(node: dict[str, Any]) -> None:
    """A tuple of any length is written as `one of its items' type, or anything`; it is the first alone. An integer is
    a number too, so of exactly one that fits the integer goes."""
    choices = node.get("oneOf")
    if not isinstance(choices, list):
        return
    kept = [choice for choice in choices if choice]
    if _NUMBER in kept and _INTEGER in kept:
        kept.remove(_INTEGER)
    if kept != choices:
        del node["oneOf"]
        node.update(kept[0] if len(kept) == 1 else {"oneOf": kept})


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside, the inner ones after their outer ones."""
    if isinstance(value, dict):
        yield value
        for inner in list(value.values()):
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)
