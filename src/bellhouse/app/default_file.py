"""Writes `bellhouse.default.toml` from the code: every setting with its meaning, unit, bounds and default."""

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

from pydantic.fields import FieldInfo

from bellhouse.app.settings import environment_name
from bellhouse.app.settings_page import bounds_of, choices_of, prose_of, unit_of, written_out

_WIDTH: Final = 116
_INTRODUCTION: Final = """\
# Every setting of Bellhouse with its default. What is unset by default stands behind a # and shows an example.
#
# It is read as bellhouse.toml in the data folder, or by --config FILE. A flag of the command line wins over the
# environment, the environment over this file. Each setting's environment variable stands beside it; lists are words
# between commas there. Secrets and certificates may be given as "@/path": then they are read from that file.
#
# `bellhouse config check` says what is wrong with a file, `bellhouse config` which values are in force and why."""


def text() -> str:
    """The file's text."""
    lines, current = [_INTRODUCTION], ""
    for name, field in written_out():
        table = name.rpartition(".")[0]
        if table != current:
            current = table
            lines += ["", *_comment(prose_of(table).replace("`", "")), f"[{table}]"]
        lines += ["", *_setting(name, field)]
    return "\n".join(lines) + "\n"


def _setting(name: str, field: FieldInfo) -> Iterator[str]:
    """The meaning on its own lines, then what may be written and the variable's name, then the value."""
    yield from _comment(f"{field.description}.")
    kind = [part for part in (unit_of(field), bounds_of(field)) if part] or [" | ".join(choices_of(field))]
    yield from _comment(" · ".join(part for part in (", ".join(kind), environment_name(name)) if part))
    unset = field.default in (None, "", ()) and field.examples
    value = field.examples[0] if unset and field.examples else field.default
    yield f"{'#' if unset else ''}{name.rpartition('.')[2]} = {_toml(value)}"


def _comment(words: str) -> list[str]:
    return [f"# {line}" for line in wrap(words, _WIDTH, break_long_words=False, break_on_hyphens=False)]


def _toml(value: Any) -> str:
    """A value as TOML writes it; for what we have that is JSON, a path being its text."""
    match value:
        case Path():
            return json.dumps(str(value))
        case _:
            return json.dumps(value, ensure_ascii=False)
