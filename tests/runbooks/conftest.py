"""One small house in which every runbook's commands are run, with what they are about."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.acceptance import people
from tests.acceptance.house import QUICK, House, World
from tests.acceptance.waiting import wait_until


class Ground(NamedTuple):
    """A running house, a notification in it that was sent, and a delivery that became a dead letter."""

    house: House
    notification: str
    letter: str
    recipient: str


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Its template `words` becomes a bad one for a moment, which makes the dead letter."""
    world = World(tmp_path_factory.mktemp("world"))
    with House(tmp_path_factory.mktemp("house") / "bellhouse-data", world, 1, QUICK) as house:
        client = house.client()
        people.define(client)
        client.put("/v1/templates/welcome", {"locales": {"en": {"push": {"title": "Hello", "body": "Welcome"}}}})
        house.cli("keys", "create", "--tenant", "acme", "--environment", "live", "--scope", "send")
        person = people.person(client)
        body = {"user_id": person.id, "type": "order", "channels": ["email"], "data": people.DATA}
        sent = client.post("/v1/notifications", body)["id"]
        spoilt = client.post("/v1/notifications", {**body, "data": {"who": "Ada"}})["id"]
        wait_until(lambda: house.client().get(f"/v1/notifications/{sent}")["deliveries"])
        (letter,) = wait_until(lambda: house.client().get("/v1/dead-letters")["dead_letters"])
        assert letter["notification_id"] == spoilt
        yield Ground(house, sent, letter["id"], person.id)
    world.stop()
