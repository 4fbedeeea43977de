"""Writes plain data as YAML that people read: expressions keep their lines, every other text stands in quotes."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_DURATION: Final = re.compile(r"\d+(?:ms|[smhd])")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# No word that YAML takes for something else, no number, and nothing with a meaning of its own.
_PLAIN: Final = re.compile(r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z_][A-Za-z0-9_:./-]*[A-Za-z0-9_./-]", re.I)


def document(value: Mapping[str, Any], comment: str) -> str:
    """A mapping of mappings, lists, texts, numbers and booleans as a YAML document under a comment."""
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + "".join(f"{line}\n" for line in _mapping(value))


def _mapping(value: Mapping[str, Any]) -> Iterator[str]:
    for key, one in value.items():
        name = key if _PLAIN_KEY.fullmatch(key) else json.dumps(key)
        yield from _under(f"{name}:", one)


def _under(head: str, value: Any) -> Iterator[str]:
    match value:
        case Mapping() if value:
            yield head
            yield from (f"  {line}" for line in _mapping(value))
        case str() if "\n" in value:
            yield f"{head} |-"
            yield from (f"  {line}" if line else "" for line in value.splitlines())
        case list() | tuple() if value and any(isinstance(one, Mapping) for one in value):
            yield head
            for one in value:
                first, *rest = _mapping(one)
                yield f"  - {first}"
                yield from (f"    {line}" for line in rest)
        case _:
            yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    match value:
        case str() if _PLAIN.fullmatch(value) or _DURATION.fullmatch(value):
            return value
        case str() if '"' in value and "'" not in value and "\\" not in value:
            return f"'{value}'"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Sequence():
            return f"[{', '.join(map(_scalar, value))}]"
        case _:
            return json.dumps(value)
