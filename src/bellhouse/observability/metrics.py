"""One process's metrics: the Telemetry port over the catalogue's series, and the snapshot that is exported."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bellhouse.domain.attempt import AttemptStatus, VerdictName
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.words import Channel, Priority
from bellhouse.observability import catalogue
from bellhouse.observability.families import (
    Counter,
    Distribution,
    Gauge,
    Histogram,
    Labels,
    PassingCounter,
    Register,
)
from bellhouse.ports.telemetry import CallbackOutcome, Dependency, OpenList, ProbeOutcome, SpanOutcome, Stage

_STATM: Final = Path("/proc/self/statm")
_OPEN: Final[dict[OpenList, catalogue.Words]] = {
    "type": catalogue.TYPE,
    "route": catalogue.ROUTE,
    "provider": catalogue.PROVIDER,
    "reject_reason": catalogue.REJECT_REASON,
    "currency": catalogue.CURRENCY,
    "role": catalogue.ROLE,
    "tenant": catalogue.TENANT,
}


class Snapshot(msgspec.Struct, frozen=True):
    """Everything that one process, or several merged, have to export; it travels between processes as msgpack.

    A metric is named by its name and a series by its label values in the catalogue's order. What a process of
    another version does not know, it leaves out.
    """

    role: str
    at: int
    """When it was taken (ms since the epoch)."""
    counters: dict[str, list[tuple[Labels, float]]] = {}
    gauges: dict[str, list[tuple[Labels, float]]] = {}
    histograms: dict[str, list[tuple[Labels, Distribution]]] = {}


class Metrics:
    """Telemetry that is kept in memory. Calls may come from any thread."""

    def __init__(self, role: str, started_at: int) -> None:
        """`role` names this process among those of one installation; `started_at` is ms since the epoch."""
        self.role = role
        self._register = Register()
        self._counters = {m.name: Counter(m, self._register) for m in catalogue.METRICS if m.kind == "counter"}
        self._gauges = {m.name: Gauge(m, self._register) for m in catalogue.METRICS if m.kind == "gauge"}
        self._histograms = {m.name: Histogram(m, self._register) for m in catalogue.METRICS if m.kind == "histogram"}
        self.register("role", (role,))
        self._tenants: Mapping[TenantNo, str] = {}
        self._now = started_at
        """When the last snapshot was taken, which happens every few seconds."""
        self._cpu_counted = 0.0
        for counter in self._counters.values():
            for labels in catalogue.from_zero(counter.metric):
                counter.add(labels, 0)
        self._gauges["process_started_timestamp_seconds"].set((role,), started_at / 1000)
        self._gauges["ingest_degraded_step"].set((role,), 0)
        self._bind()

    def _bind(self) -> None:
        """Look the hot path's families up once, so that a mistyped name fails at the start."""
        counter, histogram = self._counters, self._histograms
        self._received = counter["notifications_received_total"]
        self._validated = counter["notifications_validated_total"]
        self._rejected = counter["notifications_rejected_total"]
        self._http_requests = counter["http_requests_total"]
        self._http_seconds = histogram["http_request_duration_seconds"]
        self._turned_away = counter["http_turned_away_total"]
        self._commit_size = histogram["group_commit_size"]
        self._commit_seconds = histogram["group_commit_duration_seconds"]
        self._produced = counter["kafka_messages_produced_total"]
        self._routed = counter["notifications_routed_total"]
        self._routing_seconds = histogram["routing_duration_seconds"]
        self._suppressed = counter["notifications_suppressed_total"]
        self._sent = counter["notifications_sent_total"]
        self._delivery_seconds = histogram["delivery_duration_seconds"]
        self._retried = counter["delivery_retries_total"]
        self._provider_requests = counter["provider_requests_total"]
        self._verdicts = counter["provider_verdicts_total"]
        self._provider_seconds = histogram["provider_latency_seconds"]
        self._dead_lettered = counter["dead_letters_total"]
        self._expired = counter["deliveries_expired_total"]
        self._cost = counter["notification_cost_total"]
        self._cost_by_tenant = counter["notification_cost_by_tenant_total"]
        self._cost_by_campaign = PassingCounter(
            counter["notification_cost_by_campaign_total"], self._register, "campaign"
        )
        self._delivered = counter["notifications_delivered_total"]
        self._end_to_end = histogram["notification_end_to_end_seconds"]
        self._callbacks = counter["callbacks_total"]
        self._callback_seconds = histogram["provider_callback_delay_seconds"]
        self._unreadable = counter["unreadable_records_total"]
        self._repeated = counter["duplicates_total"]
        self._cpu = counter["process_cpu_used_seconds_total"]
        self._probes = counter["probe_results_total"]

    def register(self, words: OpenList, values: Sequence[str]) -> None:
        """Let these values appear in labels; beyond the list's limit they stay `other`."""
        self._register.add(_OPEN[words], values)

    def name_tenants(self, names: Mapping[TenantNo, str]) -> None:
        """Say what the tenants are called; what is counted for one that was not named is `other`'s."""
        self._tenants = names
        self.register("tenant", list(dict.fromkeys(names.values())))

    def received(self, priority: Priority, type: str, n: int = 1) -> None:
        self._received.add((priority, type), n)

    def validated(self, priority: Priority, type: str, n: int = 1) -> None:
        self._validated.add((priority, type), n)

    def rejected(self, reason: str, n: int = 1) -> None:
        self._rejected.add((reason,), n)

    def http_requests(self, route: str, code: int, seconds: Sequence[float]) -> None:
        self._http_requests.add((route, str(code)), len(seconds))
        self._http_seconds.observe((route,), seconds)

    def turned_away(self) -> None:
        self._turned_away.add((), 1)

    def degraded(self, step: int) -> None:
        self._gauges["ingest_degraded_step"].set((self.role,), step)

    def committed(self, size: int, seconds: float) -> None:
        self._commit_size.observe((), (size,))
        self._commit_seconds.observe((), (seconds,))

    def produced(self, topic: str, n: int = 1) -> None:
        self._produced.add((topic,), n)

    def routed(self, channel: Channel, priority: Priority, n: int = 1) -> None:
        self._routed.add((channel, priority), n)

    def routing_took(self, priority: Priority, seconds: Sequence[float]) -> None:
        self._routing_seconds.observe((priority,), seconds)

    def suppressed(self, reason: str, channel: Channel, n: int = 1) -> None:
        self._suppressed.add((reason, channel), n)

    def sent(self, channel: Channel, provider: str, status: AttemptStatus, n: int = 1) -> None:
        self._sent.add((channel, provider, status), n)

    def delivery_took(self, channel: Channel, provider: str, seconds: Sequence[float]) -> None:
        self._delivery_seconds.observe((channel, provider), seconds)

    def retried(self, channel: Channel, provider: str, attempt: int, n: int = 1) -> None:
        self._retried.add((channel, provider, str(attempt)), n)

    def provider_answered(self, provider: str, code: str, verdict: VerdictName, n: int = 1) -> None:
        # A verdict's code is the wire's, a blank, and the provider's own word: `404 UNREGISTERED`.
        self._provider_requests.add((provider, code.partition(" ")[0]), n)
        self._verdicts.add((provider, verdict), n)

    def provider_took(self, provider: str, seconds: Sequence[float]) -> None:
        self._provider_seconds.observe((provider,), seconds)

    def dead_lettered(self, channel: Channel, reason: str, n: int = 1) -> None:
        self._dead_lettered.add((channel, reason), n)

    def expired(self, channel: Channel, priority: Priority, n: int = 1) -> None:
        self._expired.add((channel, priority), n)

    def cost(
        self, channel: Channel, provider: str, currency: str, amount: float, tenant: TenantNo, campaign: str | None
    ) -> None:
        self._cost.add((channel, provider, currency), amount)
        self._cost_by_tenant.add((self._tenants.get(tenant, catalogue.OTHER), channel, currency), amount)
        if campaign is not None:
            self._cost_by_campaign.add((campaign, channel, currency), amount, self._now)

    def delivered(self, channel: Channel, type: str, n: int = 1) -> None:
        self._delivered.add((channel, type), n)

    def end_to_end(self, channel: Channel, priority: Priority, seconds: Sequence[float]) -> None:
        self._end_to_end.observe((channel, priority), seconds)

    def callbacks(self, provider: str, outcome: CallbackOutcome, n: int = 1) -> None:
        self._callbacks.add((provider, outcome), n)

    def callback_delay(self, provider: str, seconds: Sequence[float]) -> None:
        self._callback_seconds.observe((provider,), seconds)

    def spans(self, outcome: SpanOutcome, n: int = 1) -> None:
        self._counters["trace_spans_total"].add((outcome,), n)

    def unreadable(self, topic: str, n: int = 1) -> None:
        self._unreadable.add((topic,), n)

    def repeated(self, stage: Stage, n: int = 1) -> None:
        self._repeated.add((stage,), n)

    def probed(self, channel: Channel, outcome: ProbeOutcome) -> None:
        self._probes.add((channel, outcome), 1)

    def depends(self, dependency: Dependency, up: bool) -> None:
        self._gauges["dependency_up"].set((self.role, dependency), float(up))

    def disk(self, free_bytes: int, size_bytes: int) -> None:
        self._gauges["disk_free_bytes"].set((self.role,), free_bytes)
        self._gauges["disk_size_bytes"].set((self.role,), size_bytes)

    def clock_skew(self, seconds: float | None) -> None:
        self._gauges["clock_skew_seconds"].replace([] if seconds is None else [((self.role,), seconds)])

    def share(self, name: str, values: Iterable[tuple[Labels, float]]) -> None:
        """Set a gauge about something shared, all its series at once. Only the exporter calls this."""
        self._gauges[name].replace(values)

    def unshare(self) -> None:
        """Forget every shared gauge: another process exports them now."""
        for gauge in self._gauges.values():
            if gauge.metric.owner == "exporter":
                gauge.replace(())

    def restore(self, base: Snapshot) -> None:
        """Go on counting from where an earlier life of this process stopped. Gauges are not restored."""
        for name, counted in base.counters.items():
            counter = self._counters.get(name)
            for labels, value in counted:
                if counter and len(labels) == len(counter.metric.labels):
                    counter.restore(labels, value)
        self._cost_by_campaign.resume(self._now)
        for name, distributions in base.histograms.items():
            histogram = self._histograms.get(name)
            for labels, distribution in distributions:
                if histogram and len(labels) == len(histogram.metric.labels):
                    histogram.restore(labels, distribution)

    def snapshot(self, now: int) -> Snapshot:
        """A copy of every series that has a value, with this process's own figures brought up to date."""
        self._now = now
        self._look_at_myself(now)
        return Snapshot(
            self.role,
            now,
            {name: list(series.items()) for name, one in self._counters.items() if (series := one.copy())},
            {name: list(series.items()) for name, one in self._gauges.items() if (series := one.copy())},
            {name: list(spread.items()) for name, one in self._histograms.items() if (spread := one.copy())},
        )

    def _look_at_myself(self, now: int) -> None:
        used = time.process_time()
        self._cpu.add((self.role,), used - self._cpu_counted)
        self._cpu_counted = used
        self._gauges["process_seen_timestamp_seconds"].set((self.role,), now / 1000)
        if _STATM.exists():
            pages = int(_STATM.read_text().split()[1])
            self._gauges["process_memory_bytes"].set((self.role,), pages * os.sysconf("SC_PAGE_SIZE"))
