"""Cursors of lists: opaque text around the last id of a page."""

import base64
from typing import Final

from bellhouse.web.problems import Problem

_ID_BYTES: Final = 16


def cursor_of(identifier: bytes) -> str:
    """The cursor that goes on behind `identifier`."""
    return base64.urlsafe_b64encode(identifier).decode("ascii").rstrip("=")


def read_cursor(text: str) -> bytes:
    """The id inside a cursor. Raises the Problem `invalid_cursor` for what is not one of ours."""
    try:
        identifier = base64.b64decode(text.encode("ascii") + b"==", altchars=b"-_", validate=True)
    except ValueError as error:
        raise Problem("invalid_cursor") from error
    if len(identifier) != _ID_BYTES:
        raise Problem("invalid_cursor")
    return identifier
