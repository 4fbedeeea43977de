"""The log: topics of records that move the work from stage to stage.

A topic is an ordered sequence of records; a consumer group reads it from its own position. Records are appended
by the store in the same transaction as the rows they belong to (`store.py`), so nothing here appends: in embedded
mode the outbox *is* the log's table, elsewhere a relay carries it over.

Promised: a record that was appended is polled at least once by each group, also after a kill; records of one topic
are polled in the order of their offsets; a position never goes back. Not promised: exactly once. Whoever polls
must recognise what it has already done, because everything after the last committed position comes again.
The log delays nothing: what has to wait is a due row in the store.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from bellhouse.domain.words import CHANNELS, PRIORITIES, Channel, Priority


class Polled(msgspec.Struct, frozen=True, gc=False):
    """A record as it was polled."""

    offset: int
    value: bytes


class Position(msgspec.Struct, frozen=True, gc=False):
    """Everything of `topic` up to and including `offset` is done for `group`."""

    group: str
    topic: str
    offset: int


class Lag(msgspec.Struct, frozen=True):
    """How far a group is behind, in records."""

    topic: str
    partition: int
    group: str
    lag: int


class Log(Protocol):
    async def poll(self, topic: str, after: int, limit: int) -> Sequence[Polled]:
        """At most `limit` records behind offset `after`, in order; empty when there are none. Never waits."""
        ...

    async def position(self, group: str, topic: str) -> int:
        """The offset up to which `group` has finished `topic`; 0 before the first."""
        ...

    async def wait(self, topic: str, timeout_s: float) -> None:
        """Return when something may have been appended to `topic`, or after `timeout_s`. May return early."""
        ...

    async def lags(self) -> Sequence[Lag]: ...

    async def trim(self, limit: int) -> int:
        """Delete at most `limit` records per topic that every group has finished; answers how many went."""
        ...


def notifications_topic(priority: Priority) -> str:
    return f"notifications.{priority}"


def deliveries_topic(channel: Channel, priority: Priority) -> str:
    return f"deliveries.{channel}.{priority}"


def routing_group(priority: Priority) -> str:
    """The consumer group that routes a priority; `normal` and `low` share one, critical is never in it."""
    return "notification-workers" if priority in ("normal", "low") else f"notification-workers-{priority}"


def delivery_group(channel: Channel, priority: Priority) -> str:
    return f"delivery-{channel}-{priority}"


NOTIFICATION_TOPICS: Final = tuple(notifications_topic(p) for p in PRIORITIES)
DELIVERY_TOPICS: Final = tuple(deliveries_topic(c, p) for c in CHANNELS for p in PRIORITIES)
TOPICS: Final = NOTIFICATION_TOPICS + DELIVERY_TOPICS
GROUP_OF: Final[dict[str, str]] = {
    **{notifications_topic(p): routing_group(p) for p in PRIORITIES},
    **{deliveries_topic(c, p): delivery_group(c, p) for c in CHANNELS for p in PRIORITIES},
}
"""Each topic's one consumer group."""
