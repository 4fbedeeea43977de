"""The log: topics of records that move the work from stage to stage.

A topic has one or more partitions, each an ordered sequence of records; the readers of a consumer group share its
partitions and read each from the group's own position. What is appended comes from the store: in embedded mode the
outbox *is* the log's table and the store's own transaction appends; elsewhere a relay carries the outbox over through
`Publisher`, and the router publishes what it has just made durable.

Promised: a record that was appended is polled at least once by each group, also after a kill; records of one partition
are polled in the order of their offsets by each reader; records of one key are in one partition; a position never goes
back. Not promised: exactly once. Whoever polls must recognise what it has already done: everything after the last
committed position comes again, to the same reader or to another. After a kill, a pause or a rebalance another reader
may have a record in its hands still; such a record is marked `again`, and the store's intents tell the rest.
The log delays nothing: what has to wait is a due row in the store.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from bellhouse.domain.words import CHANNELS, PRIORITIES, Channel, Priority

OutboxLane = Priority | Literal["feed"]
"""What is carried into the log by a loop of its own: a priority, since it may have a log of its own, and the feed of
dead letters, whose topics have no priority."""


class LogUnavailable(Exception):
    """The log did not take the records, or not surely all of them: append all of them again later.

    `reason` is a word (`unreachable`, `timeout`, `refused`), `remedy` a sentence for whoever reads it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason = reason
        self.remedy = remedy


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record for the log."""

    topic: str
    value: bytes
    key: int = 0
    """What decides the partition: the recipient."""


class Polled(msgspec.Struct, frozen=True, gc=False):
    """A record as it was polled."""

    offset: int
    value: bytes
    partition: int = 0
    again: bool = False
    """Whether somebody may have polled it before: it was there when its partition came to this reader."""
    assignment: int = 0
    """Which coming of its partition to this reader it was polled in."""


class Position(msgspec.Struct, frozen=True, gc=False):
    """Everything of a topic's partition up to and including `offset` is done for `group`."""

    group: str
    topic: str
    offset: int
    partition: int = 0
    assignment: int = 0
    """Of the records that are done. Where the partition has left and returned since, they come again, and those that
    came again are not done yet."""


Ends = Mapping[tuple[int, int], int]
"""An offset for each partition and assignment."""


class Lag(msgspec.Struct, frozen=True):
    """How far a group is behind, in records."""

    topic: str
    partition: int
    group: str
    lag: int


class Publisher(Protocol):
    """Appends records where the store's own transaction does not."""

    async def append(self, records: Sequence[Record]) -> None:
        """Return when all are durable in the log. Raises LogUnavailable, and then some may be there: repeating the
        call is lawful, and doubles those. An empty call is lawful."""
        ...


class Reader(Protocol):
    """One member of a topic's consumer group. It belongs to one event loop; `poll`, `wait` and `commit` are not
    called side by side."""

    async def start(self) -> None:
        """Join the group; partitions may come later, and go and come again at any time. Raises LogUnavailable."""
        ...

    async def poll(self, limit: int) -> Sequence[Polled]:
        """At most `limit` records behind the last ones polled, those of a partition in order; empty when there are
        none. Never waits. What is not committed is not forgotten by the log, but not polled again by this reader
        unless its partition leaves and returns, or `rejoin` is called.

        What it answers is in the caller's hands until it says `taken`, or polls, rejoins or stops: until then no
        partition of it is given away, within reason (some seconds), so that whoever gets it finds what the caller has
        noted about these records in the store."""
        ...

    def taken(self) -> None:
        """The store knows what the caller does with what it has polled. Calling it twice is lawful."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Return when something may be there to poll, or after `timeout_s`. May return early."""
        ...

    async def commit(self, done: Sequence[Position]) -> None:
        """Move positions forward; call it when what was done is durable in the store. A partition that has left this
        reader is passed over, and a position that would go back is not moved. A commit may be lost with the process:
        then its records come again."""
        ...

    async def rejoin(self) -> None:
        """Forget what was polled and not committed, and begin anew at the group's positions: for a reader that was
        away so long that others may have taken over its partitions. Raises LogUnavailable where the group cannot be
        asked; then nothing has been forgotten, and it is called again."""
        ...

    async def pause(self, partitions: Sequence[int]) -> None:
        """Poll nothing of these partitions until `resume`; the group keeps them assigned."""
        ...

    async def resume(self, partitions: Sequence[int]) -> None:
        """Go on with paused partitions where they were. One that was not paused is lawful."""
        ...

    async def stop(self) -> None:
        """Leave the group, so that its other members take over at once; a reader whose process has a lasting name
        may keep its place for the next one. Calling it twice is lawful."""
        ...


class Log(Protocol):
    """The readers of the topics, and how far their groups are behind."""

    def reader(self, topic: str) -> Reader:
        """A new member of the topic's group (`GROUP_OF`)."""
        ...

    async def probe(self, topics: Collection[str]) -> None:
        """Raise LogUnavailable unless the log answers for these topics."""
        ...

    async def lags(self) -> Sequence[Lag]:
        """Of every topic's group, by partition; what cannot be asked as it was last known. Raises LogUnavailable where
        nothing is known."""
        ...

    async def oldest(self) -> Mapping[str, Sequence[bytes]]:
        """The first record of each partition that its group has not finished, by topic; topics without any are
        missing. Raises LogUnavailable."""
        ...

    def unfinished(self, topics: Collection[str]) -> AsyncIterator[tuple[str, Sequence[bytes]]]:
        """Every record of these topics that its group has not finished, as far as it is there now, in batches of one
        topic; nothing is moved by it. Raises LogUnavailable."""
        ...

    async def trim(self, limit: int) -> int:
        """Delete at most `limit` records per topic that every group has finished; answers how many went. 0 where the
        log forgets by itself."""
        ...


def notifications_topic(priority: Priority) -> str:
    return f"notifications.{priority}"


def deliveries_topic(channel: Channel, priority: Priority) -> str:
    return f"deliveries.{channel}.{priority}"


def dead_letters_topic(channel: Channel) -> str:
    """A feed of what was given up; nobody in the house reads it, the store's table is the truth."""
    return f"dlq.{channel}"


def routing_group(priority: Priority) -> str:
    """The consumer group that routes a priority; `normal` and `low` share one, critical is never in it."""
    return "notification-workers" if priority in ("normal", "low") else f"notification-workers-{priority}"


def delivery_group(channel: Channel, priority: Priority) -> str:
    return f"delivery-{channel}-{priority}"


NOTIFICATION_TOPICS: Final = tuple(notifications_topic(p) for p in PRIORITIES)
DELIVERY_TOPICS: Final = tuple(deliveries_topic(c, p) for c in CHANNELS for p in PRIORITIES)
DEAD_LETTER_TOPICS: Final = tuple(dead_letters_topic(c) for c in CHANNELS)
TOPICS: Final = NOTIFICATION_TOPICS + DELIVERY_TOPICS
"""Those that the stages read."""
GROUP_OF: Final[dict[str, str]] = {
    **{notifications_topic(p): routing_group(p) for p in PRIORITIES},
    **{deliveries_topic(c, p): delivery_group(c, p) for c in CHANNELS for p in PRIORITIES},
}
"""Each topic's one consumer group."""
PRIORITY_OF: Final[dict[str, Priority]] = {
    **{notifications_topic(p): p for p in PRIORITIES},
    **{deliveries_topic(c, p): p for c in CHANNELS for p in PRIORITIES},
}
"""Each topic's priority, by which it may have a log of its own."""


def ends_of(polled: Sequence[Polled]) -> dict[tuple[int, int], int]:
    """Where a polled batch ends."""
    return {(record.partition, record.assignment): record.offset for record in polled}


def positions(topic: str, ends: Ends) -> tuple[Position, ...]:
    """The positions of a topic's group that follow from where finished batches end."""
    group = GROUP_OF[topic]
    return tuple(Position(group, topic, offset, *place) for place, offset in ends.items())
