"""What a process remembers of the store's small tables, and how it follows their changes."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.errors import StoreUnavailable

Reload = Callable[[], Awaitable[None]]

_VERSIONS: Final = queries("catalogue")["versions"]


class Follower:
    """Reads the table `versions` now and then, and reloads the kinds that have changed.

    Callers that ask at the same time share a read, but only one that began after they had asked: what was committed
    before a call is never missed by one that wants to know it at once.
    """

    def __init__(self, database: Database, clock: Clock, fresh_s: float, reloads: Mapping[str, Reload]) -> None:
        """`reloads` has what to do when a kind has changed."""
        self._database = database
        self._clock = clock
        self._fresh_s = fresh_s
        self._reloads = reloads
        self._seen: dict[str, int] = {}
        self._reading = asyncio.Lock()
        self._begun = 0
        self._ended = 0
        """The newest read that has ended, well or with `_failure`."""
        self._failure: StoreUnavailable | None = None
        self._needed = 1
        """The oldest read that shows all that this process has changed."""
        self._read_at = -math.inf

    async def follow(self, known: bool = True) -> None:
        """Return when memory is at most `fresh_s` old; where what is asked for is not `known`, when it is of now."""
        fresh = self._clock.monotonic() - self._read_at < self._fresh_s and self._ended >= self._needed
        if known and fresh:
            return
        begun = self._begun
        async with self._reading:
            if self._ended <= begun:
                await self._read()
            elif self._failure is not None:
                # Whoever waited does not find out once more, one after another, that nobody answers.
                raise StoreUnavailable(self._failure.reason, self._failure.remedy)

    async def _read(self) -> None:
        self._begun += 1
        began_at = self._clock.monotonic()
        try:
            for kind, version in await self._database.rows(_VERSIONS):
                if self._seen.get(kind) != version:
                    await self._reloads[kind]()
                    self._seen[kind] = version
        except StoreUnavailable as error:
            # Another server may answer next, whose versions say the same numbers of other changes.
            self._seen.clear()
            self._read_at, self._ended, self._failure = -math.inf, self._begun, error
            raise
        self._read_at, self._ended, self._failure = began_at, self._begun, None

    def changed(self) -> None:
        """Let the next answer show what this process has just changed."""
        self._needed = self._begun + 1
