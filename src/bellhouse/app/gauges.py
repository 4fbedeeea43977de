"""What the exporter reads of things that all processes share, from the store and the breakers of this process."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.domain.delivery import Delivery
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import CHANNELS, Channel, Priority
from bellhouse.ops.reconcile import Reconciler
from bellhouse.ports.log import NOTIFICATION_TOPICS, PRIORITY_OF, Lag
from bellhouse.ports.telemetry import BreakerReading, DeadLetterDepth, LedgerReading, ProviderBalance, StoreReading


class StoreGauges:
    """The Gauges port over the embedded store."""

    def __init__(
        self, store: SqliteStore, reconciler: Reconciler, providers: Mapping[str, tuple[Channel, ...]]
    ) -> None:
        self._store = store
        self._reconciler = reconciler
        self._providers = providers

    async def lags(self) -> Sequence[Lag]:
        return await self._store.log.lags()

    async def breakers(self) -> Sequence[BreakerReading]:
        rows = {(row.provider, row.channel): row for row in await self._store.catalogue.breakers()}
        readings = []
        for provider, channels in self._providers.items():
            for channel in channels:
                row = rows.get((provider, channel))
                readings.append(BreakerReading(provider, channel, row.state if row else "closed"))
        return readings

    async def dead_letters(self) -> Sequence[DeadLetterDepth]:
        depths = await self._store.dead_letters.depths()
        return [DeadLetterDepth(channel, depths.get(channel, 0)) for channel in CHANNELS]

    async def ledger(self) -> LedgerReading | None:
        return self._reconciler.reading

    async def oldest_pending(self) -> Mapping[tuple[str, Priority], int]:
        return oldest_of(await self._store.log.oldest())

    async def balances(self) -> Sequence[ProviderBalance]:
        return ()

    async def store(self) -> StoreReading:
        waiting = sum(lag.lag for lag in await self._store.log.lags() if lag.topic in NOTIFICATION_TOPICS)
        return StoreReading(waiting, self._store.database.wal_bytes())


class AlwaysHeld:
    """The exporter's lease where a lock on the folder allows one process of its role."""

    async def held(self) -> bool:
        return True


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
