"""Shared gauges are set by whoever holds the lease, and one reading that fails spoils no other."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from bellhouse.domain.words import Priority
from bellhouse.observability.exporter import INTERVAL_S, Exporter
from bellhouse.observability.exposition import render
from bellhouse.observability.merge import MetricsExchange
from bellhouse.observability.metrics import Metrics
from bellhouse.ports.log import Lag
from bellhouse.ports.telemetry import (
    BreakerReading,
    DeadLetterDepth,
    LedgerReading,
    LeverReading,
    ProbeReading,
    ProviderBalance,
    Silence,
    StoreReading,
)
from bellhouse.testing.clock import START, ManualClock

from .recorded import RecordedLogbook
from .scrape import Samples, scrape, value


class World:
    """The Gauges and Lease ports with what a test puts in."""

    def __init__(self) -> None:
        self.held_by_us = True
        self.broken: Exception | None = None
        self.lag = [Lag("deliveries.sms.low", 0, "delivery-sms-low", 12)]
        self.pending: dict[tuple[str, Priority], int] = {("route", "critical"): START - 1_500}
        self.asked_at = 0
        self.ledger_reading: LedgerReading | None = LedgerReading(imbalance=0, checked_at=START)

    async def held(self) -> bool:
        return self.held_by_us

    async def lags(self) -> Sequence[Lag]:
        if self.broken is not None:
            raise self.broken
        return self.lag

    async def breakers(self) -> Sequence[BreakerReading]:
        return [
            BreakerReading("fcm", "push", "closed"),
            BreakerReading("twilio", "sms", "open"),
            BreakerReading("vonage", "sms", "half_open"),
        ]

    async def dead_letters(self) -> Sequence[DeadLetterDepth]:
        return [DeadLetterDepth("push", 3)]

    async def ledger(self) -> LedgerReading | None:
        return self.ledger_reading

    async def oldest_pending(self) -> Mapping[tuple[str, Priority], int]:
        return self.pending

    async def balances(self) -> Sequence[ProviderBalance]:
        return [ProviderBalance("twilio", 41.5, 20.0, self.asked_at), ProviderBalance("vonage", None, 10.0)]

    async def store(self) -> StoreReading:
        return StoreReading(ingest_backlog=77, wal_bytes=4096)

    async def silences(self) -> Sequence[Silence]:
        return [Silence("twilio", 0), Silence("vonage", 901.5)]

    async def probes(self) -> Sequence[ProbeReading]:
        return [ProbeReading("push", START)]

    async def levers(self) -> LeverReading:
        return LeverReading({"pause": 2, "rate": 1}, frozenset({("sms", "low")}))

    async def partitions_ahead(self) -> int | None:
        return 7


class Bench:
    """An exporter over a world, and what it has exported."""

    def __init__(self) -> None:
        self.world = World()
        self.clock = ManualClock()
        self.metrics = Metrics("api", 0)
        self.logbook = RecordedLogbook()
        self.exporter = Exporter(self.world, self.world, self.metrics, self.clock, self.logbook)

    def samples(self) -> Samples:
        return scrape(render(self.metrics.snapshot(self.clock.now())))


LAG = {"topic": "deliveries.sms.low", "partition": "0", "consumer_group": "delivery-sms-low"}


async def test_every_shared_gauge_is_set() -> None:
    bench = Bench()
    await bench.exporter.export()
    samples = bench.samples()
    assert value(samples, "kafka_consumer_lag", **LAG) == 12
    assert value(samples, "circuit_breaker_state", provider="fcm", channel="push") == 0
    assert value(samples, "circuit_breaker_state", provider="twilio", channel="sms") == 1
    assert value(samples, "circuit_breaker_state", provider="vonage", channel="sms") == 2
    assert value(samples, "dead_letters", channel="push") == 3
    assert value(samples, "ledger_imbalance") == 0
    pulled = [value(samples, "levers_pulled", kind=kind) for kind in ("pause", "prefer", "rate", "breaker")]
    assert pulled == [2, 0, 1, 0]
    assert value(samples, "lane_paused", channel="sms", priority="low") == 1
    assert value(samples, "lane_paused", channel="sms", priority="high") == 0
    assert value(samples, "ledger_checked_timestamp_seconds") == START / 1000
    assert value(samples, "oldest_pending_seconds", stage="route", priority="critical") == 1.5
    assert value(samples, "oldest_pending_seconds", stage="deliver", priority="critical") == 0
    assert value(samples, "provider_balance", provider="twilio") == 41.5
    assert value(samples, "provider_balance", provider="vonage") is None, "it has never been told"
    assert value(samples, "provider_balance_low", provider="vonage") == 10
    assert value(samples, "provider_silence_seconds", provider="vonage") == 901.5
    assert value(samples, "probe_success_timestamp_seconds", channel="push") == START / 1000
    assert value(samples, "store_partitions_ahead_days") == 7
    assert value(samples, "ingest_backlog") == 77
    assert value(samples, "wal_bytes") == 4096


async def test_what_has_gone_from_a_reading_goes_from_the_gauge() -> None:
    bench = Bench()
    await bench.exporter.export()
    bench.world.lag = []
    await bench.exporter.export()
    assert value(bench.samples(), "kafka_consumer_lag", **LAG) is None


async def test_a_reading_that_fails_keeps_its_value_shows_its_age_and_is_noted_once() -> None:
    bench = Bench()
    await bench.exporter.export()
    bench.world.broken = ConnectionError("no broker")
    bench.world.pending = {}
    for _ in range(2):
        await bench.clock.advance(INTERVAL_S)
        await bench.exporter.export()
    samples = bench.samples()
    assert value(samples, "kafka_consumer_lag", **LAG) == 12
    assert value(samples, "gauge_read_timestamp_seconds", gauge="lags") == START / 1000
    assert value(samples, "gauge_read_timestamp_seconds", gauge="store") == START / 1000 + 2 * INTERVAL_S
    assert value(samples, "oldest_pending_seconds", stage="route", priority="critical") == 0
    assert [fields["gauge"] for _, _, fields in bench.logbook.notes] == ["lags"]


async def test_a_balance_that_was_asked_for_in_vain_shows_its_age() -> None:
    bench = Bench()
    bench.world.asked_at = START - 60_000
    await bench.exporter.export()
    samples = bench.samples()
    assert value(samples, "provider_balance", provider="twilio") == 41.5
    assert value(samples, "gauge_read_timestamp_seconds", gauge="balances") == START / 1000 - 60


async def test_a_reading_that_fails_again_after_it_had_recovered_is_noted_again() -> None:
    bench = Bench()
    for broken in (ConnectionError("gone"), None, ConnectionError("gone again")):
        bench.world.broken = broken
        await bench.exporter.export()
    assert [fields["error"] for _, _, fields in bench.logbook.notes] == ["gone", "gone again"]


async def test_a_lease_that_cannot_be_asked_for_is_not_ours() -> None:
    bench = Bench()
    await bench.exporter.export()

    async def unreachable() -> bool:
        raise ConnectionError("no store")

    bench.world.held = unreachable  # type: ignore[method-assign]  # the world breaks
    await bench.exporter.export()
    assert value(bench.samples(), "ingest_backlog") is None
    assert [fields["gauge"] for _, _, fields in bench.logbook.notes] == ["lease"]


async def test_without_the_lease_nothing_shared_is_exported() -> None:
    bench = Bench()
    await bench.exporter.export()
    bench.world.held_by_us = False
    await bench.exporter.export()
    samples = bench.samples()
    assert value(samples, "kafka_consumer_lag", **LAG) is None
    assert value(samples, "gauge_read_timestamp_seconds", gauge="lags") is None
    assert value(samples, "process_started_timestamp_seconds", role="api") == 0, "its own gauges stay"


async def test_two_exporters_of_which_one_has_the_lease_do_not_add_up(tmp_path: Path) -> None:
    one, other = Bench(), Bench()
    other.world.held_by_us = False
    other.metrics.role = "bulk"
    first = MetricsExchange(one.metrics, tmp_path, one.clock, one.logbook)
    second = MetricsExchange(other.metrics, tmp_path, one.clock, other.logbook)
    await one.exporter.export()
    await other.exporter.export()
    first.save()
    assert value(scrape(second.exposition()), "ingest_backlog") == 77
    assert value(scrape(first.exposition()), "ingest_backlog") == 77


async def test_before_the_first_check_there_is_no_imbalance_to_show() -> None:
    bench = Bench()
    bench.world.ledger_reading = None
    await bench.exporter.export()
    assert value(bench.samples(), "ledger_imbalance") is None


async def test_it_exports_every_few_seconds_until_drained_and_leaves_nothing_behind() -> None:
    bench = Bench()
    await bench.exporter.start()
    running = asyncio.create_task(bench.exporter.run())
    await bench.clock.advance(0)
    bench.world.lag = [Lag("deliveries.sms.low", 0, "delivery-sms-low", 13)]
    await bench.clock.advance(INTERVAL_S)
    assert value(bench.samples(), "kafka_consumer_lag", **LAG) == 13
    bench.exporter.drain()
    await asyncio.wait_for(running, 5)
    await bench.exporter.stop()
    await bench.exporter.stop()
    assert value(bench.samples(), "kafka_consumer_lag", **LAG) is None
