"""The command line on a running house: what it does, what it prints for scripts, and how it ends."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.client import Client
from tests.acceptance.house import House
from tests.acceptance.people import of, person
from tests.acceptance.waiting import wait_until


@pytest.fixture(scope="module", params=[2, "cluster"], ids=["two-processes", "cluster"])
def shared_house(shared_house: House) -> House:
    """One house of each store is enough: the commands do not know how many processes there are."""
    return shared_house


def dead(house: House, client: Client, count: int) -> list[str]:
    """Make so many dead letters; answers their delivery ids."""
    assert house.world is not None
    ada = person(client)
    house.force("fcm", "close")
    house.world.dial("fcm", errors={"internal": 1})
    since = datetime.now(UTC).isoformat()
    sent = [client.send(ada.id, "order", data={"who": "A", "n": 1}, channels=["push"]) for _ in range(count)]
    letters = f"/v1/dead-letters?channel=push&since={quote(since)}"
    wait_until(lambda: len(client.get(letters)["dead_letters"]) == count)
    house.world.dial("fcm", errors=None)
    house.force("fcm", "reset")
    return [of(client.story(identifier), "push")["id"] for identifier in sent]


def test_send_get_and_why_tell_one_story(house: House, client: Client) -> None:
    ada = person(client)
    sent = house.cli_json("send", ada.id, "order", "--set", "who=Ada", "--set", "n=7", "--channel", "push")
    identifier = sent["id"]
    wait_until(lambda: house.cli_json("get", identifier)["deliveries"])
    wait_until(lambda: of(house.cli_json("get", identifier), "push")["state"] == "delivered")
    assert house.cli_json("get", identifier)["data"] == {"who": "Ada", "n": 7}
    why = house.cli_json("why", identifier)
    assert why["state"] == "planned"
    assert any("The caller asked for this channel." in sentence for sentence in why["sentences"])
    assert "delivered" in house.cli("get", identifier)
    assert house.cli("send", ada.id, "order", "--set", "who=A", "--set", "n=1", "--channel", "in_app").strip()


def test_a_dry_run_sends_nothing_and_a_schedule_waits(house: House, client: Client) -> None:
    ada = person(client)
    plan = house.cli_json("send", ada.id, "order", "--set", "who=Ada", "--set", "n=7", "--dry-run")
    assert plan["dry_run"] is True
    assert client.get(f"/v1/notifications?user_id={ada.id}")["notifications"] == []
    send_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    later = house.cli_json("send", ada.id, "order", "--set", "who=A", "--set", "n=1", "--send-at", send_at)
    assert house.cli_json("get", later["id"])["state"] == "waiting"
    client.post(f"/v1/notifications/{later['id']}/cancel")


def test_what_was_asked_wrongly_ends_with_2_and_what_failed_with_1(house: House, client: Client) -> None:
    assert "there is no recipient" in house.cli("send", "nobody", "order", status=1)
    failed = house.cli_json("send", "nobody", "order", status=1)
    assert failed["error"]["status"] == 1
    assert failed["error"]["message"]
    assert "is no id" in house.cli("get", "not-an-id", status=2)
    assert "name=value" in house.cli("send", "a", "order", "--set", "nonsense", status=2)
    assert "Which ones?" in house.cli("dlq", "replay", status=2)
    assert house.cli("get", "019aaf2c-4a7b-7c3e-9d53-5b1c2a90ee00", status=1)


def test_dead_letters_are_listed_shown_replayed_and_discarded(house: House, client: Client) -> None:
    first, second, third = dead(house, client, 3)
    listed = house.cli_json("dlq", "list", "--channel", "push")["dead_letters"]
    assert {letter["id"] for letter in listed} >= {first, second, third}
    assert first in house.cli("dlq", "list")
    shown = house.cli_json("dlq", "show", first)
    assert shown["delivery"]["id"] == first
    assert len(shown["delivery"]["attempts"]) == 3
    assert "Every allowed attempt failed" in house.cli("dlq", "show", first)

    assert house.cli_json("dlq", "replay", first) == {"done": 1}
    assert house.cli_json("dlq", "replay", first) == {"done": 0}
    notification = first[:-2] + "00"
    wait_until(lambda: of(client.story(notification), "push")["state"] == "delivered")

    assert house.cli_json("dlq", "discard", second, "--why", "a drill") == {"done": 1}
    (put_away,) = [
        one for one in house.cli_json("dlq", "list", "--state", "discarded")["dead_letters"] if one["id"] == second
    ]
    assert put_away["why"] == "a drill"
    assert house.cli_json("dlq", "replay", "--type", "order", "--rate", "50")["done"] >= 1
    wait_until(lambda: of(client.story(third[:-2] + "00"), "push")["state"] == "delivered")
    assert house.cli_json("dlq", "replay", "--all") == {"done": 0}


def test_breakers_are_listed_and_forced(house: House, client: Client) -> None:
    def forced(answer: object) -> str:
        rows = [row for row in json.loads(json.dumps(answer))["breakers"] if row["provider"] == "sendgrid"]
        return str(rows[0]["forced"])

    assert forced(house.cli_json("breaker", "open", "sendgrid")) == "open"
    house.force("sendgrid", "open")
    assert forced(house.cli_json("breaker", "list")) == "open"
    assert "sendgrid" in house.cli("breaker", "list")
    ada = person(client)
    sent = client.send(ada.id, "order", data={"who": "A", "n": 1}, channels=["email"])
    wait_until(lambda: client.story(sent)["deliveries"] and of(client.story(sent), "email")["state"] == "sent")
    assert of(client.story(sent), "email")["attempts"][0]["provider"] == "smtp"
    assert forced(house.cli_json("breaker", "close", "sendgrid")) == "closed"
    assert forced(house.cli_json("breaker", "reset", "sendgrid")) == "none"
    assert "nobody" in house.cli("breaker", "open", "nobody", status=1)


def test_keys_are_made_used_and_revoked_while_the_server_runs(house: House, client: Client) -> None:
    made = house.cli_json("keys", "create", "--tenant", "shop", "--environment", "production", "--scope", "read")
    shop = house.client(made["key"])
    assert shop.get("/v1/notifications")["notifications"] == []
    refused = shop.ask("POST", "/v1/notifications", {"user_id": "a", "type": "b"})
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    listed = house.cli_json("keys", "list")["keys"]
    assert made["id"] in {key["id"] for key in listed}
    assert made["key"] not in json.dumps(listed)
    assert house.cli_json("keys", "revoke", made["id"]) == {"revoked": made["id"]}
    wait_until(lambda: shop.ask("GET", "/v1/notifications").status == 401, 3)
    assert "could be revoked" in house.cli("keys", "revoke", made["id"], status=1)
    assert house.cli("keys", "create", "--scope", "fly", status=2)


def test_the_ledger_balances_beside_the_server_and_without_it(tmp_path: Path) -> None:
    house = House(tmp_path / "data", None)
    with house:
        beside = house.cli_json("ledger")
        assert beside["imbalance"] == 0
        assert all(check["holds"] for check in beside["checks"])
        assert "It balances." in house.cli("ledger")
        house.stop()
    alone = house.cli_json("ledger")
    assert (alone["imbalance"], alone["accepted"]) == (0, beside["accepted"])
    assert house.cli_json("migrate")["applied"] == []
    assert "No server runs" in house.cli("breaker", "list", status=1)
    assert "no database" in house.cli("ledger", status=1, data=tmp_path / "elsewhere")
    assert house.cli_json("migrate", "--data", str(tmp_path / "fresh"))


def test_config_shows_each_setting_with_its_origin_and_no_secret(tmp_path: Path) -> None:
    settings = '[retry]\nbase_ms = 40\n[providers.twilio]\nauth_token = "very-secret-token"\n'
    house = House(tmp_path / "data", None, settings=settings)
    shown = house.cli_json("config")
    rows = {row["name"]: row for row in shown["settings"]}
    assert (rows["retry.base_ms"]["value"], rows["retry.base_ms"]["origin"]) == (40, "file")
    assert rows["retry.cap_ms"]["origin"] == "default"
    assert "very-secret-token" not in json.dumps(shown)
    assert "very-secret-token" not in house.cli("config")
    (house.data / "bellhouse.toml").write_text("[retry]\nbase = 40\n")
    assert "retry.base" in house.cli("config", status=2)
