"""What the exporter reads of things that all processes share, from the store and the log."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from bellhouse.deliver.silence import SilenceSettings, silence_ms
from bellhouse.domain.delivery import Delivery
from bellhouse.domain.levers import Lever, Levers
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import CHANNELS, PRIORITIES, Channel, Priority
from bellhouse.ops.probes import sign_of
from bellhouse.ops.reconcile import Reconciler
from bellhouse.policy.pauses import brakes_of, pauses_of
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import LeverReader
from bellhouse.ports.log import NOTIFICATION_TOPICS, PRIORITY_OF, Lag, Log, LogUnavailable, deliveries_topic
from bellhouse.ports.provider import Sheet
from bellhouse.ports.store.dead_letters import DeadLetterStore
from bellhouse.ports.store.providers import BreakerStore, Sign, SignStore
from bellhouse.ports.store.waiting import DueStore, OutboxStore, Pending
from bellhouse.ports.telemetry import (
    BreakerReading,
    DeadLetterDepth,
    LedgerReading,
    LeverReading,
    LeverWord,
    ProbeReading,
    ProviderBalance,
    Silence,
    StoreReading,
)


class GaugeSources(msgspec.Struct, frozen=True):
    """Where the gauges are read."""

    log: Log
    breakers: BreakerStore
    dead_letters: DeadLetterStore
    due: DueStore
    outbox: OutboxStore | None
    """What is committed and not in the log yet; None where the log is part of the store."""
    clock: Clock
    wal_bytes: Callable[[], int] = lambda: 0
    partitions_ahead: Callable[[int], Awaitable[int]] | None = None
    """For how many days after the one of a moment (ms) the store has partitions; None where it has none."""
    silences: "Silences | None" = None
    balances: Callable[[], Sequence[ProviderBalance]] | None = None
    signs: SignStore | None = None
    """Where it is noted when probes got through."""
    levers: LeverReader | None = None
    """Where it is noted what operators have pulled."""


class Silences(msgspec.Struct, frozen=True):
    """How the silence of providers is told."""

    order: Mapping[Channel, Sequence[Sheet]]
    signs: SignStore
    settings: SilenceSettings

    async def read(self, now: int) -> Sequence[Silence]:
        """Of every provider that sends callbacks."""
        signs = await self.signs.signs()
        sheets = {sheet.name: sheet for sheets in self.order.values() for sheet in sheets if sheet.confirms}
        return [
            Silence(name, silence_ms(sheet, signs.get(name, Sign()), now, self.settings) / 1000)
            for name, sheet in sheets.items()
        ]


class StoreGauges:
    """The Gauges port over the store and the log.

    What waits in the store is told whether the log answers or not. Of a log that does not, what was last known is told
    again: nothing leaves it, and what waits in it grows older.
    """

    def __init__(
        self, sources: GaugeSources, reconciler: Reconciler, providers: Mapping[str, tuple[Channel, ...]]
    ) -> None:
        self._sources = sources
        self._reconciler = reconciler
        self._providers = providers
        self._levers: Levers | None = None
        self._in_log = 0
        self._oldest: Mapping[tuple[str, Priority], int] = {}

    async def lags(self) -> Sequence[Lag]:
        return await self._sources.log.lags()

    async def breakers(self) -> Sequence[BreakerReading]:
        rows = {(row.provider, row.channel): row for row in await self._sources.breakers.breakers()}
        readings = []
        for provider, channels in self._providers.items():
            for channel in channels:
                row = rows.get((provider, channel))
                readings.append(BreakerReading(provider, channel, row.state if row else "closed"))
        return readings

    async def dead_letters(self) -> Sequence[DeadLetterDepth]:
        depths = await self._sources.dead_letters.depths()
        return [DeadLetterDepth(channel, depths.get(channel, 0)) for channel in CHANNELS]

    async def ledger(self) -> LedgerReading | None:
        return self._reconciler.reading

    async def oldest_pending(self) -> Mapping[tuple[str, Priority], int]:
        self._oldest = await self._oldest_in_log()
        oldest = dict(self._oldest)
        for priority, pending in (await self._pending()).items():
            key = ("route", priority)
            oldest[key] = min(pending.since, oldest.get(key, pending.since))
        overdue = await self._sources.due.overdue(self._sources.clock.now())
        return oldest | {("due", priority): since for priority, since in overdue.items()}

    async def _oldest_in_log(self) -> dict[tuple[str, Priority], int]:
        """What could be looked at, and what was last known of the rest, as far as anything is left there."""
        log = self._sources.log
        held = {deliveries_topic(*lane) for lane in _paused(await self._pulled())}
        try:
            # First: the log looks for the oldest where it has just counted, so that both are about the same records.
            behind = {_place(lag.topic) for lag in await log.lags() if lag.lag and lag.topic not in held}
            first = await log.oldest()
            found = oldest_of({topic: records for topic, records in first.items() if topic not in held})
        except LogUnavailable:
            return dict(self._oldest)
        return {place: since for place, since in self._oldest.items() if place in behind} | found

    async def balances(self) -> Sequence[ProviderBalance]:
        return () if self._sources.balances is None else self._sources.balances()

    async def store(self) -> StoreReading:
        with suppress(LogUnavailable):
            lags = await self._sources.log.lags()
            self._in_log = sum(lag.lag for lag in lags if lag.topic in NOTIFICATION_TOPICS)
        waiting = sum(pending.records for pending in (await self._pending()).values())
        return StoreReading(self._in_log + waiting, self._sources.wal_bytes())

    async def silences(self) -> Sequence[Silence]:
        asked = self._sources.silences
        return () if asked is None else await asked.read(self._sources.clock.now())

    async def probes(self) -> Sequence[ProbeReading]:
        if self._sources.signs is None:
            return ()
        signs = await self._sources.signs.signs()
        return [ProbeReading(c, sign.heard_at) for c in CHANNELS if (sign := signs.get(sign_of(c))) is not None]

    async def levers(self) -> LeverReading:
        rows = await self._pulled()
        forced = sum(row.forced != "none" for row in await self._sources.breakers.breakers())
        pulled: dict[LeverWord, int] = {"breaker": forced, **Counter(lever.kind for lever in rows)}
        return LeverReading(pulled, _paused(rows))

    async def _pulled(self) -> Sequence[Lever]:
        if self._sources.levers is None:
            return ()
        self._levers = await self._sources.levers.levers(self._levers)
        now = self._sources.clock.now()
        return [lever for lever in self._levers.rows if lever.holds(now)]

    async def partitions_ahead(self) -> int | None:
        asked = self._sources.partitions_ahead
        return None if asked is None else await asked(self._sources.clock.now())

    async def _pending(self) -> Mapping[Priority, Pending]:
        return {} if self._sources.outbox is None else await self._sources.outbox.pending()


_decode_notification: Final = msgspec.msgpack.Decoder(Notification).decode
_decode_delivery: Final = msgspec.msgpack.Decoder(Delivery).decode


def oldest_of(records: Mapping[str, Sequence[bytes]]) -> dict[tuple[str, Priority], int]:
    """Since when (ms since the epoch) the oldest of these records may leave, by stage and priority."""
    oldest: dict[tuple[str, Priority], int] = {}
    for topic, values in records.items():
        place = _place(topic)
        for value in values:
            try:
                ready_at = (_decode_notification(value) if place[0] == "route" else _decode_delivery(value)).ready_at
            except msgspec.DecodeError:
                # The stage skips it and says so.
                continue
            oldest[place] = min(ready_at, oldest.get(place, ready_at))
    return oldest


def _paused(levers: Sequence[Lever]) -> frozenset[tuple[Channel, Priority]]:
    """The lanes of which a pause holds everything. Tenants need no numbers here: who names one holds no lane whole."""
    pauses = pauses_of(levers, {})
    lanes = ((channel, priority) for channel in CHANNELS for priority in PRIORITIES)
    return frozenset(lane for lane in lanes if brakes_of(pauses, *lane).whole is not None)


def _place(topic: str) -> tuple[str, Priority]:
    """The stage and priority of a topic."""
    return ("route" if topic in NOTIFICATION_TOPICS else "deliver", PRIORITY_OF[topic])
