"""Who is told what: amtool reads the routes, and a real Alertmanager follows them, groups, inhibits and escalates."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bellhouse.engines.alertmanager import Alertmanager, amtool
from bellhouse.engines.process import run_program
from bellhouse.engines.prometheus import Job, Prometheus
from bellhouse.monitoring.alerts import ALERTS
from bellhouse.monitoring.routing import CHAT, DEAD_MAN, NOWHERE, PAGER, SECONDARY, Routing, alertmanager_file
from bellhouse.monitoring.rules import Rendering, rule_file
from tests.monitors import Pager, wait_until

SCALE = 1 / 600
"""A second and a half for a quarter of an hour."""
WHO = {
    "critical": {PAGER, SECONDARY},
    "warning": {CHAT},
    "info": {NOWHERE},
    "none": {DEAD_MAN},
}


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration as it is kept."""
    path = tmp_path_factory.mktemp("routing") / "alertmanager.yml"
    path.write_text(alertmanager_file())
    return path


def receivers(path: Path, **labels: str) -> set[str]:
    """Who is told of an alert with these labels, as amtool says."""
    given = [f"{name}={value}" for name, value in labels.items()]
    said = run_program([amtool(), "config", "routes", "test", f"--config.file={path}", *given])
    return set(said.strip().split(","))


@pytest.mark.parametrize("escalation", ["alertmanager", "pagerduty"])
def test_alertmanager_takes_the_configuration(escalation: str, tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(alertmanager_file(Routing(escalation=escalation)))  # type: ignore[arg-type]  # one of its words
    assert "SUCCESS" in run_program([amtool(), "check-config", path])


@pytest.mark.parametrize("severity", WHO)
def test_each_severity_has_its_receivers(severity: str, configuration: Path) -> None:
    name = next(alert.name for alert in ALERTS if alert.severity == severity)
    assert receivers(configuration, alertname=name, severity=severity, channel="sms") == WHO[severity]


def test_every_alert_has_a_severity_that_is_routed() -> None:
    assert {alert.severity for alert in ALERTS} == set(WHO)


def test_where_pagerduty_escalates_the_secondary_is_its_own_affair(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(alertmanager_file(Routing(escalation="pagerduty")))
    assert receivers(path, alertname="NotAccepting", severity="critical") == {PAGER}
    assert SECONDARY not in path.read_text()


def test_secrets_are_files_and_never_in_the_configuration(configuration: Path) -> None:
    told = yaml.safe_load(configuration.read_text())
    for receiver in told["receivers"]:
        for one in receiver.get("pagerduty_configs", []):
            assert one["routing_key_file"].startswith("/")
            assert not {"routing_key", "service_key"} & set(one)
        for one in receiver.get("slack_configs", []):
            assert one["api_url_file"].startswith("/")
            assert "api_url" not in one


def test_the_secondary_is_told_after_a_quarter_of_an_hour(configuration: Path) -> None:
    routes = yaml.safe_load(configuration.read_text())["route"]["routes"]
    assert {route["receiver"]: route["group_wait"] for route in routes} == {
        DEAD_MAN: "0s",
        SECONDARY: "15m",
        PAGER: "10s",
        CHAT: "30s",
    }


@pytest.fixture
def manager(pager: Pager) -> Iterator[Alertmanager]:
    """A real one that calls the pager for every receiver, six hundred times faster."""
    with Alertmanager(alertmanager_file(Routing(webhook=pager.url, scale=SCALE))) as running:
        yield running


def alert(name: str, severity: str, **labels: str) -> dict[str, str]:
    """An alert's labels."""
    return {"alertname": name, "severity": severity, **labels}


def test_what_fires_reaches_the_first_and_after_its_time_the_second(manager: Alertmanager, pager: Pager) -> None:
    manager.give([alert("NotAccepting", "critical")])
    assert pager.wait_for("NotAccepting", path=f"/{PAGER}")
    assert pager.wait_for("NotAccepting", path=f"/{SECONDARY}")
    assert pager.paths()[0] == f"/{PAGER}"


def test_a_channel_without_providers_keeps_its_breakers_quiet_and_those_of_others_not(
    manager: Alertmanager, pager: Pager
) -> None:
    manager.give([alert("AllProvidersDown", "critical", channel="sms")])
    wait_until(manager.alerts)
    manager.give(
        [
            alert("ProviderCircuitOpen", "warning", channel="sms", provider="twilio"),
            alert("ProviderCircuitOpen", "warning", channel="push", provider="fcm"),
        ]
    )
    pager.wait_for("ProviderCircuitOpen", path=f"/{CHAT}")
    quiet = {held.labels["channel"] for held in manager.alerts() if held.inhibited}
    assert quiet == {"sms"}


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("DependencyDown", {"dependency": "store"}, {"dependency": "cache"}),
        ("ProviderBalanceLow", {"provider": "twilio"}, {"provider": "vonage"}),
        ("DiskFilling", {"role": "api", "instance": "a"}, {"role": "api", "instance": "b"}),
    ],
)
def test_what_exists_in_two_severities_is_told_as_the_worse(
    name: str, same: dict[str, str], other: dict[str, str], manager: Alertmanager
) -> None:
    manager.give([alert(name, "critical", **same), alert(name, "warning", **same), alert(name, "warning", **other)])
    wait_until(lambda: any(held.inhibited for held in manager.alerts()))
    told = [held.labels for held in manager.alerts() if not held.inhibited]
    assert alert(name, "critical", **same) in told
    assert alert(name, "warning", **other) in told
    assert alert(name, "warning", **same) not in told


def test_a_silence_keeps_the_second_from_being_told(manager: Alertmanager, pager: Pager) -> None:
    run_program([amtool(), f"--alertmanager.url={manager.url}", "silence", "add", "--author=me", "--comment=on it",
                 "--duration=1h", "channel=sms"])  # fmt: skip
    manager.give([alert("AllProvidersDown", "critical", channel="sms"), alert("NotAccepting", "critical")])
    pager.wait_for("NotAccepting", path=f"/{SECONDARY}")
    assert "AllProvidersDown" not in pager.names()
    assert any(held.silenced for held in manager.alerts())


def test_alerts_of_one_channel_come_as_one_message(manager: Alertmanager, pager: Pager) -> None:
    manager.give([alert(name, "critical", channel="sms") for name in ("AllProvidersDown", "ProbeFailing")])
    told = pager.wait_for("ProbeFailing", path=f"/{PAGER}")
    assert told["groupLabels"] == {"channel": "sms"}


def test_the_rules_make_a_real_prometheus_call_the_dead_mans_switch_and_the_pager(
    manager: Alertmanager, pager: Pager, tmp_path: Path
) -> None:
    """With nobody there to scrape: the watchdog goes out, and that nothing is accepted."""
    rules = tmp_path / "bellhouse.rules.yml"
    rules.write_text(rule_file(Rendering(scale=SCALE, runbooks="https://runbooks.example.com")))
    nobody = Job("bellhouse", ("127.0.0.1:1",))
    with Prometheus(jobs=[nobody], rules=[rules], alertmanager=manager.url, interval_s=0.25) as prometheus:
        assert pager.wait_for("Watchdog", path=f"/{DEAD_MAN}")
        told = pager.wait_for("NotAccepting", path=f"/{PAGER}")
        assert told["annotations"]["runbook_url"] == "https://runbooks.example.com/not-accepting.md"
        assert pager.wait_for("ProcessMissing", path=f"/{CHAT}")["labels"]["instance"] == "127.0.0.1:1"
        assert prometheus.faulty_rules() == {}
