"""How signs are kept: three counters each in `meta`, the small table of the store's own figures."""

from collections.abc import Iterable, Mapping
from typing import Final

from bellhouse.ports.store.providers import Sign

PREFIX: Final = "sign:"
END: Final = "sign;"
"""The first name that no longer begins with the prefix."""


def name_of(subject: str, field: str) -> str:
    """The row of a sign's field (`heard`, `accepted`, `since`)."""
    return f"{PREFIX}{subject}:{field}"


def signs_of(rows: Iterable[tuple[str, int]]) -> Mapping[str, Sign]:
    """The signs that these rows are."""
    found: dict[str, dict[str, int]] = {}
    for name, value in rows:
        subject, _, field = name.removeprefix(PREFIX).rpartition(":")
        found.setdefault(subject, {})[field] = value
    return {
        subject: Sign(fields.get("heard", 0), fields.get("accepted", 0), fields.get("since", 0))
        for subject, fields in found.items()
    }
