"""The metrics' names, labels and buckets are exactly those that operators have been promised."""

from pathlib import Path

import pytest

from bellhouse.observability import catalogue
from bellhouse.observability.catalogue import BY_NAME, METRICS

PROMISED = {
    "notifications_received_total": ("counter", "priority type"),
    "notifications_validated_total": ("counter", "priority type"),
    "notifications_rejected_total": ("counter", "reason"),
    "kafka_messages_produced_total": ("counter", "topic"),
    "kafka_consumer_lag": ("gauge", "topic partition consumer_group"),
    "notifications_routed_total": ("counter", "channel priority"),
    "routing_duration_seconds": ("histogram", "priority"),
    "notifications_sent_total": ("counter", "channel provider status"),
    "delivery_duration_seconds": ("histogram", "channel provider"),
    "delivery_retries_total": ("counter", "channel provider attempt"),
    "provider_requests_total": ("counter", "provider status_code"),
    "provider_latency_seconds": ("histogram", "provider"),
    "circuit_breaker_state": ("gauge", "provider channel"),
    "notifications_delivered_total": ("counter", "channel type"),
    "notification_end_to_end_seconds": ("histogram", "channel priority"),
}
OURS = {
    "http_requests_total": ("counter", "route code"),
    "http_request_duration_seconds": ("histogram", "route"),
    "http_turned_away_total": ("counter", ""),
    "notifications_suppressed_total": ("counter", "reason channel"),
    "dead_letters_total": ("counter", "channel reason"),
    "dead_letters": ("gauge", "channel"),
    "notification_cost_total": ("counter", "channel provider currency"),
    "notification_cost_by_tenant_total": ("counter", "tenant channel currency"),
    "notification_cost_by_campaign_total": ("counter", "campaign channel currency"),
    "ledger_imbalance": ("gauge", ""),
    "ledger_checked_timestamp_seconds": ("gauge", ""),
    "oldest_pending_seconds": ("gauge", "stage priority"),
    "provider_balance": ("gauge", "provider"),
    "provider_balance_low": ("gauge", "provider"),
    "provider_silence_seconds": ("gauge", "provider"),
    "store_partitions_ahead_days": ("gauge", ""),
    "probe_results_total": ("counter", "channel outcome"),
    "probe_success_timestamp_seconds": ("gauge", "channel"),
    "dependency_up": ("gauge", "role dependency"),
    "disk_free_bytes": ("gauge", "role"),
    "disk_size_bytes": ("gauge", "role"),
    "clock_skew_seconds": ("gauge", "role"),
    "provider_callback_delay_seconds": ("histogram", "provider"),
    "provider_verdicts_total": ("counter", "provider verdict"),
    "callbacks_total": ("counter", "provider outcome"),
    "trace_spans_total": ("counter", "outcome"),
    "deliveries_expired_total": ("counter", "channel priority"),
    "levers_pulled": ("gauge", "kind"),
    "lane_paused": ("gauge", "channel priority"),
    "unreadable_records_total": ("counter", "topic"),
    "duplicates_total": ("counter", "stage"),
    "group_commit_size": ("histogram", ""),
    "group_commit_duration_seconds": ("histogram", ""),
    "ingest_backlog": ("gauge", ""),
    "ingest_degraded_step": ("gauge", "role"),
    "wal_bytes": ("gauge", ""),
    "gauge_read_timestamp_seconds": ("gauge", "gauge"),
    "process_started_timestamp_seconds": ("gauge", "role"),
    "process_seen_timestamp_seconds": ("gauge", "role"),
    "process_memory_bytes": ("gauge", "role"),
    "process_cpu_used_seconds_total": ("counter", "role"),
}
SHARED = {
    "kafka_consumer_lag",
    "circuit_breaker_state",
    "dead_letters",
    "ledger_imbalance",
    "ledger_checked_timestamp_seconds",
    "oldest_pending_seconds",
    "provider_balance",
    "provider_balance_low",
    "provider_silence_seconds",
    "store_partitions_ahead_days",
    "probe_success_timestamp_seconds",
    "levers_pulled",
    "lane_paused",
    "ingest_backlog",
    "wal_bytes",
    "gauge_read_timestamp_seconds",
}


def test_every_metric_has_exactly_the_promised_kind_and_labels_in_their_order() -> None:
    catalogued = {m.name: (m.kind, " ".join(label.name for label in m.labels)) for m in METRICS}
    assert catalogued == PROMISED | OURS


def test_exactly_our_additions_are_marked_as_ours() -> None:
    assert {m.name for m in METRICS if m.ours} == set(OURS)


def test_no_name_is_given_twice() -> None:
    assert len(BY_NAME) == len(METRICS)


def test_gauges_about_shared_things_come_from_the_exporter_and_all_others_name_their_process() -> None:
    gauges = [m for m in METRICS if m.kind == "gauge"]
    assert {m.name for m in gauges if m.owner == "exporter"} == SHARED
    assert all(m.labels[0].name == "role" for m in gauges if m.owner == "process")


DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 2.5, 5, 10)


def test_every_histogram_of_durations_begins_with_the_promised_buckets_and_has_the_2() -> None:
    durations = [m for m in METRICS if m.kind == "histogram" and m.name.endswith("_seconds")]
    assert len(durations) == 7
    for metric in durations:
        assert metric.buckets[: len(DURATIONS)] == DURATIONS, metric.name


@pytest.mark.parametrize("name", ["notification_end_to_end_seconds", "provider_callback_delay_seconds"])
def test_what_may_take_hours_has_buckets_for_hours(name: str) -> None:
    assert BY_NAME[name].buckets[-1] >= 4 * 3600


def test_all_buckets_ascend() -> None:
    assert all(list(m.buckets) == sorted(set(m.buckets)) for m in METRICS)


def test_the_status_of_a_sent_notification_has_four_words() -> None:
    assert catalogue.STATUS.values == ("success", "failed", "throttled", "unknown")


def test_every_list_of_label_values_is_closed_or_has_a_limit() -> None:
    for metric in METRICS:
        for label in metric.labels:
            assert label.words.values or label.words.limit, (metric.name, label.name)


def test_the_reference_page_is_what_the_catalogue_generates() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
    assert page.read_text() == catalogue.page(), (
        "run: python -m bellhouse.observability.catalogue > docs/reference/metrics.md"
    )
