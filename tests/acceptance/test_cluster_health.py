"""The same signals where every role is a process of its own: what one of them notes, the others act on."""

from pathlib import Path

import pytest

from tests.acceptance.client import Client
from tests.acceptance.cluster import ROLES, ClusterHouse, cluster_engines
from tests.acceptance.house import World
from tests.acceptance.people import define, person
from tests.acceptance.test_health import SETTINGS, breaker, came_by, metric, sms
from tests.acceptance.waiting import wait_until

PROBES = f"""{SETTINGS}
[probes]
enabled = true
every_s = 2
within_s = 20
email = "probe@example.com"
"""


def of_role(house: ClusterHouse, role: str) -> Client:
    """Whom to ask for a role's own figures."""
    return Client(house.kept[role].ready["url"], None)


def test_signals_of_a_cluster_and_a_silent_provider_in_it(
    request: pytest.FixtureRequest, folder: Path, world: World
) -> None:
    world.fresh()
    with cluster_engines(request) as (engines, prefix), ClusterHouse(folder, world, engines, prefix, PROBES) as house:
        client, exporter = house.client(), of_role(house, "exporter")
        define(client)
        for role in ROLES:
            asked = of_role(house, role)
            for dependency in ("store", "log", "cache"):
                wait_until(lambda d=dependency, a=asked: metric(a, "dependency_up", dependency=d) == 1)  # type: ignore[misc]  # bound here
            wait_until(lambda a=asked: abs(metric(a, "clock_skew_seconds") or 99) < 2)  # type: ignore[misc]  # as above
            assert (metric(asked, "disk_free_bytes") or 0) > 0
        wait_until(lambda: metric(exporter, "store_partitions_ahead_days") == 7)
        wait_until(lambda: (metric(exporter, "provider_balance", provider="twilio") or 0) > 900_000)

        ada = person(client)
        first = sms(client, ada.id)
        wait_until(lambda: came_by(client, first) == ("delivered", "twilio"), 40, lambda: client.story(first))
        world.dial("twilio", callbacks=False)

        def fell_silent() -> bool:
            sms(client, ada.id)
            return breaker(client, "twilio") == ("open", "silent")

        wait_until(fell_silent, 60, what=lambda: client.get("/v1/breakers"))
        wait_until(lambda: (metric(exporter, "provider_silence_seconds", provider="twilio") or 0) > 0)
        world.dial("twilio", callbacks=True)

        def heard_again() -> bool:
            sms(client, ada.id)
            return breaker(client, "twilio") == ("closed", "")

        wait_until(heard_again, 60, what=lambda: client.get("/v1/breakers"))
        scheduler = of_role(house, "scheduler")
        wait_until(lambda: metric(scheduler, "probe_results_total", channel="email", outcome="confirmed"), 40)
        wait_until(lambda: metric(exporter, "probe_success_timestamp_seconds", channel="in_app") is not None)
        house.balances()
        assert house.unexpected_ends() == {}
    world.calm()
