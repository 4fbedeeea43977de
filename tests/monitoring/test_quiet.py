"""Nobody is woken for what is expected, the blind are told, and a scaled rule is the same rule."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.engines.process import run_program
from bellhouse.engines.prometheus import promtool
from bellhouse.monitoring.alerts import ALERTS
from bellhouse.monitoring.rules import RECORDINGS, Rendering, rule_file
from bellhouse.monitoring.thresholds import Thresholds
from bellhouse.monitoring.timescale import milliseconds, scaled, scaled_expression, written
from tests.monitoring import cases_symptoms as told

HEALTHY = {
    **told.UP,
    **told.answered("202", "0+6000x60"),
    **told.answered("503", "0+60x60"),
    "http_turned_away_total": "0+60x60",
    'ingest_degraded_step{role="api"}': "1x60",
    **told.validated("0+6000x60"),
    **told.routed("push", "0+20000x60"),
    **told.sent("push", "success", "0+16600x60", "fcm"),
    **told.sent("push", "failed", "0+60x60", "fcm"),
    **told.lag("notifications.low", "1000000-10000x60"),
    **told.lag("deliveries.push.low", "1000000-10000x60"),
    **told.lag("notifications.critical", "3x60"),
    **told.oldest("deliver", "low", "0+60x60"),
    **told.oldest("deliver", "critical", "0.3x60"),
    **told.breaker("fcm", "push", "0x60"),
    'unreadable_records_total{topic="notifications.normal"}': "0x60",
    'lane_paused{channel="push",priority="normal"}': "0x60",
    'levers_pulled{kind="pause"}': "0x60",
    "ledger_imbalance": "0x60",
    "ledger_checked_timestamp_seconds": "0+60x60",
    'gauge_read_timestamp_seconds{gauge="lags"}': "0+60x60",
    'process_seen_timestamp_seconds{role="bulk"}': "0+60x60",
    'process_started_timestamp_seconds{role="bulk"}': "0x60",
    'dependency_up{role="bulk",dependency="store"}': "1x60",
    'disk_free_bytes{role="bulk"}': "50-0.1x60",
    'disk_size_bytes{role="bulk"}': "100x60",
    'clock_skew_seconds{role="bulk"}': "0.01x60",
    'provider_silence_seconds{provider="fcm"}': "0x60",
    'probe_results_total{channel="push",outcome="confirmed"}': "0+1x60",
    'provider_latency_seconds_bucket{provider="fcm",le="0.1"}': "0+16600x60",
    'provider_latency_seconds_bucket{provider="fcm",le="+Inf"}': "0+16660x60",
}
"""A house that is well and drains a million low."""

FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'
ANNOTATIONS = "NotificationDeliveryRateDropped"


def test(folder: Path, series: Mapping[str, str], **asked: Any) -> None:
    """Let promtool run the whole rule file beside these series; raises ProgramFailed when it is not as asked."""
    rules = folder / "rules.yml"
    rules.write_text(rule_file())
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    path = folder / "test.yml"
    story = {"interval": "1m", "input_series": inputs, **asked}
    path.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [story]}))
    run_program([promtool(), "test", "rules", path])


test.__test__ = False  # type: ignore[attr-defined]  # a helper that pytest would take for a test


def fired(*names: str) -> list[dict[str, Any]]:
    """What is to be counted as firing."""
    return [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names]


def test_in_a_healthy_hour_of_a_draining_campaign_nothing_fires_but_that_it_drains(tmp_path: Path) -> None:
    drained = [{"expr": FIRING, "eval_time": at, "exp_samples": fired("Watchdog")} for at in ("55m", "60m")]
    draining = [
        {"expr": FIRING, "eval_time": at, "exp_samples": fired("Watchdog", "QueueBacklogCampaign")}
        for at in ("12m", "30m", "45m")
    ]
    test(tmp_path, HEALTHY, promql_expr_test=[*draining, *drained])


def test_without_any_data_the_watch_says_that_it_is_blind_and_nothing_else(tmp_path: Path) -> None:
    expected = fired("Watchdog", "NotAccepting", "GaugesStale")
    test(tmp_path, {}, promql_expr_test=[{"expr": FIRING, "eval_time": "60m", "exp_samples": expected}])


def test_a_page_names_the_channel_the_share_the_runbook_and_the_command(tmp_path: Path) -> None:
    series = {**told.sent("sms", "success", "0+90x30"), **told.sent("sms", "failed", "0+10x30")}
    annotations = {
        "summary": "Only 90% of the attempts on sms succeed",
        "description": "Of the attempts of the last five minutes, fewer than 0.95 were accepted by a provider.",
        "runbook_url": "https://example.com/bellhouse/docs/runbooks/low-delivery-rate.md",
        "diagnosis": "bellhouse doctor low-delivery-rate",
    }
    alert = {"exp_labels": {"severity": "critical", "channel": "sms"}, "exp_annotations": annotations}
    test(tmp_path, series, alert_rule_test=[{"eval_time": "10m", "alertname": ANNOTATIONS, "exp_alerts": [alert]}])


NUMBER = re.compile(r"\b\d+(?:\.\d+)?\b")
DURATIONS = re.compile(r"(?<!\w)\d+(?:ms|[smhd])\b")


def shape(text: str) -> str:
    """A rule file without its durations, and with the ages among its thresholds as one word."""
    ages = {f"{value:g}" for name, value in vars_of(Thresholds().scaled(1 / 60)).items() if name.endswith("_s")}
    ages |= {f"{value:g}" for name, value in vars_of(Thresholds()).items() if name.endswith("_s")}
    bare = DURATIONS.sub("DURATION", text)
    return NUMBER.sub(lambda found: "AGE" if found[0] in ages else found[0], bare)


def vars_of(thresholds: Thresholds) -> Mapping[str, float]:
    """Every threshold by its name."""
    return {name: getattr(thresholds, name) for name in thresholds.__struct_fields__}


def test_the_scaled_rules_are_the_same_rules_but_for_their_durations() -> None:
    earnest, drill = (yaml.safe_load(rule_file(Rendering(scale=scale))) for scale in (1, 1 / 60))
    for one, other in zip(earnest["groups"], drill["groups"], strict=True):
        assert one["name"] == other["name"]
        for rule, fast in zip(one["rules"], other["rules"], strict=True):
            assert set(rule) == set(fast)
            assert {**rule, "expr": "", "for": "", "annotations": ""} == {
                **fast, "expr": "", "for": "", "annotations": ""
            }  # fmt: skip
            assert shape(rule["expr"]) == shape(fast["expr"])
            windows = zip(DURATIONS.findall(rule["expr"]), DURATIONS.findall(fast["expr"]), strict=True)
            assert all(milliseconds(long) == 60 * milliseconds(short) for long, short in windows)
            if "for" in rule:
                assert milliseconds(rule["for"]) == 60 * milliseconds(fast["for"])


def test_there_are_as_many_rules_as_alerts_and_recordings() -> None:
    rules = [rule for group in yaml.safe_load(rule_file())["groups"] for rule in group["rules"]]
    assert len(rules) == len(ALERTS) + len(RECORDINGS)


@given(st.integers(1, 10**12))
def test_a_duration_is_written_so_that_it_is_read_as_the_same(ms: int) -> None:
    assert milliseconds(written(ms)) == ms


@given(st.integers(1, 10_000), st.sampled_from("smhd"), st.floats(1 / 1000, 1))
def test_a_scaled_duration_is_right_to_the_millisecond(number: int, unit: str, scale: float) -> None:
    whole = milliseconds(f"{number}{unit}")
    assert abs(milliseconds(scaled(f"{number}{unit}", scale)) - whole * scale) <= 1


@pytest.mark.parametrize(
    ("written_down", "scaled_down"),
    [
        ("rate(a[5m])", "rate(a[5s])"),
        ("rate(a[1h:5m]) + b offset 10m", "rate(a[1m:5s]) + b offset 10s"),
        ('a{x="[5m] offset 5m"}', 'a{x="[5m] offset 5m"}'),
        ("max_over_time(a[1h30m:])", "max_over_time(a[90s:])"),
        ("rate(a[15s])", "rate(a[250ms])"),
    ],
)
def test_windows_and_offsets_are_scaled_and_texts_are_not(written_down: str, scaled_down: str) -> None:
    assert scaled_expression(written_down, 1 / 60) == scaled_down


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5y", "-5m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        milliseconds(text)


def test_half_of_what_may_be_bad_leaves_half_of_the_budget(tmp_path: Path) -> None:
    series = {**told.answered("202", "0+9995x60"), **told.answered("500", "0+5x60")}
    left = 'round(bellhouse:slo_error_budget:remaining{slo="api_availability"}, 0.001)'
    expected = [{"labels": '{slo="api_availability"}', "value": 0.5}]
    test(tmp_path, series, promql_expr_test=[{"expr": left, "eval_time": "60m", "exp_samples": expected}])
