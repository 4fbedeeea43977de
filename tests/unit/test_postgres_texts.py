"""What the statements for PostgreSQL may not say, since the oldest server that they are for does not read it."""

import re
from importlib.resources import files

import pytest

TEXTS = [
    file
    for folder in ("sql", "schema")
    for file in (files("bellhouse.adapters.store.postgres") / folder).iterdir()
    if file.name.endswith(".sql")
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_a_number_has_no_underscores_which_postgresql_15_refuses(text: object) -> None:
    statements = text.read_text(encoding="utf-8")  # type: ignore[attr-defined]  # a Traversable
    code = re.sub(r"--.*|'[^']*'", "", statements)
    assert re.findall(r"\b\d+(?:_\d+)+\b", code) == []
