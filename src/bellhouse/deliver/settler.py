"""Makes outcomes durable: gathers what was settled, writes it in one transaction, and moves the log's position.

A record's position is committed only when it and every record before it is settled, so whatever a killed process
had in its hands is polled again.
"""

import asyncio
from collections import deque
from typing import Final

import msgspec

from bellhouse.deliver.flight import Ticket
from bellhouse.deliver.meter import Meter
from bellhouse.deliver.tracing import LaneTracing
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import LogUnavailable, Reader, positions
from bellhouse.ports.store.deliver import DeadLetter, DeliverStore, Outcome, Retirement, Settlement, Suppression
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import Logbook

_MOST: Final = 500
"""Outcomes a transaction: a few milliseconds."""
_STORE_DOWN_S: Final = 0.5


class Settled(msgspec.Struct, frozen=True, gc=False):
    """One delivery that the lane is done with: its outcomes in order, and what follows from them."""

    ticket: Ticket
    outcomes: tuple[Outcome, ...]
    letter: DeadLetter | None = None
    retirement: Retirement | None = None
    suppression: Suppression | None = None


class Settler:
    """The outcomes of one lane on their way into the store."""

    def __init__(
        self,
        topic: str,
        reader: Reader,
        store: DeliverStore,
        clock: Clock,
        logbook: Logbook,
        meter: Meter,
        pause_s: float,
        tracing: LaneTracing | None = None,
    ) -> None:
        self._topic = topic
        self._reader = reader
        self._store = store
        self._clock = clock
        self._logbook = logbook
        self._meter = meter
        self._pause_s = pause_s
        self._tracing = tracing if tracing is not None and tracing.on else None
        self._tickets: deque[Ticket] = deque()
        self._settled: list[Settled] = []
        self._old_intents: list[int] = []
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self.in_flight = 0
        """Deliveries that were polled and are not durable yet."""

    def polled(self, ticket: Ticket) -> None:
        """A batch was polled: from now on it holds the position back until it is settled."""
        self._tickets.append(ticket)
        self.in_flight += ticket.open
        if ticket.open == 0:
            self._work.set()

    def dropped(self, ticket: Ticket, count: int) -> None:
        """Records of a batch that need no outcome, because they have one."""
        ticket.open -= count
        self.in_flight -= count
        self._work.set()

    def add(self, settled: Settled) -> None:
        """One delivery is settled."""
        self._settled.append(settled)
        if not self._work.is_set():
            self._work.set()

    def hand_back(self, count: int) -> None:
        """So many deliveries are somebody else's to settle: they hold the position back, and nobody waits for them."""
        self.in_flight -= count

    def forget_intent(self, number: int) -> None:
        """An intent of an earlier process has been answered for."""
        self._old_intents.append(number)
        self._work.set()

    async def wait_for_room(self, window: int) -> None:
        """Return when fewer than `window` deliveries are in flight."""
        while self.in_flight >= window:
            self._room.clear()
            await self._room.wait()

    async def run(self) -> None:
        """Write until cancelled. Nothing is lost while the store is away: the lane fills up and polls no more."""
        while True:
            await self._work.wait()
            if len(self._settled) < _MOST and self._pause_s:
                await self._clock.sleep(self._pause_s)
            self._work.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write everything that is settled by now."""
        while True:
            taken, self._settled = self._settled[:_MOST], self._settled[_MOST:]
            settlement = self._settlement(taken)
            if settlement is not None:
                await self._write(settlement)
            if self._tracing is not None:
                self._tracing.stored(taken)
            self.in_flight -= len(taken)
            self._room.set()
            self._meter.tell()
            if not self._settled:
                return
            await self._clock.sleep(0)

    def _settlement(self, taken: list[Settled]) -> Settlement | None:
        intents: list[int] = []
        if not self._settled:
            # Not before everything that was answered for is written: until then the intent alone knows of it.
            intents, self._old_intents = self._old_intents, []
        for settled in taken:
            ticket = settled.ticket
            ticket.open -= 1
            if ticket.open == 0:
                intents += ticket.intents
        ends: dict[tuple[int, int], int] = {}
        while self._tickets and self._tickets[0].open == 0:
            for place, end in self._tickets.popleft().ends.items():
                ends[place] = max(end, ends.get(place, end))
        if not (taken or intents or ends):
            return None
        return Settlement(
            [outcome for settled in taken for outcome in settled.outcomes],
            [settled.letter for settled in taken if settled.letter is not None],
            [settled.retirement for settled in taken if settled.retirement is not None],
            [settled.suppression for settled in taken if settled.suppression is not None],
            intents,
            positions(self._topic, ends),
        )

    async def _write(self, settlement: Settlement) -> None:
        while True:
            try:
                await self._store.settle(settlement)
                break
            except StoreUnavailable as down:
                self._logbook.note("error", "Outcomes wait for the store", reason=down.reason, error=str(down))
                await self._clock.sleep(_STORE_DOWN_S)
        try:
            await self._reader.commit(settlement.done)
        except (LogUnavailable, StoreUnavailable) as down:
            # The records come again, and are seen to be settled.
            self._logbook.note("warning", "A position was not moved", reason=down.reason, error=str(down))
