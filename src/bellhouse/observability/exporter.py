"""The one leased exporter: it sets the gauges about what all processes share, so that no replica adds to them.

It stands apart from the workers, because a dead worker must not silence the alert about its own backlog.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import product
from typing import Final, get_args

from bellhouse.domain.words import CHANNELS, PRIORITIES
from bellhouse.observability.families import Labels
from bellhouse.observability.metrics import Metrics
from bellhouse.observability.ticks import ticks
from bellhouse.ports.clock import Clock
from bellhouse.ports.telemetry import BreakerState, Gauges, Lease, LeverWord, Logbook, Stage

INTERVAL_S: Final = 5.0

_BREAKER_VALUE: Final[dict[BreakerState, float]] = {"closed": 0, "open": 1, "half_open": 2}
_PENDING_STAGES: Final[tuple[Stage, ...]] = ("route", "deliver", "due")

Table = dict[str, Iterable[tuple[Labels, float]]]


class Exporter:
    """The service that reads the Gauges port every few seconds, while this process holds the lease."""

    name = "exporter"

    def __init__(
        self,
        gauges: Gauges,
        lease: Lease,
        metrics: Metrics,
        clock: Clock,
        logbook: Logbook,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._gauges = gauges
        self._lease = lease
        self._metrics = metrics
        self._clock = clock
        self._logbook = logbook
        self._interval_s = interval_s
        self._stop = asyncio.Event()
        self._read_at: dict[str, float] = {}
        self._stale_since: dict[str, int] = {}
        """Since when (ms) a part of a table is only what was last known; 0 or missing: all of it is fresh."""
        self._failing: set[str] = set()
        self._readings: dict[str, Callable[[], Awaitable[Table]]] = {
            "lags": self._lags,
            "breakers": self._breakers,
            "dead_letters": self._dead_letters,
            "ledger": self._ledger,
            "oldest_pending": self._oldest_pending,
            "balances": self._balances,
            "store": self._store,
            "silences": self._silences,
            "probes": self._probes,
            "levers": self._levers,
            "partitions": self._partitions,
        }

    async def start(self) -> None:
        """Nothing to make ready."""

    async def run(self) -> None:
        async for _ in ticks(self._clock, self._interval_s, self._stop):
            await self.export()

    def drain(self) -> None:
        self._stop.set()

    async def stop(self) -> None:
        self._stop.set()
        self._metrics.unshare()

    async def export(self) -> None:
        """Set every shared gauge once. A reading that fails keeps its last values and holds up no other."""
        if not await self._ours():
            self._metrics.unshare()
            self._read_at.clear()
            return
        for name, reading in self._readings.items():
            try:
                table = await reading()
            except Exception as error:
                self._note_failure(name, error)
                continue
            self._failing.discard(name)
            self._read_at[name] = (self._stale_since.get(name) or self._clock.now()) / 1000
            for metric, values in table.items():
                self._metrics.share(metric, values)
        self._metrics.share("gauge_read_timestamp_seconds", (((name,), at) for name, at in self._read_at.items()))

    async def _ours(self) -> bool:
        """Whether the lease is ours; one that cannot be asked for is not."""
        try:
            held = await self._lease.held()
        except Exception as error:
            self._note_failure("lease", error)
            return False
        self._failing.discard("lease")
        return held

    def _note_failure(self, name: str, error: Exception) -> None:
        """Once, until it succeeds again."""
        if name not in self._failing:
            self._failing.add(name)
            self._logbook.note("warning", "Shared gauge could not be read", gauge=name, error=str(error))

    async def _lags(self) -> Table:
        lags = await self._gauges.lags()
        return {"kafka_consumer_lag": [((one.topic, str(one.partition), one.group), one.lag) for one in lags]}

    async def _breakers(self) -> Table:
        breakers = await self._gauges.breakers()
        values = [((one.provider, one.channel), _BREAKER_VALUE[one.state]) for one in breakers]
        return {"circuit_breaker_state": values}

    async def _dead_letters(self) -> Table:
        return {"dead_letters": [((one.channel,), one.count) for one in await self._gauges.dead_letters()]}

    async def _ledger(self) -> Table:
        ledger = await self._gauges.ledger()
        if ledger is None:
            return {"ledger_imbalance": (), "ledger_checked_timestamp_seconds": ()}
        checked_at = ledger.checked_at / 1000
        return {"ledger_imbalance": [((), ledger.imbalance)], "ledger_checked_timestamp_seconds": [((), checked_at)]}

    async def _oldest_pending(self) -> Table:
        """An age of 0 where nothing waits: a missing series would look like an exporter that has died."""
        ages: dict[Labels, float] = dict.fromkeys(product(_PENDING_STAGES, PRIORITIES), 0.0)
        oldest = await self._gauges.oldest_pending()
        now = self._clock.now()
        ages.update({labels: max(0, now - since) / 1000 for labels, since in oldest.items() if since})
        return {"oldest_pending_seconds": ages.items()}

    async def _balances(self) -> Table:
        balances = await self._gauges.balances()
        self._stale_since["balances"] = min((one.stale_since for one in balances if one.stale_since), default=0)
        return {
            "provider_balance": [((one.provider,), one.amount) for one in balances if one.amount is not None],
            "provider_balance_low": [((one.provider,), one.low) for one in balances if one.low is not None],
        }

    async def _silences(self) -> Table:
        return {"provider_silence_seconds": [((one.provider,), one.seconds) for one in await self._gauges.silences()]}

    async def _probes(self) -> Table:
        probes = await self._gauges.probes()
        return {"probe_success_timestamp_seconds": [((one.channel,), one.succeeded_at / 1000) for one in probes]}

    async def _levers(self) -> Table:
        """All at 0 too: an alert has to tell what is not paused from what is not known."""
        levers = await self._gauges.levers()
        lanes = ((channel, priority) for channel in CHANNELS for priority in PRIORITIES)
        return {
            "levers_pulled": [((kind,), levers.pulled.get(kind, 0)) for kind in get_args(LeverWord)],
            "lane_paused": [(lane, float(lane in levers.paused)) for lane in lanes],
        }

    async def _partitions(self) -> Table:
        days = await self._gauges.partitions_ahead()
        return {"store_partitions_ahead_days": () if days is None else [((), days)]}

    async def _store(self) -> Table:
        store = await self._gauges.store()
        return {"ingest_backlog": [((), store.ingest_backlog)], "wal_bytes": [((), store.wal_bytes)]}
