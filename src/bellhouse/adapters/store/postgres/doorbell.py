"""The doorbell between processes: what one commits wakes the waiters of all, by NOTIFY on a channel of our own."""

import asyncio
import contextlib
from typing import Any, Final

from bellhouse.adapters.store.postgres.database import Database
from bellhouse.ports.clock import Clock
from bellhouse.ports.doorbell import Doorbell
from bellhouse.ports.store.errors import StoreUnavailable

_CHANNEL: Final = "bellhouse"
_REST_S: Final = 0.005
"""Rings that come so soon after one another are one: each NOTIFY is a commit, and takes a lock that all share."""
_AWAY_S: Final = 1.0


class PostgresDoorbell:
    """Rings here at once and elsewhere a moment later. Service."""

    name: Final = "doorbell"

    def __init__(self, here: Doorbell, database: Database, clock: Clock) -> None:
        """`here` wakes the waiters of this process."""
        self._here = here
        self._database = database
        self._clock = clock
        self._unsent: frozenset[str] = frozenset()
        self._wanted = asyncio.Event()
        self._draining = False
        self._listening: Any = None

    def ring(self, topics: frozenset[str]) -> None:
        """Wake the waiters of `topics` in every process."""
        self._here.ring(topics)
        self._unsent |= topics
        self._wanted.set()

    async def wait(self, topic: str, timeout_s: float) -> None:
        """Return as soon as `topic` has rung since the last `wait`, or after `timeout_s`."""
        await self._here.wait(topic, timeout_s)

    async def start(self) -> None:
        """Nothing to prepare: whoever waits looks by himself until the line is open."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen())
            while not self._draining:
                await self._wanted.wait()
                self._wanted.clear()
                await self._tell()
                await self._clock.sleep(_REST_S)
            listening.cancel()

    def drain(self) -> None:
        self._draining = True
        self._wanted.set()

    async def stop(self) -> None:
        """Nothing is left open: `run` has ended."""

    async def _tell(self) -> None:
        topics, self._unsent = self._unsent, frozenset()
        if topics:
            with contextlib.suppress(StoreUnavailable):
                await self._database.run("SELECT pg_notify($1, $2)", _CHANNEL, ",".join(sorted(topics)))

    async def _listen(self) -> None:
        """Hold a connection that hears; where it breaks, make another one."""
        while True:
            lost = asyncio.Event()
            with contextlib.suppress(StoreUnavailable):
                async with self._database.connection() as connection:
                    connection.add_termination_listener(lambda _, lost=lost: lost.set())
                    await connection.add_listener(_CHANNEL, self._heard)
                    try:
                        await lost.wait()
                    finally:
                        with contextlib.suppress(Exception):
                            await connection.remove_listener(_CHANNEL, self._heard)
            await self._clock.sleep(_AWAY_S)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._here.ring(frozenset(payload.split(",")))
