"""A house under traffic, the middle of each stage, and the oracle: what the kill matrices of both modes share.

The oracle stands outside the store: what callers were answered, and what the outside world has received.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from tests.acceptance.house import House, World
from tests.acceptance.kills import KILLS, VERDICTS, Kill
from tests.acceptance.people import define
from tests.acceptance.traffic import EMAIL, PUSH, SMS, Traffic
from tests.acceptance.waiting import wait_until

MUST_BE_BACK_S = 30.0
TAKEN = ("accepted", "accepted_answer_lost")
SETTINGS = """
drain_timeout_s = 5
[retry]
base_ms = 40
cap_ms = 200
[breaker]
open_ms = 700
[limits]
recipient_per_minute = 100_000
[logs]
level = "error"
sampling = "off"
"""
"""Those of a house that is killed again and again: its log tells of errors alone."""


class Way(NamedTuple):
    """Something to ask for, by whose arrival one sees that those are back whom it passes."""

    kind: str
    channels: tuple[str, ...]
    in_s: float = 0.0
    """So many seconds from when it is asked for."""


class Matrix:
    """One house with its own outside world under traffic, and the kills that it survives."""

    def __init__(self, house: House, world: World, traffic: Traffic, seed: int) -> None:
        self.house = house
        self.world = world
        self.traffic = traffic
        self.rng = random.Random(seed)
        self.in_flight = 0
        """Deliveries that were being sent at the kills, all together."""
        self._last_in_flight = 0
        self._asides: list[threading.Thread] = []

    # --- the middle of something ---

    def some(self, kind: str, channels: tuple[str, ...], count: int, **fields: object) -> list[dict[str, Any]]:
        return [self.traffic.body(kind, channels, self.rng, **fields) for _ in range(count)]

    def singles(self) -> None:
        """In the middle of accepting single requests."""
        target = len(self.traffic.accepted) + self.rng.randint(5, 60)
        wait_until(lambda: len(self.traffic.accepted) >= target)

    def batch(self) -> None:
        """In the middle of accepting a batch."""
        bodies = self.some("order", PUSH, 600)
        self._beside(lambda: self.traffic.batch(bodies))
        self.let_pass(0.0, 0.03)

    def routing(self) -> None:
        """In the middle of routing."""
        self.traffic.batch(self.some("order", PUSH, 300) + self.some("news", SMS, 100))
        self.let_pass(0.0, 0.03)

    def sending(self) -> None:
        """In the middle of sending by several providers."""
        seen = self.world.api.summary()["last"]
        self.traffic.batch(self.some("order", PUSH, 150) + self.some("order", EMAIL, 50) + self.some("news", PUSH, 50))
        more = self.rng.randint(1, 150)
        wait_until(lambda: self.world.api.summary()["last"] >= seen + more)

    def critical(self) -> None:
        """In the middle of sending what is critical."""
        seen = self.world.api.summary()["last"]
        self.traffic.batch(self.some("alert", PUSH, 80))
        more = self.rng.randint(1, 60)
        wait_until(lambda: self.world.api.summary()["last"] >= seen + more)

    def callbacks(self) -> None:
        """In the middle of callbacks."""
        self.traffic.batch(self.some("order", SMS, 60) + self.some("order", PUSH, 60) + self.some("order", EMAIL, 30))
        wait_until(lambda: self.world.api.pending_callbacks()["pending"] >= self.rng.randint(10, 80))
        self.let_pass(0.0, 0.1)

    def due(self) -> None:
        """In the middle of releasing what was scheduled."""
        moment = datetime.now(UTC) + timedelta(seconds=1)
        self.traffic.batch(self.some("order", PUSH, 400, send_at=moment.isoformat()))
        wait_until(lambda: datetime.now(UTC) >= moment)
        self.let_pass(0.0, 0.05)

    def replay(self) -> None:
        """In the middle of replaying dead letters."""
        client = self.house.client()
        client.post("/v1/breakers/fcm/close")
        self.world.dial("fcm", errors={"internal": 1})
        ids = set(self.traffic.batch(self.some("order", PUSH, 120)))

        def dead() -> bool:
            letters = client.get("/v1/dead-letters?channel=push&limit=1000")["dead_letters"]
            return ids <= {letter["notification_id"] for letter in letters}

        wait_until(dead, 40)
        self.world.dial("fcm", errors=None)
        client.post("/v1/breakers/fcm/reset")
        self._beside(lambda: self._replay_all(600.0))
        self.let_pass(0.02, 0.3)

    def _replay_all(self, rate: float | None = None) -> None:
        """Replay until nothing is left, whatever happens to the server meanwhile."""
        body: dict[str, object] = {"filter": {}} if rate is None else {"filter": {}, "rate": rate}

        def done() -> bool:
            try:
                return self.house.client().ask("POST", "/v1/dead-letters/replay", body).status == 200
            except OSError:
                return False

        wait_until(done, MUST_BE_BACK_S)

    def _beside(self, act: Callable[[], object]) -> None:
        """Do something that the kill interrupts; it goes on by itself."""
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        self._asides.append(thread)

    def let_pass(self, least_s: float, most_s: float | None = None) -> None:
        """Let so much time pass; between the two bounds the seed chooses."""
        moment = time.monotonic() + self.rng.uniform(least_s, most_s or least_s)
        wait_until(lambda: time.monotonic() >= moment)

    # --- struck, and back ---

    def strike(self, stage: str, what: str, act: Callable[[], object], *ways: Way) -> None:
        """Be in the middle of `stage`, do something violent, and see that work goes on and everything is accounted
        for."""
        self.in_the_middle(stage)
        struck = time.monotonic()
        act()
        self.is_back(stage, what, struck, *ways)

    def in_the_middle(self, stage: str) -> None:
        """Come into the middle of a stage."""
        self._last_in_flight = 0
        getattr(self, stage)()

    def is_back(self, stage: str, what: str, since: float, *ways: Way) -> None:
        """See that work goes on within the promised time since a moment, and write it into the table."""
        self.arrives(*ways)
        back = time.monotonic() - since
        middle = (getattr(Matrix, stage).__doc__ or "").rstrip(".").split(" of ", 1)[-1]
        KILLS.append(Kill(middle, what, self._last_in_flight, back))
        assert back < MUST_BE_BACK_S
        self.house.balances()

    def count_in_flight(self) -> None:
        """Note how many may be received twice: asked of the store, before anybody answers for what was killed."""
        self._last_in_flight = self.house.in_flight()
        self.in_flight += self._last_in_flight

    def arrives(self, *ways: Way) -> None:
        """Ask for one more each way, and wait until the outside world has them all."""
        since = self.world.api.summary()["last"]
        missing = {self._ask(way) for way in ways}

        def arrived() -> bool:
            nonlocal since, missing
            receipts = list(self.world.api.receipts(since))
            since = max((one["seq"] for one in receipts), default=since)
            missing -= {one["notification_id"] for one in receipts}
            return not missing

        wait_until(arrived, MUST_BE_BACK_S, lambda: ([self._told(one) for one in missing], self.house.said()))

    def _ask(self, way: Way) -> str:
        at = (datetime.now(UTC) + timedelta(seconds=way.in_s)).isoformat()
        fields = {"send_at": at} if way.in_s else {}
        return self.traffic.single(self.traffic.body(way.kind, way.channels, self.rng, **fields))

    def _told(self, identifier: str) -> object:
        try:
            return self.house.client().story(identifier)
        except OSError as error:
            return error

    # --- the end ---

    def finish(self, name: str) -> None:
        """Let everything come to rest, and compare what was promised with what the outside world has."""
        for thread in self._asides:
            thread.join(MUST_BE_BACK_S)
            assert not thread.is_alive()
        self.traffic.__exit__()
        self._rest()
        self._replay_all()
        self._rest()
        self.house.balances()
        self._compare(name)

    def _rest(self) -> None:
        def moving() -> dict[str, int]:
            lines = self.house.client().ledger(recount=False)["lines"]
            unsettled = ("waiting", "in_flight", "unknown")
            return {f"{one['level']} {one['state']}": one["counted"] for one in lines if one["state"] in unsettled}

        wait_until(
            lambda: not any(moving().values()) and not self.world.api.pending_callbacks()["pending"],
            40,
            lambda: (moving(), self.world.api.pending_callbacks()),
        )

    def _compare(self, name: str) -> None:
        promised = self.traffic.accepted
        listed = dict(self._listed())
        assert promised.keys() - listed.keys() == set(), "no 202 is missing"
        assert listed.keys() - promised.keys() == set(), "a request that was repeated with its key is there once"
        assert set(listed.values()) == {"planned"}
        taken = Counter(one["delivery_id"] for one in self.world.api.receipts() if one["verdict"] in TAKEN)
        received = {one["notification_id"] for one in self.world.api.receipts() if one["verdict"] in TAKEN}
        explained = Counter(self._explained(identifier) for identifier in promised.keys() - received)
        doubled = {delivery: count for delivery, count in taken.items() if count > 1}
        extra = sum(doubled.values()) - len(doubled)
        VERDICTS.append(
            f"{name}: {len(promised)} promised, {len(received & promised.keys())} received, "
            f"{dict(explained)} otherwise; {extra} received twice, {self.in_flight} were in flight at the kills"
        )
        assert extra <= self.in_flight
        for delivery in doubled:
            self._interrupted(delivery)

    def _listed(self) -> Iterator[tuple[str, str]]:
        client, cursor = self.house.client(), ""
        while True:
            page = client.get(f"/v1/notifications?limit=200{cursor}")
            yield from ((one["id"], one["state"]) for one in page["notifications"])
            if page["next"] is None:
                return
            cursor = f"&cursor={page['next']}"

    def _explained(self, identifier: str) -> str:
        """Why a notification has no receipt: delivered to the inbox, or a recorded reason."""
        story = self.house.client().story(identifier)
        (delivery,) = story["deliveries"]
        if delivery["channel"] == "in_app" and delivery["state"] == "delivered":
            return "in the inbox"
        assert delivery["state"] in ("failed", "dead_lettered", "expired"), story
        reason: str = delivery["reason"]["code"]
        assert reason.startswith(delivery["state"]), story
        return reason

    def _interrupted(self, delivery: str) -> None:
        """What was received twice was in the hands of a process that was killed, and its story says so."""
        story = self.house.client().story(delivery[:-2] + "00")
        reasons = {(step.get("reason") or {}).get("code") for one in story["deliveries"] for step in one["history"]}
        assert "unknown:interrupted" in reasons, story


def end(pid: int) -> None:
    """`kill -9`, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def slow_world(folder: Path, seed: int) -> Iterator[World]:
    """An outside world that takes its time, so that there is a middle of everything."""
    world = World(folder, seed)
    slow = {"kind": "uniform", "min_ms": 50, "max_ms": 300}
    for provider in ("fcm", "sendgrid", "twilio", "vonage"):
        world.dial(provider, latency=slow, callback_delay_ms={"min": 0, "max": 400})
    world.dial("smtp", latency={"kind": "fixed", "min_ms": 20})
    try:
        yield world
    finally:
        world.stop()


@contextmanager
def trafficked(house: House, seed: int) -> Iterator[Traffic]:
    """A house that runs, with the tests' tenant in it and callers who do not stop."""
    try:
        with house:
            define(house.client())
            with Traffic(house, seed) as traffic:
                yield traffic
    finally:
        house.end()
