"""What an operator pulls is in the shared figures, and goes from them again."""

from pathlib import Path

from bellhouse.ops.doctor.samples import parse
from tests.acceptance.house import House
from tests.acceptance.waiting import wait_until


def test_a_pause_is_seen_while_it_is_pulled(tmp_path: Path) -> None:
    with House(tmp_path / "data", None) as house:
        client = house.client()

        def seen() -> tuple[float | None, float | None, float | None]:
            samples = parse(client.ask("GET", "/metrics").body.decode())
            low, high = (
                samples.get(("lane_paused", (("channel", "in_app"), ("priority", priority))))
                for priority in ("low", "high")
            )
            return samples.get(("levers_pulled", (("kind", "pause"),))), low, high

        wait_until(lambda: seen() == (0, 0, 0), 30, seen)
        client.post("/v1/levers/pause", {"channel": "in_app", "priority": "low", "why": "a test"})
        wait_until(lambda: seen() == (1, 1, 0), 30, seen)
        client.post("/v1/levers/resume", {"channel": "in_app", "priority": "low", "why": "it is over"})
        wait_until(lambda: seen() == (0, 0, 0), 30, seen)
