"""What the house notices of the outside world without an error in any answer: silence, money, time, probes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.client import Client
from tests.acceptance.house import QUICK, House, World
from tests.acceptance.people import DATA, define, of, person
from tests.acceptance.waiting import wait_until

SILENT_S = 3
HTTP = ("sendgrid", "twilio", "vonage")
"""Providers whose answers have a Date."""
SETTINGS = "balance_every_s = 0.5" + QUICK.replace(
    "[breaker]", f"[breaker]\nsilent_s = {SILENT_S}\nsilent_accepted = 5"
)


@pytest.fixture
def house(folder: Path, world: World) -> Iterator[House]:
    """A house of its own, since what it has heard of providers is part of every test here."""
    world.fresh()
    with House(folder, world, 2, SETTINGS) as house:
        define(house.client())
        yield house
    world.calm()


@pytest.fixture
def client(house: House) -> Client:
    """A caller with the development key."""
    return house.client()


def metric(client: Client, name: str, **labels: str) -> float | None:
    """The value of one series; None where it is not exported."""
    body = client.ask("GET", "/metrics").body.decode()
    for line in body.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and all(f'{key}="{word}"' in series for key, word in labels.items()):
            return float(value)
    return None


def breaker(client: Client, provider: str) -> tuple[str, str]:
    """State and reason of a provider's breaker."""
    rows = client.get("/v1/breakers")["breakers"]
    return next((str(row["state"]), str(row["reason"])) for row in rows if row["provider"] == provider)


def sms(client: Client, user_id: str) -> str:
    return client.send(user_id, "order", data=DATA, channels=["sms"])


def came_by(client: Client, identifier: str) -> tuple[str, str]:
    """The state of a delivery by SMS, and the provider that took it; empty while none has."""
    deliveries = client.story(identifier)["deliveries"]
    if not deliveries or not of(client.story(identifier), "sms")["attempts"]:
        return "", ""
    delivery = of(client.story(identifier), "sms")
    return str(delivery["state"]), str(delivery["attempts"][-1]["provider"])


def test_a_provider_that_falls_silent_is_left_alone_and_comes_back_when_it_is_heard(
    house: House, client: Client, world: World
) -> None:
    ada = person(client)
    first = sms(client, ada.id)
    wait_until(lambda: came_by(client, first) == ("delivered", "twilio"), what=lambda: client.story(first))

    world.dial("twilio", callbacks=False)
    lost = sms(client, ada.id)
    wait_until(lambda: came_by(client, lost) == ("sent", "twilio"), what=lambda: client.story(lost))

    def fell_silent() -> bool:
        sms(client, ada.id)
        return breaker(client, "twilio") == ("open", "silent")

    wait_until(fell_silent, what=lambda: client.get("/v1/breakers"))
    wait_until(lambda: (metric(client, "provider_silence_seconds", provider="twilio") or 0) >= SILENT_S)
    assert metric(client, "provider_silence_seconds", provider="vonage") == 0
    assert "silent" in house.cli("breaker", "list")

    def through_vonage() -> bool:
        one = sms(client, ada.id)
        wait_until(lambda: came_by(client, one)[0] in ("sent", "delivered"), what=lambda: client.story(one))
        return came_by(client, one)[1] == "vonage"

    wait_until(through_vonage, what="what is sent now goes to the other provider")
    world.dial("twilio", callbacks=True)

    def heard_again() -> bool:
        sms(client, ada.id)
        return breaker(client, "twilio") == ("closed", "")

    wait_until(heard_again, 40, what=lambda: client.get("/v1/breakers"))
    last = sms(client, ada.id)
    wait_until(lambda: came_by(client, last) == ("delivered", "twilio"), what=lambda: client.story(last))
    wait_until(lambda: metric(client, "provider_silence_seconds", provider="twilio") == 0)
    house.balances()


def test_the_only_provider_of_a_channel_is_kept_however_silent_it_is(
    house: House, client: Client, world: World
) -> None:
    ada = person(client)
    house.force("vonage", "open")
    first = sms(client, ada.id)
    wait_until(lambda: came_by(client, first) == ("delivered", "twilio"), what=lambda: client.story(first))
    world.dial("twilio", callbacks=False)

    def long_silent() -> bool:
        sms(client, ada.id)
        return (metric(client, "provider_silence_seconds", provider="twilio") or 0) > SILENT_S + 2

    wait_until(long_silent, 30)
    assert breaker(client, "twilio") == ("closed", "")


def test_a_process_tells_what_it_reaches_its_disk_and_how_far_its_clock_is_off(client: Client, world: World) -> None:
    for provider in HTTP:
        world.dial(provider, clock_ahead_s=-90)
    ada = person(client)
    sms(client, ada.id)
    wait_until(lambda: abs((metric(client, "clock_skew_seconds", role="bulk") or 0) - 90) < 2, 30)
    for role in ("api", "bulk"):
        for dependency in ("store", "log"):
            assert metric(client, "dependency_up", role=role, dependency=dependency) == 1
        free, size = (metric(client, f"disk_{what}_bytes", role=role) or 0 for what in ("free", "size"))
        assert 0 < free <= size
    for provider in HTTP:
        world.dial(provider, clock_ahead_s=0)
    deadline = time.monotonic() + 30

    def right_again() -> bool:
        sms(client, ada.id)
        return abs(metric(client, "clock_skew_seconds", role="bulk") or 90) < 2

    wait_until(right_again, deadline - time.monotonic())


def test_an_account_without_money_is_failed_over_and_its_balance_is_told(house: House, world: World) -> None:
    world.dial("twilio", balance=0.03)
    house.stop()
    (house.data / "bellhouse.toml").write_text(f"{SETTINGS}\n[providers.twilio]\nbalance_low = 10\n", encoding="utf-8")
    house.start()
    client = house.client()
    ada = person(client)
    sent = [sms(client, ada.id) for _ in range(8)]
    wait_until(lambda: all(came_by(client, one)[0] in ("sent", "delivered") for one in sent))
    assert {came_by(client, one)[1] for one in sent} == {"twilio", "vonage"}
    wait_until(lambda: (metric(client, "provider_balance", provider="twilio") or 1) <= 0.01)
    assert metric(client, "provider_balance_low", provider="twilio") == 10
    assert (metric(client, "provider_balance", provider="vonage") or 0) > 900_000
    assert (metric(client, "provider_verdicts_total", provider="twilio", verdict="account_fault") or 0) > 0
    house.balances()
