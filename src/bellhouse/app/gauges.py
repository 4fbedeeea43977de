"""What the exporter reads of things that all processes share, from the store and the log."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.domain.delivery import Delivery
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import CHANNELS, Channel, Priority
from bellhouse.ops.reconcile import Reconciler
from bellhouse.ports.log import NOTIFICATION_TOPICS, PRIORITY_OF, Lag, Log
from bellhouse.ports.store import BreakerStore, DeadLetterStore, OutboxStore, Pending
from bellhouse.ports.telemetry import BreakerReading, DeadLetterDepth, LedgerReading, ProviderBalance, StoreReading


class GaugeSources(msgspec.Struct, frozen=True):
    """Where the gauges are read."""

    log: Log
    breakers: BreakerStore
    dead_letters: DeadLetterStore
    outbox: OutboxStore | None
    """What is committed and not in the log yet; None where the log is part of the store."""
    wal_bytes: Callable[[], int] = lambda: 0


class StoreGauges:
    """The Gauges port over the store and the log."""

    def __init__(
        self, sources: GaugeSources, reconciler: Reconciler, providers: Mapping[str, tuple[Channel, ...]]
    ) -> None:
        self._sources = sources
        self._reconciler = reconciler
        self._providers = providers

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
        oldest = oldest_of(await self._sources.log.oldest())
        for priority, pending in (await self._pending()).items():
            key = ("route", priority)
            oldest[key] = min(pending.since, oldest.get(key, pending.since))
        return oldest

    async def balances(self) -> Sequence[ProviderBalance]:
        return ()

    async def store(self) -> StoreReading:
        waiting = sum(lag.lag for lag in await self._sources.log.lags() if lag.topic in NOTIFICATION_TOPICS)
        waiting += sum(pending.records for pending in (await self._pending()).values())
        return StoreReading(waiting, self._sources.wal_bytes())

    async def _pending(self) -> Mapping[Priority, Pending]:
        return {} if self._sources.outbox is None else await self._sources.outbox.pending()


_decode_notification: Final = msgspec.msgpack.Decoder(Notification).decode
_decode_delivery: Final = msgspec.msgpack.Decoder(Delivery).decode


def oldest_of(records: Mapping[str, Sequence[bytes]]) -> dict[tuple[str, Priority], int]:
    """Since when (ms since the epoch) the oldest of these records may leave, by stage and priority."""
    oldest: dict[tuple[str, Priority], int] = {}
    for topic, values in records.items():
        routing = topic in NOTIFICATION_TOPICS
        for value in values:
            try:
                ready_at = (_decode_notification(value) if routing else _decode_delivery(value)).ready_at
            except msgspec.DecodeError:
                # The stage skips it and says so.
                continue
            key = ("route" if routing else "deliver", PRIORITY_OF[topic])
            oldest[key] = min(ready_at, oldest.get(key, ready_at))
    return oldest
