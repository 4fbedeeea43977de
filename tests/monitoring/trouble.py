"""A house in trouble of every kind, and a Prometheus that looks at it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bellhouse.engines.asking import ask
from bellhouse.engines.prometheus import Job, Prometheus
from bellhouse.monitoring.rules import Rendering, rule_file
from tests.acceptance.house import QUICK, House, World
from tests.acceptance.people import define, person
from tests.acceptance.traffic import Traffic
from tests.acceptance.waiting import wait_until

SCRAPE_S = 1.0

_SETTINGS = QUICK.replace("open_ms = 700", "open_ms = 600_000")
"""A breaker that has opened stays open."""


_SCALE = 1 / 60
"""A minute of the rules is a second, so that what they record and raise is there in time."""


class Watched:
    """The house, and what Prometheus has seen of it so far."""

    def __init__(self, house: House, prometheus: Prometheus) -> None:
        self.house = house
        self.prometheus = prometheus
        self._since = time.time()

    @property
    def seen_s(self) -> float:
        """How long Prometheus has looked (s)."""
        return time.time() - self._since

    def now(self, expr: str) -> Sequence[tuple[dict[str, str], list[float]]]:
        """What an expression is now: the labels of each series, and its value."""
        return [(dict(one.labels), [one.value]) for one in self.prometheus.query(expr)]

    def over_time(self, expr: str, step_s: float = SCRAPE_S) -> Sequence[tuple[dict[str, str], list[float]]]:
        """What it was from the first scrape until now: the labels of each series, and its values."""
        parameters = {"query": expr, "start": f"{self._since}", "end": f"{time.time()}", "step": f"{step_s}"}
        found: list[Any] = ask(f"{self.prometheus.url}/api/v1/query_range", parameters)["data"]["result"]
        return [(one["metric"], [float(value) for _, value in one["values"]]) for one in found]


@contextmanager
def trouble(folder: Path) -> Iterator[Watched]:
    """Traffic on every channel; an SMS provider that is down and one that takes over, push that fails often enough
    for dead letters, callers who ask wrongly, and a process that was killed.
    """
    world = World(folder / "world")
    try:
        with House(folder / "data", world, settings=_SETTINGS) as house:
            define(house.client())
            job = Job("bellhouse", (house.url.removeprefix("http://"),))
            rules = folder / "rules.yml"
            rules.write_text(rule_file(Rendering(scale=_SCALE)), encoding="utf-8")
            with Prometheus(folder / "prometheus", jobs=[job], rules=[rules], interval_s=SCRAPE_S) as prometheus:
                watched = Watched(house, prometheus)
                # What happens before the first scrape is a rise from nowhere, which no rate sees.
                wait_until(lambda: len(watched.now("process_started_timestamp_seconds")) == len(house.roles()))
                with Traffic(house, seed=5):
                    _disturb(house, world)
                    yield watched
    finally:
        world.stop()


def _disturb(house: House, world: World) -> None:
    # First: what a process has counted in its last second before it is killed is lost.
    house.kill("bulk")
    world.dial("twilio", errors={"20503": 1})
    world.dial("fcm", errors={"internal": 0.4})
    house.force("fcm", "close")
    client = house.client()
    for name in ("nobody", "no one"):
        assert client.ask("POST", "/v1/notifications", {"user_id": name, "type": "order"}).status >= 400
    buyer = person(client)
    client.send(buyer.id, "order", data={"who": "A", "n": 1}, channels=["sms"], campaign="spring-sale")
    wary = person(client, preferences={"channels": {"push": False}})
    client.send(wary.id, "order", data={"who": "A", "n": 1})
