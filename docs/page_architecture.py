"""The page `docs/architecture.md`: written by hand, but for the drawings between its markers."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import page_words

PAGE: Final = Path(__file__).resolve().parent / "architecture.md"

DRAWINGS: Final[Mapping[str, Callable[[], str]]] = {
    "notification": page_words.notification_drawing,
    "delivery": page_words.delivery_drawing,
}

_PLACE: Final = re.compile(r"(<!-- drawn: (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def page() -> str:
    """The page's text with every drawing as the code has it now. Raises KeyError for a drawing nobody makes."""
    return _PLACE.sub(lambda place: place[1] + DRAWINGS[place[2]]() + place[3], PAGE.read_text(encoding="utf-8"))
