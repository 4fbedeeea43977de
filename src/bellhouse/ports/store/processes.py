"""Processes that live, what only one may do at a time, and upkeep."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Member(msgspec.Struct, frozen=True):
    """A living process, as the others see it."""

    process: str
    """An id that is never used again."""
    role: str
    lanes: tuple[str, ...] = ()
    """The topics that it works on."""
    host: str = ""
    pid: int = 0
    since: int = 0
    version: str = ""
    step: int = 0
    """The newest step of the schema that its code knows."""


class MemberStore(Protocol):
    """Who is alive. A process that does not renew within `ttl_s` is given up: from then on `begin` refuses it, and what
    it was sending is taken over by whoever polls those records again."""

    async def join(self, member: Member, ttl_s: float) -> None:
        """Become a member, or one again under the same id."""
        ...

    async def renew(self, ttl_s: float) -> bool:
        """Stay one; False where the others have given this process up."""
        ...

    async def end_silent_sessions(self) -> int:
        """End what processes that have not renewed in time stand still in, so that nobody waits for what they hold
        locked; answers how many sessions that were. The first of those who have renewed does it for all."""
        ...

    async def leave(self) -> None:
        """Be no member any more. Calling it twice is lawful."""
        ...

    async def members(self) -> Sequence[Member]: ...


class LeaseStore(Protocol):
    """What only one process may do at a time."""

    async def take(self, name: str, ttl_s: float) -> int:
        """Take or renew a lease for this process; answers its fencing token, which grows with each new holder, or 0
        where another process holds it. Times are the store's own."""
        ...

    async def release(self, name: str) -> None:
        """Give a lease back. One that is not ours is lawful."""
        ...


class UpkeepStore(Protocol):
    """What has to be done now and then so that everything stays as quick as it is; each is harmless when repeated."""

    async def upkeep(self, now: int, retention_days: int) -> Sequence[str]:
        """One round: partitions made ahead, counters folded, news merged that a killed process left unmerged, intents
        of dead processes forgotten. Of the days before retention those are dropped in which nothing waits, is being
        sent or is unknown; open dead letters of them are discarded first, by `retention`. Inbox items go when their
        time is over. Answers what was done, in words, for the log."""
        ...
