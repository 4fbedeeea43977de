"""Moments on the wire: RFC 3339 with a zone outside, milliseconds since the epoch inside."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

Moment = Annotated[
    datetime,
    msgspec.Meta(tz=True, description="RFC 3339 with a zone.", examples=["2026-11-23T05:00:00.123Z"]),
]
"""A moment in a request."""


def rfc3339(at: int) -> str:
    """A moment as `2026-11-23T05:00:00.123Z`."""
    return (_EPOCH + at * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_or_none(at: int | None) -> str | None:
    """A moment's text; None where there is none (0 stands for it in many records)."""
    return rfc3339(at) if at else None


def milliseconds(moment: datetime) -> int:
    """The milliseconds since the epoch of a moment with a zone."""
    return (moment - _EPOCH) // _MILLISECOND


def since_ms(moment: datetime | None) -> int | None:
    """A filter's beginning; everything lies after the epoch."""
    return None if moment is None else max(0, milliseconds(moment))
