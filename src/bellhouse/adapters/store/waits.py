"""Since when what waits has waited, by priority."""

from collections.abc import Iterable, Sequence
from typing import Any

from bellhouse.domain.words import Priority
from bellhouse.ports.log import PRIORITY_OF


def earliest(moments: Iterable[Sequence[Any]]) -> dict[Priority, int]:
    """The earliest moment of each priority, from rows of a topic and a moment."""
    found: dict[Priority, int] = {}
    for topic, moment in moments:
        priority = PRIORITY_OF[topic]
        found[priority] = min(moment, found.get(priority, moment))
    return found
