"""What the stages count appears in the exposition, under bounded labels, however it was batched."""

import inspect
from collections.abc import Callable
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from bellhouse.domain.ids import TenantNo
from bellhouse.observability.catalogue import METRICS, SECONDS
from bellhouse.observability.exposition import render
from bellhouse.observability.metrics import Metrics
from bellhouse.ports.telemetry import NullTelemetry, Telemetry

from .scrape import Samples, scrape, value

ACME = TenantNo(7)
DAY_MS = 86_400_000
ROOM = 100
"""How many campaigns have a series of their own at a time."""

CALLS: list[tuple[Callable[[Metrics], None], str, dict[str, str], float]] = [
    (lambda m: m.received("low", "news", 3), "notifications_received_total", {"priority": "low", "type": "news"}, 3),
    (lambda m: m.validated("low", "news", 2), "notifications_validated_total", {"priority": "low", "type": "news"}, 2),
    (lambda m: m.rejected("invalid", 4), "notifications_rejected_total", {"reason": "invalid"}, 4),
    (
        lambda m: m.http_requests("/v1/notifications", 202, (0.1, 0.2)),
        "http_requests_total",
        {"route": "/v1/notifications", "code": "202"},
        2,
    ),
    (
        lambda m: m.http_requests("/v1/notifications", 202, (0.1, 0.2)),
        "http_request_duration_seconds_count",
        {"route": "/v1/notifications"},
        2,
    ),
    (lambda m: m.turned_away(), "http_turned_away_total", {}, 1),
    (lambda m: m.degraded(2), "ingest_degraded_step", {"role": "bulk"}, 2),
    (lambda m: m.committed(64, 0.004), "group_commit_size_sum", {}, 64),
    (lambda m: m.committed(64, 0.004), "group_commit_duration_seconds_bucket", {"le": "0.005"}, 1),
    (
        lambda m: m.produced("deliveries.sms.low", 9),
        "kafka_messages_produced_total",
        {"topic": "deliveries.sms.low"},
        9,
    ),
    (lambda m: m.routed("sms", "high", 5), "notifications_routed_total", {"channel": "sms", "priority": "high"}, 5),
    (lambda m: m.routing_took("high", (0.3,)), "routing_duration_seconds_sum", {"priority": "high"}, 0.3),
    (
        lambda m: m.suppressed("suppressed:unsubscribed", "email", 6),
        "notifications_suppressed_total",
        {"reason": "suppressed:unsubscribed", "channel": "email"},
        6,
    ),
    (
        lambda m: m.sent("push", "fcm", "unknown", 7),
        "notifications_sent_total",
        {"channel": "push", "provider": "fcm", "status": "unknown"},
        7,
    ),
    (
        lambda m: m.delivery_took("push", "fcm", (2.0,)),
        "delivery_duration_seconds_bucket",
        {"channel": "push", "provider": "fcm", "le": "2.0"},
        1,
    ),
    (
        lambda m: m.retried("sms", "twilio", 2),
        "delivery_retries_total",
        {"channel": "sms", "provider": "twilio", "attempt": "2"},
        1,
    ),
    (
        lambda m: m.provider_answered("vonage", "200", "throttled", 3),
        "provider_requests_total",
        {"provider": "vonage", "status_code": "200"},
        3,
    ),
    (
        lambda m: m.provider_answered("vonage", "200", "throttled", 3),
        "provider_verdicts_total",
        {"provider": "vonage", "verdict": "throttled"},
        3,
    ),
    (lambda m: m.provider_took("smtp", (0.5, 0.25)), "provider_latency_seconds_sum", {"provider": "smtp"}, 0.75),
    (
        lambda m: m.dead_lettered("sms", "dead_lettered:no_provider", 2),
        "dead_letters_total",
        {"channel": "sms", "reason": "dead_lettered:no_provider"},
        2,
    ),
    (lambda m: m.expired("sms", "low", 2), "deliveries_expired_total", {"channel": "sms", "priority": "low"}, 2),
    (
        lambda m: m.cost("sms", "twilio", "USD", 0.25, ACME, "spring"),
        "notification_cost_total",
        {"channel": "sms", "provider": "twilio", "currency": "USD"},
        0.25,
    ),
    (
        lambda m: m.cost("sms", "twilio", "USD", 0.25, ACME, "spring"),
        "notification_cost_by_tenant_total",
        {"tenant": "acme", "channel": "sms", "currency": "USD"},
        0.25,
    ),
    (
        lambda m: m.cost("sms", "twilio", "USD", 0.25, ACME, "spring"),
        "notification_cost_by_campaign_total",
        {"campaign": "spring", "channel": "sms", "currency": "USD"},
        0.25,
    ),
    (lambda m: m.delivered("push", "news", 8), "notifications_delivered_total", {"channel": "push", "type": "news"}, 8),
    (
        lambda m: m.end_to_end("email", "low", (5000.0,)),
        "notification_end_to_end_seconds_bucket",
        {"channel": "email", "priority": "low", "le": "7200.0"},
        1,
    ),
    (
        lambda m: m.callbacks("twilio", "unmatched", 2),
        "callbacks_total",
        {"provider": "twilio", "outcome": "unmatched"},
        2,
    ),
    (lambda m: m.callback_delay("twilio", (30.0,)), "provider_callback_delay_seconds_sum", {"provider": "twilio"}, 30),
    (lambda m: m.unreadable("notifications.low", 2), "unreadable_records_total", {"topic": "notifications.low"}, 2),
    (lambda m: m.repeated("deliver", 11), "duplicates_total", {"stage": "deliver"}, 11),
    (lambda m: m.spans("dropped", 3), "trace_spans_total", {"outcome": "dropped"}, 3),
    (lambda m: m.probed("sms", "timeout"), "probe_results_total", {"channel": "sms", "outcome": "timeout"}, 1),
    (lambda m: m.depends("log", True), "dependency_up", {"role": "bulk", "dependency": "log"}, 1),
    (lambda m: m.disk(30, 100), "disk_free_bytes", {"role": "bulk"}, 30),
    (lambda m: m.clock_skew(-1.5), "clock_skew_seconds", {"role": "bulk"}, -1.5),
]


def metrics() -> Metrics:
    made = Metrics("bulk", started_at=1_000)
    made.register("type", ["news"])
    made.register("route", ["/v1/notifications"])
    made.name_tenants({ACME: "acme"})
    return made


def exposed(from_metrics: Metrics) -> Samples:
    return scrape(render(from_metrics.snapshot(2_000)))


@pytest.mark.parametrize(("call", "name", "labels", "expected"), CALLS)
def test_each_call_moves_its_own_series(
    call: Callable[[Metrics], None], name: str, labels: dict[str, str], expected: float
) -> None:
    counted = metrics()
    before = value(exposed(counted), name, **labels) or 0
    call(counted)
    assert value(exposed(counted), name, **labels) == before + expected


def test_every_method_of_the_port_is_exercised_above() -> None:
    source = inspect.getsource(inspect.getmodule(exposed))  # type: ignore[arg-type]  # this module exists
    methods = {name for name, _ in inspect.getmembers(Telemetry, inspect.isfunction) if not name.startswith("_")}
    assert {name for name in methods if f"m.{name}(" not in source} == {"register"}


def test_the_null_telemetry_takes_every_call() -> None:
    port: Telemetry = NullTelemetry()
    for name, _ in inspect.getmembers(Telemetry, inspect.isfunction):
        if not name.startswith("_"):
            assert getattr(port, name)("anything", 1, n=2) is None


def test_a_metric_without_any_series_is_exported_by_name_all_the_same() -> None:
    body = render(Metrics("bulk", 0).snapshot(0)).decode()
    for metric in METRICS:
        assert f"# TYPE {metric.name} {metric.kind}\n" in body


def test_the_gauge_and_the_counter_of_dead_letters_stand_side_by_side() -> None:
    counted = metrics()
    counted.share("dead_letters", [(("sms",), 4)])
    counted.dead_lettered("sms", "dead_lettered:no_provider", 9)
    samples = exposed(counted)
    assert value(samples, "dead_letters", channel="sms") == 4
    assert value(samples, "dead_letters_total", channel="sms", reason="dead_lettered:no_provider") == 9


def test_counters_whose_labels_are_known_beforehand_show_zero_from_the_start() -> None:
    samples = exposed(Metrics("bulk", 0))
    assert value(samples, "dead_letters_total", channel="push", reason="dead_lettered:no_provider") == 0
    assert value(samples, "notifications_rejected_total", reason="malformed") == 0
    assert value(samples, "duplicates_total", stage="confirm") == 0


def test_an_unknown_label_value_becomes_other() -> None:
    counted = metrics()
    counted.received("low", "never_registered", 3)
    counted.sent("push", "stranger", "success", 2)
    counted.provider_answered("fcm", "599", "accepted")
    counted.retried("push", "fcm", 11)
    counted.rejected('a "reason"\nof its own')
    samples = exposed(counted)
    assert value(samples, "notifications_received_total", priority="low", type="other") == 3
    assert value(samples, "notifications_sent_total", channel="push", provider="other", status="success") == 2
    assert value(samples, "provider_requests_total", provider="fcm", status_code="other") == 1
    assert value(samples, "delivery_retries_total", channel="push", provider="fcm", attempt="other") == 1
    assert value(samples, "notifications_rejected_total", reason="other") == 1


def test_a_type_counts_under_its_own_name_from_the_moment_it_is_registered() -> None:
    counted = metrics()
    counted.delivered("push", "late")
    counted.register("type", ["late"])
    counted.delivered("push", "late")
    samples = exposed(counted)
    assert value(samples, "notifications_delivered_total", channel="push", type="other") == 1
    assert value(samples, "notifications_delivered_total", channel="push", type="late") == 1


def test_a_flood_of_types_registered_or_not_stays_within_the_limit() -> None:
    counted = Metrics("bulk", 0)
    for i in range(5_000):
        counted.register("type", [f"type{i}"])
        counted.received("low", f"type{i}")
        counted.received("low", f"stranger{i}")
    series = dict(counted.snapshot(0).counters)["notifications_received_total"]
    assert len(series) == 201
    assert sum(n for _, n in series) == 10_000


def test_a_tenant_without_a_name_yet_and_all_beyond_two_hundred_are_counted_as_other() -> None:
    counted = metrics()
    counted.name_tenants({TenantNo(n): f"tenant{n}" for n in range(300)})
    for n in (7, 299, 301):
        counted.cost("sms", "twilio", "USD", 1.0, TenantNo(n), None)
    samples = exposed(counted)
    assert value(samples, "notification_cost_by_tenant_total", tenant="tenant7", channel="sms", currency="USD") == 1
    assert value(samples, "notification_cost_by_tenant_total", tenant="other", channel="sms", currency="USD") == 2


def test_the_environments_of_a_tenant_are_added_up() -> None:
    counted = metrics()
    counted.name_tenants({TenantNo(1): "acme", TenantNo(2): "acme"})
    for n in (1, 2):
        counted.cost("sms", "twilio", "USD", 1.0, TenantNo(n), None)
    assert (
        value(exposed(counted), "notification_cost_by_tenant_total", tenant="acme", channel="sms", currency="USD") == 2
    )


def campaigns(counted: Metrics, now: int = 2_000) -> dict[str, float]:
    """What each campaign cost."""
    series = counted.snapshot(now).counters["notification_cost_by_campaign_total"]
    return {labels[0]: amount for labels, amount in series}


def spend(counted: Metrics, campaign: str | None) -> None:
    counted.cost("sms", "twilio", "USD", 1.0, ACME, campaign)


def test_what_belongs_to_no_campaign_costs_none() -> None:
    counted = metrics()
    spend(counted, None)
    assert "notification_cost_by_campaign_total" not in counted.snapshot(0).counters


def test_campaigns_beyond_the_limit_are_counted_as_other_until_one_has_cost_nothing_for_a_day() -> None:
    counted = metrics()
    for n in range(ROOM + 5):
        spend(counted, f"campaign{n}")
    assert campaigns(counted)["other"] == 5
    assert len(campaigns(counted)) == ROOM + 1
    counted.snapshot(2_000 + DAY_MS)
    for n in (*range(1, ROOM), ROOM + 1):
        spend(counted, f"campaign{n}")
    told = campaigns(counted, 2_000 + DAY_MS)
    assert "campaign0" not in told, "it had cost nothing for the longest time"
    assert told["campaign1"] == 2
    assert told[f"campaign{ROOM + 1}"] == 1
    assert told["other"] == 5


def test_a_process_that_is_started_again_knows_the_campaigns_that_it_had() -> None:
    before = metrics()
    for n in range(ROOM):
        spend(before, f"campaign{n}")
    after = metrics()
    after.restore(before.snapshot(2_000))
    spend(after, "campaign7")
    spend(after, "one more")
    assert campaigns(after)["campaign7"] == 2
    assert campaigns(after)["other"] == 1


def test_a_label_value_with_quotes_backslash_and_newline_survives_the_exposition() -> None:
    counted = metrics()
    strange = 'a"b\\c\nd'
    counted.register("route", [strange])
    counted.http_requests(strange, 200, (0.1,))
    assert value(exposed(counted), "http_requests_total", route=strange, code="200") == 1


def test_a_gauges_values_that_fold_into_other_are_summed_for_lag_and_the_worst_counts_for_breakers() -> None:
    counted = metrics()
    counted.share(
        "kafka_consumer_lag", [(("notifications.low", str(p), "notification-workers"), 5) for p in (1000, 1001)]
    )
    counted.share("circuit_breaker_state", [(("x", "push"), 1), (("y", "push"), 0)])
    samples = exposed(counted)
    lag = {"topic": "notifications.low", "partition": "other", "consumer_group": "notification-workers"}
    assert value(samples, "kafka_consumer_lag", **lag) == 10
    assert value(samples, "circuit_breaker_state", provider="other", channel="push") == 1


DURATIONS = st.floats(min_value=0, max_value=20, allow_nan=False) | st.sampled_from(SECONDS)


@given(st.lists(DURATIONS, max_size=60))
def test_a_batch_of_durations_counts_like_prometheus_own_histogram(values: list[float]) -> None:
    registry = CollectorRegistry()
    theirs = Histogram("provider_latency_seconds", "x", ["provider"], buckets=SECONDS, registry=registry)
    ours = metrics()
    theirs.labels("fcm")
    ours.provider_took("fcm", values)
    for one in values:
        theirs.labels("fcm").observe(one)
    expected = {
        (s.name, frozenset(s.labels.items())): s.value
        for family in registry.collect()
        for s in family.samples
        if not s.name.endswith("_created")
    }
    mine = {key: n for key, n in exposed(ours).items() if key[0].startswith("provider_latency_seconds")}
    assert mine == (pytest.approx(expected) if values else {})


@given(st.lists(DURATIONS, min_size=1, max_size=60), st.integers(1, 10))
def test_how_durations_are_cut_into_batches_does_not_matter(values: list[float], size: int) -> None:
    whole, cut = metrics(), metrics()
    whole.provider_took("fcm", values)
    for start in range(0, len(values), size):
        cut.provider_took("fcm", values[start : start + size])
    ((_, in_one),) = whole.snapshot(0).histograms["provider_latency_seconds"]
    ((_, in_parts),) = cut.snapshot(0).histograms["provider_latency_seconds"]
    assert in_parts.counts == in_one.counts
    assert in_parts.total == pytest.approx(in_one.total)


def test_a_negative_duration_of_a_clock_set_back_counts_as_nothing() -> None:
    counted = metrics()
    counted.end_to_end("push", "low", [-3600.0, 1.0])
    samples = exposed(counted)
    assert value(samples, "notification_end_to_end_seconds_sum", channel="push", priority="low") == 1
    assert value(samples, "notification_end_to_end_seconds_count", channel="push", priority="low") == 2


def test_counts_from_many_threads_are_all_kept() -> None:
    counted = metrics()

    def work() -> None:
        for _ in range(5_000):
            counted.sent("push", "fcm", "success")
            counted.provider_took("fcm", (0.1,))

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    samples = exposed(counted)
    assert value(samples, "notifications_sent_total", channel="push", provider="fcm", status="success") == 20_000
    assert value(samples, "provider_latency_seconds_count", provider="fcm") == 20_000


def test_a_process_shows_when_it_began_was_seen_and_what_it_used() -> None:
    samples = exposed(metrics())
    assert value(samples, "process_started_timestamp_seconds", role="bulk") == 1
    assert value(samples, "process_seen_timestamp_seconds", role="bulk") == 2
    assert (value(samples, "process_cpu_used_seconds_total", role="bulk") or 0) > 0


def test_help_and_type_come_once_for_each_metric() -> None:
    families = list(text_string_to_metric_families(render(metrics().snapshot(0)).decode()))
    assert len(families) == len(METRICS)


def test_a_providers_own_word_is_left_out_of_the_code_on_the_wire() -> None:
    metrics = Metrics("api", 0)
    metrics.register("provider", ["fcm"])
    metrics.provider_answered("fcm", "404 UNREGISTERED", "token_invalid")
    counted = dict(metrics.snapshot(1).counters)["provider_requests_total"]
    assert [(tuple(labels), value) for labels, value in counted if value] == [(("fcm", "404"), 1)]
