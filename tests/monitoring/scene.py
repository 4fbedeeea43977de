"""Plays ten minutes of a house's life for the pictures of the boards: `python -m tests.monitoring.scene`.

A calm, a campaign, an SMS provider that fails, a push provider that fails in part, a process that is killed, a pause,
and calm again. Then the pictures are drawn from what Prometheus saw. `--keep FOLDER` keeps its data, and plays nothing
where the folder has some already.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bellhouse.adapters.clock import SystemClock
from bellhouse.engines.prometheus import Job, Prometheus
from bellhouse.monitoring.rules import rule_file
from tests.acceptance.house import House, World
from tests.acceptance.people import define, person
from tests.acceptance.traffic import EMAIL, PUSH, SMS, Traffic

_ROOT = Path(__file__).parents[2]
_SCRAPE_S = 5.0
_LENGTH_S = 600.0
_SETTINGS = """
[limits]
recipient_per_minute = 100_000
[logs]
sampling = "off"
"""
_CAMPAIGN = 40_000
_BATCH = 500


def play(house: House, world: World, traffic: Traffic) -> None:
    """Everything in its time."""
    clock = SystemClock()
    began = clock.monotonic()
    for second, act in _acts(house, world, traffic):
        clock.pause(max(0.0, began + second - clock.monotonic()))
        print(f"{second:>4.0f} s  {act.__name__.strip('_')}", flush=True)
        act()


def _acts(house: House, world: World, traffic: Traffic) -> list[tuple[float, Callable[[], None]]]:
    def people_have_wishes() -> None:
        client = house.client()
        wary = person(client, preferences={"channels": {"push": False}})
        shy = person(client)
        for number in range(120):
            client.send(wary.id, "order", data={"who": "A", "n": number})
            if number % 3 == 0:
                client.send(shy.id, "promo", data={"who": "A", "n": number})

    def campaign() -> None:
        rng = random.Random(1)
        traffic.batch([traffic.body("news", EMAIL, rng, campaign="autumn-letter") for _ in range(_BATCH)])
        traffic.batch([traffic.body("order", SMS, rng, campaign="parcel-notes") for _ in range(_BATCH // 10)])
        for _ in range(_CAMPAIGN // _BATCH):
            traffic.batch([traffic.body("promo", PUSH, rng) for _ in range(_BATCH)])

    def twilio_fails() -> None:
        world.dial("twilio", errors={"20503": 1})

    def twilio_is_well() -> None:
        world.dial("twilio", errors=None)

    def push_fails_in_part() -> None:
        world.dial("fcm", errors={"internal": 0.15, "unregistered": 0.05})

    def push_is_well() -> None:
        world.dial("fcm", errors=None)

    def callers_ask_wrongly() -> None:
        client = house.client()
        for number in range(200):
            client.ask("POST", "/v1/notifications", {"user_id": f"nobody-{number}", "type": "order"})

    def bulk_is_killed() -> None:
        house.kill("bulk")

    def email_of_low_is_paused() -> None:
        house.client().post("/v1/levers/pause", {"channel": "email", "priority": "low", "why": "a wrong link"})

    def email_of_low_goes_on() -> None:
        house.client().post("/v1/levers/resume", {"channel": "email", "priority": "low", "why": "it is right again"})

    def end() -> None:
        """Nothing more."""

    return [
        (60, people_have_wishes),
        (120, campaign),
        (210, twilio_fails),
        (300, twilio_is_well),
        (330, push_fails_in_part),
        (390, push_is_well),
        (420, callers_ask_wrongly),
        (450, bulk_is_killed),
        (500, email_of_low_is_paused),
        (550, email_of_low_goes_on),
        (_LENGTH_S, end),
    ]


def _begin(house: House, world: World) -> None:
    for provider, median in {"fcm": 60, "sendgrid": 120, "smtp": 150, "twilio": 200, "vonage": 260}.items():
        world.dial(provider, latency={"kind": "lognormal", "median_ms": median, "sigma": 0.4})
        slow = provider not in ("fcm", "sendgrid")
        world.dial(provider, callback_delay_ms={"min": 300, "max": 2500} if slow else {"min": 20, "max": 400})
    define(house.client())


def _played(folder: Path) -> tuple[Prometheus, float]:
    """A Prometheus that has seen it all and runs, and when it ended."""
    rules = folder / "rules.yml"
    ended = folder / "ended"
    rules.write_text(rule_file(), encoding="utf-8")
    if ended.exists():
        prometheus = Prometheus(folder / "prometheus", rules=[])
        prometheus.start()
        return prometheus, float(ended.read_text())
    world = World(folder / "world")
    try:
        with House(folder / "data", world, settings=_SETTINGS) as house:
            _begin(house, world)
            job = Job("bellhouse", (house.url.removeprefix("http://"),))
            prometheus = Prometheus(folder / "prometheus", jobs=[job], rules=[rules], interval_s=_SCRAPE_S)
            prometheus.start()
            with Traffic(house, seed=5) as traffic:
                play(house, world, traffic)
                ended.write_text(f"{SystemClock().now() / 1000}")
    finally:
        world.stop()
    return prometheus, float(ended.read_text())


def main() -> None:
    """Play, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        prometheus, ended = _played(folder)
        try:
            command = [sys.executable, str(_ROOT / "docs" / "boards_picture.py"), prometheus.url]
            subprocess.run([*command, "--until", f"{ended}", "--seconds", f"{_LENGTH_S}"], check=True)
        finally:
            prometheus.stop()


if __name__ == "__main__":
    main()
