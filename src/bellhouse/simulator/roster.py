"""The open connections of one listener, bounded in number and in how long they may dawdle."""

from typing import Protocol


class Connection(Protocol):
    """An open connection."""

    def abort(self) -> None:
        """Cut it."""

    def overdue(self, now: float) -> bool:
        """Whether the peer has kept us waiting too long at `now` (monotonic seconds)."""


class Roster:
    """At most `limit` connections."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Enter a new connection; False when the house is full."""
        if len(self._open) >= self._limit:
            return False
        self._open.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """Strike out a closed one."""
        self._open.discard(connection)

    def cut_overdue(self, now: float) -> None:
        """Cut those that dawdle."""
        for connection in [each for each in self._open if each.overdue(now)]:
            connection.abort()

    def cut_all(self) -> None:
        """Cut every connection."""
        for connection in list(self._open):
            connection.abort()
