"""What the world sends as text, as PostgreSQL's `text` can hold it."""

from typing import TypeVar

Text = TypeVar("Text", str, str | None)


def storable(text: Text) -> Text:
    """The text without its one impossible character, U+0000, in whose place stands U+FFFD."""
    return text if text is None or "\x00" not in text else text.replace("\x00", "\ufffd")
