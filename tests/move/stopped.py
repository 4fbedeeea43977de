"""A house on one machine that was killed in the middle of everything, with what it had promised."""

import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw

from bellhouse.ports.log import DELIVERY_TOPICS, GROUP_OF
from tests.acceptance.client import Client
from tests.acceptance.house import QUICK, House, World
from tests.acceptance.people import DATA, Person, define, person
from tests.acceptance.waiting import wait_until

EMAIL_PROVIDERS = ("sendgrid", "smtp")
FLIGHT_MS = 1_000


class Stopped:
    """What is left of a killed house: its folder, who was in it, and what its callers were answered."""

    def __init__(self, folder: Path, world: World) -> None:
        self.world = world
        self.house = House(folder / "data", world, 2, QUICK)
        self.accepted: dict[str, tuple[str, ...]] = {}
        """Every id that was answered, with the channels that it goes out on."""
        self.dead: list[str] = []
        self.cancelled: list[str] = []
        self.deleted = ""
        self.first: tuple[dict[str, Any], str] = ({}, "")
        """A request with a key, and the id that it was answered with."""
        self._count = 0
        self.people: list[Person] = []

    @property
    def data(self) -> Path:
        return self.house.data

    def live(self) -> None:
        """A life: history, dead letters, a parked outage, appointments; then kill -9 in the middle of sending."""
        with self.house as house:
            client = house.client()
            define(client)
            self.people = [person(client) for _ in range(20)]
            gone = person(client)
            client.delete(f"/v1/recipients/{gone.id}")
            self._history(client)
            self._dead_letters(client)
            self._park(client)
            self.send_key = house.cli("keys", "create", "--scope", "send").strip()
            body = self._body(("push",))
            client.post("/v1/levers/rate", {"provider": "vonage", "rate": 900, "why": "it moves along"})
            self.first = (body, self._send(client, [body])[0])
            self._appointments(client, 40)
            self._die_while_sending(client)
        assert apsw_value(self.data, "SELECT count(*) FROM intents") > 0

    def _history(self, client: Client) -> None:
        self._send(client, [self._body(channels) for channels in (("push",), ("email",), ("sms",), ("in_app",)) * 30])
        self._send(client, [self._body(("push",), collapse_key="score")])
        wait_until(lambda: _unsettled(client) == 0)

    def _dead_letters(self, client: Client) -> None:
        client.post("/v1/breakers/fcm/close")
        self.world.dial("fcm", errors={"internal": 1})
        self.dead = self._send(client, [self._body(("push",)) for _ in range(20)])
        wait_until(lambda: _counted(client, "dead_lettered") == len(self.dead), 40)
        self.world.dial("fcm", errors=None)
        client.post("/v1/breakers/fcm/reset")

    def _park(self, client: Client) -> None:
        for provider in EMAIL_PROVIDERS:
            client.post(f"/v1/breakers/{provider}/open")
        self._send(client, [self._body(("email",)) for _ in range(60)])
        wait_until(lambda: apsw_value(self.data, "SELECT count(*) FROM parked") == 60)

    def _appointments(self, client: Client, count: int) -> None:
        moment = (datetime.now(UTC) + timedelta(seconds=25)).isoformat()
        ids = self._send(client, [self._body(("push",), send_at=moment) for _ in range(count)])
        self.cancelled.append(ids[0])
        client.post(f"/v1/notifications/{ids[0]}/cancel")

    def _die_while_sending(self, client: Client) -> None:
        """The bulk of the work is killed with its hands full; the door stands open a moment longer."""
        assert self.house.process is not None
        self.world.dial("fcm", latency={"kind": "fixed", "min_ms": FLIGHT_MS})
        self._send(client, [self._body(("push",)) for _ in range(3_500)])
        wait_until(lambda: self._intended() > 500 and self.behind_positions() > 2_500)
        os.kill(self.house.process.pid, signal.SIGSTOP)
        _kill(self.house.roles()["bulk"])
        left = self._send(client, [self._body(("push",)) for _ in range(200)])
        self.cancelled.append(left[0])
        client.post(f"/v1/notifications/{left[0]}/cancel")
        _kill(self.house.roles()["api"])
        _kill(self.house.process.pid)
        self.house.process.wait()
        self.world.dial("fcm", latency=None)

    def _intended(self) -> int:
        return apsw_value(self.data, "SELECT coalesce(sum(length(deliveries) / 20), 0) FROM intents")

    def _body(self, channels: tuple[str, ...], **fields: object) -> dict[str, Any]:
        self._count += 1
        who = self.people[self._count % len(self.people)].id
        key = f"key-{self._count}"
        return {"user_id": who, "type": "order", "channels": channels, "data": DATA, "idempotency_key": key, **fields}

    def _send(self, client: Client, bodies: list[dict[str, Any]]) -> list[str]:
        ids: list[str] = []
        for at in range(0, len(bodies), 500):
            part = bodies[at : at + 500]
            results = client.post("/v1/notifications/batch", {"notifications": part})["results"]
            for body, result in zip(part, results, strict=True):
                self.accepted[result["id"]] = body["channels"]
                ids.append(result["id"])
        return ids

    # --- what the file itself says ---

    def copy(self, to: Path) -> Path:
        """The folder once more, for a test that does something to it."""
        shutil.copytree(self.data, to)
        return to

    def behind_positions(self) -> int:
        """Records of deliveries in the log behind their positions."""
        return sum(
            apsw_value(
                self.data,
                f"SELECT count(*) FROM log_{topic.replace('.', '_')} WHERE offset > (SELECT offset FROM positions"
                f" WHERE topic = '{topic}' AND consumer_group = '{GROUP_OF[topic]}')",
            )
            for topic in DELIVERY_TOPICS
        )


def apsw_value(data: Path, sql: str) -> int:
    """One number from a folder's file."""
    with closing(apsw.Connection(str(data / "bellhouse.db"))) as connection:
        connection.set_busy_timeout(5_000)
        return int(connection.execute(sql).fetchall()[0][0])


def _counted(client: Client, state: str) -> int:
    lines: Mapping[str, Any] = client.ledger(recount=False)
    return sum(line["counted"] for line in lines["lines"] if (line["level"], line["state"]) == ("delivery", state))


def _unsettled(client: Client) -> int:
    """Notifications and deliveries with which something is still to happen, all counted at one moment."""
    states = ("waiting", "in_flight", "unknown")
    return sum(line["counted"] for line in client.ledger(recount=False)["lines"] if line["state"] in states)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
