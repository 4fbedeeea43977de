"""An operator's levers, pulled by the command line on a running house, in two processes and in a cluster."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from tests.acceptance.client import Client
from tests.acceptance.house import House
from tests.acceptance.people import DATA, of, person
from tests.acceptance.waiting import wait_until

HEEDED_S: Final = 1.5
"""Within this every process works under a lever that has been pulled."""


@pytest.fixture(scope="module", params=[2, "cluster"], ids=["two-processes", "cluster"])
def shared_house(shared_house: House) -> House:
    """One house of each store."""
    return shared_house


@pytest.fixture(autouse=True)
def nothing_stays_pulled(house: House) -> Iterator[None]:
    """Each test leaves the house as it found it."""
    yield
    client = house.client()
    for lever in client.get("/v1/levers")["levers"]:
        words = dict(word.split("=") for word in lever["scope"].split(", ")) if "=" in lever["scope"] else {"all": True}
        match lever["kind"]:
            case "pause":
                client.post("/v1/levers/resume", words)
            case "prefer":
                client.post("/v1/levers/prefer", {"channel": lever["scope"]})
            case _:
                client.post("/v1/levers/rate", {"provider": lever["scope"]})
    _heed()


def pull(house: House, *arguments: str) -> Any:
    """Pull a lever; returns when every process heeds it."""
    answer = house.cli_json(*arguments, "--why", "a test")
    _heed()
    return answer


def _heed() -> None:
    heeded = time.monotonic() + HEEDED_S
    wait_until(lambda: time.monotonic() >= heeded)


def send_all(client: Client, count: int, kind: str = "order", **words: Any) -> list[str]:
    """So many notifications to one person."""
    ada = person(client)
    return [client.send(ada.id, kind, data=DATA, **words) for _ in range(count)]


def states(client: Client, ids: list[str], channel: str) -> Counter[str]:
    """Where the deliveries of these notifications stand on a channel."""
    stories = [client.story(identifier) for identifier in ids]
    return Counter(of(story, channel)["state"] if story["deliveries"] else "unrouted" for story in stories)


def arrived(client: Client, ids: list[str], channel: str) -> bool:
    """Whether all were sent; a server of SMTP does not say what became of them."""
    found = states(client, ids, channel)
    return found["delivered"] + found["sent"] == len(ids)


def test_a_paused_channel_sends_nothing_while_others_go_on_and_all_of_it_arrives_afterwards(
    house: House, client: Client
) -> None:
    assert house.world is not None
    assert pull(house, "pause", "--channel", "sms")["outcome"] == "changed"
    ids = send_all(client, 5, channels=["sms", "push"])
    wait_until(lambda: arrived(client, ids, "push"))
    assert states(client, ids, "sms") == {"waiting": 5}
    assert house.world.receipts("twilio") == house.world.receipts("vonage") == []
    assert any(
        "has been paused since" in line and "a test" in line for line in house.cli_json("why", ids[0])["sentences"]
    )
    assert house.cli_json("pause", "--channel", "sms", "--why", "a test")["outcome"] == "unchanged"
    assert house.cli_json("resume", "--channel", "sms", "--why", "over")["outcome"] == "changed"
    wait_until(lambda: arrived(client, ids, "sms"))
    house.balances()
    acts = house.cli_json("audit", "--limit", "2")["acts"]
    assert [(act["act"], act["scope"], act["why"]) for act in acts] == [
        ("resume", "channel=sms", "over"),
        ("pause", "channel=sms", "a test"),
    ]


def test_a_paused_type_blocks_nobody_behind_it_and_survives_the_death_of_its_workers(
    house: House, client: Client
) -> None:
    pull(house, "pause", "--type", "order")
    held = send_all(client, 5, channels=["push"])
    others = send_all(client, 5, "first", channels=["push"])
    wait_until(lambda: arrived(client, others, "push"))
    wait_until(lambda: all(_is_held(client, identifier) for identifier in held))
    house.kill("bulk" if "bulk" in house.roles() else "push")
    after = send_all(client, 3, channels=["push"])
    others = send_all(client, 3, "first", channels=["push"])
    wait_until(lambda: arrived(client, others, "push"), 60)
    wait_until(lambda: all(_is_held(client, identifier) for identifier in after))
    assert states(client, [*held, *after], "push") == {"waiting": 8}
    house.cli_json("resume", "--type", "order", "--why", "over")
    wait_until(lambda: arrived(client, [*held, *after], "push"))
    house.balances()


def test_a_paused_campaign_waits_through_a_kill_while_the_same_type_goes_on_and_all_of_it_arrives(
    house: House, client: Client
) -> None:
    ada = person(client)
    pull(house, "pause", "--campaign", "spring-sale")
    assert [lever["scope"] for lever in house.cli_json("levers")["levers"]] == ["campaign=spring-sale"]
    data = [argument for name, value in DATA.items() for argument in ("--set", f"{name}={value}")]
    by_command = house.cli_json("send", ada.id, "order", *data, "--channel", "push", "--campaign", "spring-sale")["id"]
    held = [by_command, *send_all(client, 4, channels=["push"], campaign="spring-sale")]
    others = [
        *send_all(client, 3, channels=["push"]),
        *send_all(client, 3, channels=["push"], campaign="summer-sale"),
    ]
    wait_until(lambda: arrived(client, others, "push"))
    wait_until(lambda: all(_is_held(client, identifier) for identifier in held))
    house.kill("bulk" if "bulk" in house.roles() else "push")
    after = send_all(client, 2, channels=["push"], campaign="spring-sale")
    others = send_all(client, 3, channels=["push"])
    wait_until(lambda: arrived(client, others, "push"), 60)
    wait_until(lambda: all(_is_held(client, identifier) for identifier in after))
    told = house.cli_json("why", by_command)["sentences"]
    assert told[0] == "It belongs to the campaign spring-sale."
    assert any("campaign=spring-sale has been paused since" in line and "a test" in line for line in told)
    house.cli_json("resume", "--campaign", "spring-sale", "--why", "over")
    wait_until(lambda: arrived(client, [*held, *after], "push"))
    acts = house.cli_json("audit", "--limit", "2")["acts"]
    assert [(act["act"], act["scope"]) for act in acts] == [
        ("resume", "campaign=spring-sale"),
        ("pause", "campaign=spring-sale"),
    ]
    house.balances()


def _is_held(client: Client, identifier: str) -> bool:
    history = of(client.story(identifier), "push")["history"]
    return any(step["reason"]["code"] == "waiting:paused" for step in history if step.get("reason"))


def test_a_preferred_provider_is_asked_first_and_the_configured_order_comes_back(house: House, client: Client) -> None:
    assert house.world is not None
    for arguments, provider in (
        (("provider", "prefer", "smtp", "--channel", "email"), "smtp"),
        (("provider", "prefer", "--reset", "--channel", "email"), "sendgrid"),
    ):
        pull(house, *arguments)
        ids = send_all(client, 3, channels=["email"])
        wait_until(lambda ids=ids: arrived(client, ids, "email"))  # type: ignore[misc]  # it binds this round's
        called = {call[0] for identifier in ids for call in house.world.calls_for(identifier)}
        assert called == {provider}


def test_a_rate_holds_for_all_processes_together_until_it_is_reset(house: House, client: Client) -> None:
    assert house.world is not None
    pull(house, "rate", "set", "fcm", "5")
    ids = send_all(client, 30, channels=["push"])
    began = time.monotonic()
    wait_until(lambda: arrived(client, ids, "push"), 60)
    # A bucket holds a second's worth at the most.
    assert time.monotonic() - began > (30 - 2 * 5) / 5 - 1
    pull(house, "rate", "reset", "fcm")
    assert house.cli_json("levers")["levers"] == []
    ids = send_all(client, 30, channels=["push"])
    wait_until(lambda: arrived(client, ids, "push"))


def test_a_provider_is_listed_with_what_it_is_and_tested_with_the_servers_credentials(house: House) -> None:
    assert house.world is not None
    pull(house, "rate", "set", "twilio", "7")
    pull(house, "provider", "prefer", "smtp", "--channel", "email")
    listed = {one["name"]: one for one in house.cli_json("provider", "list")["providers"]}
    assert (listed["twilio"]["rate"], listed["twilio"]["rate_from"]) == (7.0, "lever")
    assert [(of["channel"], of["preferred_by"]) for of in listed["smtp"]["channels"]] == [("email", "lever")]
    assert [of["preferred"] for of in listed["sendgrid"]["channels"]] == [False]
    assert listed["fcm"]["status_page"].startswith("https://")
    for name in ("fcm", "sendgrid", "smtp", "twilio", "vonage"):
        assert house.cli_json("provider", "test", name)["works"]
    house.world.dial("twilio", errors={"20003": 1})
    failed = house.cli_json("provider", "test", "twilio", status=1)
    assert (failed["works"], failed["trials"][0]["verdict"]) == (False, "account_fault")
    assert "check the credentials in providers.twilio" in failed["trials"][0]["remedy"]
    assert "nothing leaves this machine" in house.cli("provider", "test", "in_app")
    assert "No provider" in house.cli("provider", "test", "nobody", status=1)


def test_what_has_expired_in_a_paused_lane_is_ended_without_being_polled(house: House, client: Client) -> None:
    pull(house, "pause", "--channel", "sms", "--priority", "high")
    soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    late = send_all(client, 3, channels=["sms"], expires_at=soon)
    fine = send_all(client, 2, channels=["sms"])
    wait_until(lambda: house.cli_json("queue", "skip-expired", "--channel", "sms", "--dry-run")["deliveries"] == 3)
    assert house.cli_json("queue", "skip-expired", "--channel", "sms", "--why", "a test")["deliveries"] == 3
    assert states(client, late, "sms") == {"expired": 3}
    assert states(client, fine, "sms") == {"waiting": 2}
    house.balances()
    topics = {one["topic"]: one for one in house.cli_json("queue", "list")["topics"]}
    assert (topics["deliveries.sms.high"]["lag"] >= 5, topics["deliveries.sms.high"]["paused"]) == (True, True)
    house.cli_json("resume", "--channel", "sms", "--priority", "high", "--why", "over")
    wait_until(lambda: arrived(client, fine, "sms"))
    assert states(client, late, "sms") == {"expired": 3}
    house.balances()


def test_dead_tokens_are_counted_before_they_are_removed(house: House) -> None:
    assert house.cli_json("token-cleanup", "--dry-run")["removed"] == 0
    assert "no number of days" in house.cli("token-cleanup", "--older-than", "270h", status=2)


def test_what_is_only_tried_changes_nothing(house: House) -> None:
    before = house.cli_json("audit")["acts"]
    for arguments in (("pause", "--all"), ("rate", "set", "fcm", "1"), ("provider", "prefer", "fcm")):
        answer = house.cli_json(*arguments, "--dry-run")
        assert (answer["outcome"], answer["dry_run"]) == ("changed", True)
    assert house.cli_json("levers")["levers"] == []
    assert house.cli_json("audit")["acts"] == before
    assert "Which?" in house.cli("pause", status=2)
    assert "is no time" in house.cli("pause", "--all", "--for", "soon", status=2)
