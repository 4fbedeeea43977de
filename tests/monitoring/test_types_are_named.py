"""A type that is defined while a house runs is called by its name in what every process counts."""

from pathlib import Path

from bellhouse.ops.doctor.samples import parse
from tests.acceptance.house import House
from tests.acceptance.people import define, person
from tests.acceptance.waiting import wait_until


def test_the_process_that_delivers_learns_the_types_that_the_other_was_told(tmp_path: Path) -> None:
    with House(tmp_path / "data", None) as house:
        client = house.client()
        define(client)
        ada = person(client)

        def named() -> float:
            """An order is delivered by the process of bulk."""
            client.send(ada.id, "order", data={"who": "A", "n": 1}, channels=["in_app"])
            samples = parse(client.ask("GET", "/metrics").body.decode())
            return samples.get(("notifications_delivered_total", (("channel", "in_app"), ("type", "order"))), 0.0)

        wait_until(named, 30)
