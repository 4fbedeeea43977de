"""Probes go the way of every notification, and tell when it is broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.client import Client
from tests.acceptance.house import QUICK, House, World
from tests.acceptance.test_health import metric
from tests.acceptance.waiting import wait_until

PROBES = f"""{QUICK}
[probes]
within_s = 4
push = "{"probe-device-" + "x" * 120}"
email = "probe@example.com"
sms = "+33620999999"
"""


@pytest.fixture
def house(folder: Path, world: World) -> Iterator[House]:
    """A house that can be probed; each test starts it with its own settings."""
    world.fresh()
    house = House(folder, world, 2, PROBES)
    yield house
    house.end()
    world.calm()


def results(client: Client, outcome: str) -> set[str]:
    """The channels of which a probe has ended so."""
    return {
        channel
        for channel in ("push", "email", "sms", "in_app")
        if metric(client, "probe_results_total", channel=channel, outcome=outcome)
    }


def test_smoke_probes_every_channel_once_and_says_which_did_not_get_through(house: House, world: World) -> None:
    house.start()
    client = house.client()
    probes = house.cli_json("smoke")["probes"]
    assert {(one["channel"], one["outcome"]) for one in probes} == {
        ("push", "confirmed"), ("email", "confirmed"), ("sms", "confirmed"), ("in_app", "confirmed"),
    }  # fmt: skip
    assert {one["provider"] for one in probes} == {"fcm", "sendgrid", "twilio", "in_app"}
    assert results(client, "confirmed") == {"push", "email", "sms", "in_app"}
    wait_until(lambda: metric(client, "probe_success_timestamp_seconds", channel="sms") is not None)

    world.dial("twilio", callbacks=False)
    world.dial("sendgrid", dead_tokens=["probe@example.com"])
    said = house.cli("smoke", status=1)
    assert "timeout" in said
    again = {one["channel"]: one for one in house.cli_json("smoke", status=1)["probes"]}
    assert (again["sms"]["outcome"], again["sms"]["reason"]) == ("timeout", "sent:accepted")
    assert again["push"]["outcome"] == again["in_app"]["outcome"] == "confirmed"
    assert again["email"]["outcome"] == "failed"
    assert results(client, "timeout") == {"sms"}
    house.balances()


def test_channels_are_probed_again_and_again_where_that_is_asked_for(house: House) -> None:
    (house.data / "bellhouse.toml").write_text(f"{PROBES}\nenabled = true\nevery_s = 1\n", encoding="utf-8")
    house.start()
    client = house.client()
    wait_until(lambda: (metric(client, "probe_results_total", channel="sms", outcome="confirmed") or 0) >= 2, 30)
    first = wait_until(lambda: metric(client, "probe_success_timestamp_seconds", channel="push"))
    wait_until(lambda: (metric(client, "probe_success_timestamp_seconds", channel="push") or 0) > first, 30)
    house.balances()


def test_smoke_without_any_recipient_says_what_is_missing(house: House) -> None:
    (house.data / "bellhouse.toml").write_text(f"{QUICK}\n[probes]\nin_app = false\n", encoding="utf-8")
    house.start()
    assert "[probes]" in house.cli("smoke", status=1)


def test_an_address_that_cannot_be_is_refused_at_the_start_by_its_name(house: House) -> None:
    (house.data / "bellhouse.toml").write_text(f'{QUICK}\n[probes]\nsms = "somewhere"\n', encoding="utf-8")
    process = house.begin()
    assert process.wait(30) != 0
    assert "probes.sms" in house.said()
