"""The kill matrix of the embedded mode: kill -9 of every process in the middle of every stage, with traffic."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.acceptance.matrix import MUST_BE_BACK_S, SETTINGS, Matrix, Way, end, slow_world, trafficked
from tests.acceptance.traffic import PUSH
from tests.acceptance.waiting import wait_until

WAYS = {"api": Way("alert", PUSH), "bulk": Way("order", PUSH)}
"""What passes the lanes of a process."""


class KillMatrix(Matrix):
    """Kills of the supervisor and its roles."""

    def kill(self, stage: str, process: str) -> None:
        """Be in the middle of `stage`, kill `process`, and see it back."""
        self.strike(stage, process, lambda: self._kill(process), WAYS.get(process, WAYS["bulk"]))

    def _kill(self, process: str) -> None:
        if process in ("supervisor", "everything"):
            self._kill_supervisor(process)
        else:
            pid = self.house.kill(process)
            self.count_in_flight()
            wait_until(lambda: self.house.roles().get(process, pid) != pid, MUST_BE_BACK_S, self.house.said)

    def _kill_supervisor(self, process: str) -> None:
        pids = self.house.roles().values()
        self.house.kill("supervisor")
        # Without it the roles notice, finish what they have in their hands, and end.
        if process == "everything":
            for pid in pids:
                end(pid)
            self.count_in_flight()
        self.house.start()


@contextmanager
def matrix(folder: Path, seed: int, processes: int = 2) -> Iterator[KillMatrix]:
    """A house under traffic in a world that takes its time."""
    with slow_world(folder / "world", seed) as world:
        house = House(folder / "data", world, processes, SETTINGS)
        with trafficked(house, seed) as traffic:
            yield KillMatrix(house, world, traffic, seed)


PLANS: dict[str, tuple[int, list[tuple[str, str]]]] = {
    "accepting": (
        2,
        [
            *[("singles", "api")] * 6,
            *[("batch", "api")] * 5,
            *[("callbacks", "api")] * 4,
            *[("critical", "api")] * 4,
        ],
    ),
    "delivering": (
        2,
        [
            *[("routing", "bulk")] * 5,
            *[("sending", "bulk")] * 7,
            *[("due", "bulk")] * 4,
            *[("callbacks", "bulk")] * 2,
        ],
    ),
    "everything": (
        2,
        [
            *[("replay", "bulk"), ("replay", "api")],
            *[("sending", "supervisor"), ("singles", "supervisor")],
            *[("sending", "everything"), ("batch", "everything"), ("callbacks", "everything")],
        ],
    ),
    "one process": (
        1,
        [
            ("singles", "all"),
            ("batch", "all"),
            ("sending", "all"),
            ("callbacks", "all"),
            ("due", "all"),
            ("replay", "all"),
        ],
    ),
}


def test_there_are_fifty_kills() -> None:
    assert sum(len(plan) for _, plan in PLANS.values()) == 50


@pytest.mark.parametrize("name", list(PLANS))
def test_nothing_that_was_accepted_is_lost_by_a_kill(name: str, tmp_path: Path) -> None:
    processes, plan = PLANS[name]
    with matrix(tmp_path, seed=len(plan), processes=processes) as running:
        for stage, process in plan:
            running.kill(stage, process)
        running.finish(name)
