"""What is carried from one store into another: the parts in their order, and what is known of each on the way.

A part is a table of the target whose rows the source reads in the order of their key, so that a move that was killed
goes on behind the last row that was written.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from bellhouse.ports.log import TOPICS
from bellhouse.ports.store.deliver import Claim

Row = tuple[Any, ...]
Key = tuple[Any, ...]


class Part(msgspec.Struct, frozen=True):
    """A table of the target."""

    name: str
    columns: tuple[str, ...]
    worldly: tuple[str, ...] = ()
    """Those of them that hold text as the world has sent it."""


PARTS: Final = (
    Part("tenants", ("tenant", "name", "environment")),
    Part("api_keys", ("id", "record")),
    Part("types", ("tenant", "name", "record")),
    Part("templates", ("tenant", "name", "version", "record")),
    Part("breakers", ("provider", "channel", "version", "record")),
    Part("levers", ("kind", "scope", "record")),
    Part("audit", ("number", "at", "act", "record")),
    Part("recipients", ("recipient", "tenant", "user_id", "profile", "updated_at"), ("user_id",)),
    Part("suppressions", ("tenant", "address", "reason", "at", "detail"), ("address", "detail")),
    Part("collapse_keys", ("recipient", "collapse_key", "id"), ("collapse_key",)),
    Part("inbox", ("recipient", "id", "read_at", "expires_at", "record")),
    Part(
        "dead_letters",
        (
            "id", "tenant", "channel", "provider", "type", "user_id", "reason", "code", "at", "state", "epoch", "by",
            "why", "record",
        ),
        ("user_id", "code", "by", "why"),
    ),
    Part("notifications", ("id", "recipient", "record")),
    Part("decisions", ("id", "state", "count", "record")),
    Part("delivery_events", ("id", "kind", "n", "state", "previous", "at", "source", "detail")),
    Part("early_news", ("id",)),
    Part("idempotency_keys", ("key", "id", "fingerprint")),
    Part("ledger", ("tenant", "day", "level", "state", "count")),
    Part("due", ("due_at", "id", "topic", "key", "parked", "record")),
)  # fmt: skip
"""What stands in tables on both sides, in the order in which it is carried."""

LOGS: Final = TOPICS
"""What stands in the source's log comes after them, topic by topic."""


class Chunk(msgspec.Struct, frozen=True):
    """Some rows of a part, in the order of their key."""

    rows: Sequence[Row]
    read: int
    """Rows of the source that were looked at: not all of them have to be carried."""
    last: Key
    """The key of the last one of them."""


class LogChunk(msgspec.Struct, frozen=True):
    """Some records of a topic that its group has not finished, divided by what is to be done with them."""

    read: int
    last: int
    """The offset of the last one."""
    carried: Sequence[tuple[int, bytes]] = ()
    """(recipient, record) of what goes on as it is."""
    interrupted: Sequence[Claim] = ()
    """What the source was sending when it ended."""
    done: int = 0
    """Records whose work is done: nothing is left to carry."""
    unreadable: int = 0


class Progress(msgspec.Struct, frozen=True):
    """How far a part is."""

    last: Key | None = None
    """The key of the last row that was written; None before the first."""
    finished: bool = False
    read: int = 0
    written: int = 0
    interrupted: int = 0
    done: int = 0
    unreadable: int = 0

    def after(self, chunk: Chunk | LogChunk, last: Key, written: int) -> "Progress":
        """The progress when a chunk is written."""
        log = chunk if isinstance(chunk, LogChunk) else _NO_LOG
        return Progress(
            last,
            False,
            self.read + chunk.read,
            self.written + written,
            self.interrupted + len(log.interrupted),
            self.done + log.done,
            self.unreadable + log.unreadable,
        )


_NO_LOG: Final = LogChunk(0, 0)

Counts = Mapping[str, int]
"""Rows by the names of parts, or by kinds of what is pending."""

PENDING: Final = (
    "notifications to be routed",
    "scheduled notifications",
    "deliveries to be sent",
    "waiting deliveries",
    "parked deliveries",
)
"""The kinds of what is pending: in the log, due, in the log, due, and due until an outage ends."""
