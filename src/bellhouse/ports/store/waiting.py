"""What waits: in the outbox for the relay, for its moment, for an outage to end, in the log."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.log import OutboxLane


class Pending(msgspec.Struct, frozen=True, gc=False):
    """What waits in the outbox."""

    records: int
    """How many, about."""
    since: int
    """When the oldest was committed (ms since the epoch)."""


class OutboxStore(Protocol):
    """What was committed for the log and is not in it yet. Any number of relays may ask side by side."""

    async def relay(self, lane: OutboxLane, limit: int) -> int:
        """Append at most `limit` outbox rows of a lane to the log, the oldest first, and forget them; answers how
        many records that were. A row holds what one transaction appended to a topic. Raises LogUnavailable, and then
        the rows stay."""
        ...

    async def pending(self) -> Mapping[Priority, "Pending"]:
        """The notifications that wait in the outbox, by priority; priorities without any are missing."""
        ...


class DueStore(Protocol):
    async def release_due(self, now: int, limit: int) -> int:
        """Append at most `limit` due rows whose moment has come to the log, the earliest first."""
        ...

    async def next_due(self, after: int = 0) -> int | None:
        """When the next row is due (ms since the epoch) of those that are due later than `after`."""
        ...

    async def overdue(self, now: int) -> Mapping[Priority, int]:
        """The moment (ms since the epoch) of the earliest due row of each priority whose moment has come. Where very
        much is overdue only the earliest of all are looked at, and a priority whose rows are all later is missing."""
        ...

    async def parked(self) -> Sequence[tuple[Channel, Priority]]:
        """The channels and priorities of which any delivery waits for an outage to end, critical first."""
        ...

    async def release_parked(self, channel: Channel, priority: Priority, limit: int) -> int:
        """Append at most `limit` parked deliveries of a channel to the log, in turn: one that is parked again comes
        after all others."""
        ...


class BacklogStore(Protocol):
    """How much waits in the log, written down by the one who counts it for those who protect it."""

    async def put_backlog(self, records: int, now: int) -> None: ...

    async def backlog(self) -> tuple[int, int]:
        """The records as they were last counted, and when (ms since the epoch; 0: never)."""
        ...
