"""The catalogue of alerts: it asks only for what exists, leads to a runbook each, and is what is kept in deploy."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

from bellhouse.engines.process import run_program
from bellhouse.engines.prometheus import promtool
from bellhouse.monitoring import scraping, slo
from bellhouse.monitoring.alert import Alert, Recording, metrics_in, selected_labels
from bellhouse.monitoring.alerts import ALERTS, SLUGS, named
from bellhouse.monitoring.rules import RECORDINGS, Rendering, expression_of, rule_file
from bellhouse.observability.catalogue import BY_NAME

RULES: tuple[Alert | Recording, ...] = (*RECORDINGS, *ALERTS)
PARTS = re.compile(r"(_bucket|_count|_sum)$")
GIVEN = {"up": {"job", "instance"}}
"""What Prometheus itself adds."""
RECORDED = {one.name: {"channel", "slo"} for one in RECORDINGS}


def known_labels(series: str) -> set[str]:
    """The labels of a series, of whatever origin; fails for one that does not exist."""
    if series in GIVEN or series in RECORDED:
        return GIVEN.get(series, set()) | RECORDED.get(series, set())
    metric = BY_NAME.get(series) or BY_NAME[PARTS.sub("", series)]
    return {label.name for label in metric.labels} | ({"le"} if metric.kind == "histogram" else set())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_an_expression_asks_only_for_metrics_and_labels_that_exist(rule: Alert | Recording) -> None:
    expression = expression_of(rule)
    for series in metrics_in(expression):
        known_labels(series)
    for series, label in selected_labels(expression):
        assert label in known_labels(series)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_bucket_that_is_asked_for_is_one(rule: Alert | Recording) -> None:
    for series, bound in re.findall(r'(\w+)_bucket\{[^}]*le="([^"]+)"', expression_of(rule)):
        assert bound == repr(float(bound))
        assert float(bound) in BY_NAME[series].buckets


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_threshold_has_its_number(rule: Alert | Recording) -> None:
    assert not re.search(r"\$[a-z_]+", expression_of(rule))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.key)
def test_an_alert_says_in_words_what_is_the_matter(alert: Alert) -> None:
    assert alert.summary[0].isupper() or alert.summary.startswith("{{")
    assert not alert.summary.endswith(".")
    assert alert.description.endswith(".")
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", alert.slug)


def test_alerts_of_one_name_differ_and_share_a_runbook() -> None:
    assert len({alert.key for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert {other.slug for other in named(alert.name)} == {alert.slug}


def test_nobody_is_woken_by_what_is_asked_for() -> None:
    assert [alert.severity for alert in named("QueueBacklogCampaign")] == ["info"]


@pytest.mark.parametrize("slug", SLUGS)
def test_every_alert_leads_to_a_runbook(slug: str) -> None:
    assert (importlib.import_module("generate").REFERENCE.parent / "runbooks" / f"{slug}.md").is_file()


def test_the_names_are_those_of_the_handbook() -> None:
    assert {alert.name: alert.slug for alert in ALERTS if alert.slug != slo.RUNBOOK} == {
        "NotificationDeliveryRateDropped": "low-delivery-rate",
        "AllProvidersDown": "all-providers-down",
        "QueueBacklogCritical": "queue-backlog",
        "QueueBacklogCampaign": "queue-backlog",
        "ProviderCircuitOpen": "circuit-open",
        "HighProviderLatency": "high-provider-latency",
        "DLQGrowing": "dlq-growing",
        "PausedForLong": "accepting-but-not-sending",
        "RecordsUnreadable": "unreadable-records",
        "NotAccepting": "not-accepting",
        "AcceptingButNotSending": "accepting-but-not-sending",
        "LedgerImbalance": "ledger-imbalance",
        "Watchdog": "watchdog",
        "ProviderBalanceLow": "provider-balance-low",
        "ProviderAccountFault": "provider-account-fault",
        "CallbacksMissing": "callbacks-missing",
        "PartitionsMissing": "partitions-missing",
        "DiskFilling": "disk-filling",
        "DependencyDown": "dependency-down",
        "ProcessRestarting": "process-restarting",
        "ProcessMissing": "process-missing",
        "ClockSkew": "clock-skew",
        "ProbeFailing": "probe-failing",
        "GaugesStale": "gauges-stale",
    }
    assert len(SLUGS) == len(set(SLUGS))


@pytest.mark.parametrize("scale", [1.0, 1 / 60])
def test_prometheus_takes_the_rules(scale: float, tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(rule_file(Rendering(scale=scale)))
    assert f"{len(RULES)} rules found" in run_program([promtool(), "check", "rules", "--lint-fatal", path])


@pytest.mark.parametrize("mode", ["embedded", "distributed"])
def test_prometheus_takes_the_configuration(mode: scraping.Mode, tmp_path: Path) -> None:
    (tmp_path / scraping.RULES).write_text(rule_file())
    path = tmp_path / "prometheus.yml"
    path.write_text(
        scraping.prometheus_file(mode, ["api=one.example", "worker=two.example:9465"] if mode == "distributed" else ())
    )
    assert "SUCCESS" in run_program([promtool(), "check", "config", path])
    jobs = yaml.safe_load(path.read_text())["scrape_configs"]
    assert all(job["job_name"].startswith("bellhouse") for job in jobs)


def test_what_is_kept_in_deploy_is_what_the_code_says() -> None:
    pages = importlib.import_module("generate")
    kept = [name for name in pages.PAGES if "deploy/monitoring" in name]
    assert len(kept) == 4
    for name in kept:
        assert (pages.REFERENCE / name).read_text() == pages.PAGES[name]()
