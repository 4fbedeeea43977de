"""What the doctor asks a Prometheus, and its answers as a reading."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bellhouse.ops.doctor.samples import Key, Reading

WINDOW_S: Final = 300
_GAUGES: Final = (
    "kafka_consumer_lag", "circuit_breaker_state", "dead_letters", "ledger_imbalance",
    "ledger_checked_timestamp_seconds", "oldest_pending_seconds",
    "provider_balance", "provider_balance_low", "provider_silence_seconds", "store_partitions_ahead_days",
    "gauge_read_timestamp_seconds", "ingest_degraded_step", "process_started_timestamp_seconds",
    "process_seen_timestamp_seconds", "dependency_up", "disk_free_bytes", "disk_size_bytes", "clock_skew_seconds",
)  # fmt: skip
_COUNTERS: Final = (
    "provider_verdicts_total", "provider_requests_total", "notifications_sent_total", "callbacks_total",
    "notifications_routed_total", "notifications_received_total", "notifications_rejected_total",
    "dead_letters_total", "unreadable_records_total", "probe_results_total", "provider_latency_seconds_bucket",
)  # fmt: skip
_SUMMED: Final = {"provider_latency_seconds_bucket": "sum by (le, provider) "}
_BEFORE: Final = "before:"
_RESTARTS: Final = "process_restarts"
RESTARTS_S: Final = 900

METERS: Final[Mapping[str, str]] = {
    **{name: name for name in _GAUGES},
    **{f"grown:{name}": f"{_SUMMED.get(name, '')}(increase({name}[{WINDOW_S}s]))" for name in _COUNTERS},
    f"{_BEFORE}kafka_consumer_lag": f"kafka_consumer_lag offset {WINDOW_S}s",
    _RESTARTS: f"changes(process_started_timestamp_seconds[{RESTARTS_S}s])",
}
"""What each answer is called, and the query that gives it."""


def reading_of(answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> Reading:
    """The reading of what Prometheus answered to the queries of METERS, by their names."""
    values: dict[Key, float] = {}
    before: dict[Key, float] = {}
    increases: dict[Key, float] = {}
    for name, result in answers.items():
        plain = name.partition(":")[2] or name
        for series in result:
            labels = {word: said for word, said in series["metric"].items() if word not in ("__name__", "job")}
            key = plain, tuple(sorted(labels.items()))
            number = float(series["value"][1])
            if name.startswith(_BEFORE):
                before[key] = number
            elif name.startswith("grown:") or name == _RESTARTS:
                increases[key] = number
            else:
                values[key] = number
                if name == "process_started_timestamp_seconds":
                    # Restarts are told by their own query.
                    before[key] = number
    return Reading(values, before, increases, float(WINDOW_S), float(RESTARTS_S))
