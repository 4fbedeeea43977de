"""A running Bellhouse is watched by a real Prometheus: all is well, then a channel loses its providers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bellhouse.engines.alertmanager import Alertmanager
from bellhouse.engines.prometheus import Job, Prometheus
from bellhouse.monitoring.routing import CHAT, PAGER, Routing, alertmanager_file
from bellhouse.monitoring.rules import Rendering, rule_file
from tests.acceptance.house import House, World
from tests.monitors import Pager, wait_until

SCALE = 1 / 60
LOOKS = 20
"""Evaluations that a rule must have had before its silence counts: more than the longest of the shorter durations."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """One that runs, with its world."""
    world = World(tmp_path / "world")
    try:
        with House(tmp_path / "bellhouse-data", world, 2) as running:
            yield running
    finally:
        world.stop()


def test_a_house_that_is_well_wakes_nobody_and_one_whose_sms_providers_are_gone_does(
    house: House, pager: Pager, tmp_path: Path
) -> None:
    rules = tmp_path / "bellhouse.rules.yml"
    rules.write_text(rule_file(Rendering(scale=SCALE)))
    jobs = [Job("bellhouse", (house.url.removeprefix("http://"),))]
    routes = alertmanager_file(Routing(webhook=pager.url, scale=SCALE))
    with (
        Alertmanager(routes) as manager,
        Prometheus(jobs=jobs, rules=[rules], alertmanager=manager.url, interval_s=0.5) as prometheus,
    ):
        # GaugesStale and NotAccepting are pending until the first scrape, and no longer.
        wait_until(lambda: prometheus.query("gauge_read_timestamp_seconds"))
        watched = f"sum_over_time(count(up == 1)[{LOOKS}s:500ms]) >= {LOOKS}"
        wait_until(lambda: prometheus.query(watched))
        assert prometheus.faulty_rules() == {}
        assert {alert.name for alert in prometheus.alerts()} == {"Watchdog"}
        for provider in ("twilio", "vonage"):
            house.force(provider, "open")
        assert pager.wait_for("AllProvidersDown", path=f"/{PAGER}")["labels"]["channel"] == "sms"
        wait_until(lambda: [held for held in manager.alerts() if held.name == "ProviderCircuitOpen"])
        assert all(held.inhibited for held in manager.alerts() if held.name == "ProviderCircuitOpen")
        assert "ProviderCircuitOpen" not in pager.names(f"/{CHAT}")
        for provider in ("twilio", "vonage"):
            house.force(provider, "reset")
        pager.wait_for("AllProvidersDown", "resolved", f"/{PAGER}")
