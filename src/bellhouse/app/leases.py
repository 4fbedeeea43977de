"""What only one process does at a time, and how a process stays trusted by the others."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.service import MustEnd
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.processes import LeaseStore, Member, MemberStore
from bellhouse.ports.telemetry import Logbook

LEASE_S: Final = 10.0
_YOUNG: Final = 0.75
"""The part of a lease's life in which a call may begin; it is renewed four times in it."""


class AlwaysHeld:
    """The lease of what a lock on the folder, or a single process, makes single already."""

    async def held(self) -> bool:
        return True


class StoreLease:
    """The Lease port over rows of the store; one that cannot be asked for is not held."""

    def __init__(self, name: str, store: LeaseStore, clock: Clock, ttl_s: float = LEASE_S) -> None:
        self._name = name
        self._store = store
        self._clock = clock
        self._ttl_s = ttl_s
        self._asked_at = 0.0
        self._held = False

    async def held(self) -> bool:
        now = self._clock.monotonic()
        # A lease that was taken a moment ago need not be asked for again.
        if self._held and now - self._asked_at < self._ttl_s / 5:
            return True
        try:
            self._held = await self._store.take(self._name, self._ttl_s) > 0
            self._asked_at = now
        except StoreUnavailable:
            self._held = False
        return self._held

    async def release(self) -> None:
        """Let another process have it at once; without the store it ends by itself."""
        if self._held:
            self._held = False
            with contextlib.suppress(StoreUnavailable):
                await self._store.release(self._name)


class GivenUp(MustEnd):
    """The others have given this process up: it ends, and starts anew under another id."""


class Membership:
    """Keeps a process trusted: renews its row four times in its lease's life. Service, the first to start.

    A process that slept for longer than its lease must not go on as if nothing had been: others may have taken over
    what it was sending. So whoever is about to send waits in `trusted` until the lease has been renewed; if that is
    refused, the process ends.
    """

    name: Final = "membership"

    def __init__(self, member: Member, store: MemberStore, clock: Clock, logbook: Logbook, ttl_s: float) -> None:
        self._member = member
        self._store = store
        self._clock = clock
        self._logbook = logbook
        self._ttl_s = ttl_s
        self._renewed_at = 0.0
        self._renewed = asyncio.Event()
        self._drained = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None
        self.members: Sequence[Member] = (member,)
        """Who was alive at the last look."""

    async def start(self) -> None:
        self._renewed_at = self._clock.monotonic()
        await self._store.join(self._member, self._ttl_s)
        self.members = await self._store.members()
        self._renewing = asyncio.create_task(self._renew())

    async def run(self) -> None:
        """Wait until drained; raises GivenUp. Renewing goes on until the end: work in flight needs the lease."""
        assert self._renewing is not None
        drained = asyncio.ensure_future(self._drained.wait())
        await asyncio.wait((self._renewing, drained), return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        if self._renewing.done():
            self._renewing.result()

    async def _renew(self) -> None:
        while True:
            try:
                began = self._clock.monotonic()
                if not await self._store.renew(self._ttl_s):
                    raise GivenUp(f"this process was silent for more than {self._ttl_s:g} s")
                self._renewed_at = began
                self._renewed.set()
                self.members = await self._store.members()
                ended = await self._store.end_silent_sessions()
                if ended:
                    self._logbook.note("warning", "Ended what a silent process stood still in", count=ended)
            except StoreUnavailable as down:
                self._logbook.note("error", "Membership waits for the store", reason=down.reason, error=str(down))
            await self._clock.sleep(self._ttl_s / 4)

    async def trusted(self) -> None:
        """Return at once while the lease is young enough for a call to be begun, else when it has been renewed."""
        while self._clock.monotonic() - self._renewed_at > self._ttl_s * _YOUNG:
            self._renewed.clear()
            await self._renewed.wait()

    def drain(self) -> None:
        self._drained.set()

    async def stop(self) -> None:
        renewing, self._renewing = self._renewing, None
        if renewing is None:
            return
        renewing.cancel()
        await asyncio.wait([renewing])
        with contextlib.suppress(StoreUnavailable):
            await self._store.leave()
