"""The kill matrix of the distributed mode: every role in the middle of every stage, and all that they stand on."""

import random
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bellhouse.engines.kafka import Kafka
from bellhouse.engines.postgres import Postgres
from bellhouse.engines.valkey import Valkey
from tests.acceptance.cluster import LEASE_S, ROLES, SESSION_S
from tests.acceptance.ground import ClusterMatrix, Ground, under_traffic
from tests.acceptance.matrix import MUST_BE_BACK_S, Way
from tests.acceptance.traffic import EMAIL, PUSH, SMS
from tests.acceptance.waiting import wait_until

WAYS: Mapping[str, Way] = {
    "api": Way("order", PUSH),
    "relay": Way("order", PUSH),
    "router": Way("order", PUSH),
    "critical": Way("alert", PUSH),
    "push": Way("order", PUSH),
    "email": Way("order", EMAIL),
    "others": Way("order", SMS),
    "scheduler": Way("order", PUSH, in_s=0.2),
    "exporter": Way("order", PUSH),
}
"""What passes a role."""

DRAIN_S = 5.0
"""As the settings have it."""


class KillMatrix(ClusterMatrix):
    """Kills of processes of which each plays one role."""

    def kill(self, stage: str, roles: Sequence[str]) -> None:
        """Be in the middle of `stage`, kill the processes of some roles, and see others play them."""
        self.strike(stage, ", ".join(roles), lambda: self._kill(roles), *(WAYS[role] for role in roles))

    def _kill(self, roles: Sequence[str]) -> None:
        killed = {role: self.house.kill(role) for role in roles}
        self.count_in_flight()
        for role in roles:
            self.house.expect_end(role, -signal.SIGKILL)
        wait_until(lambda: self._have_new_processes(killed), MUST_BE_BACK_S, self.house.said)

    def _have_new_processes(self, killed: Mapping[str, int]) -> bool:
        now = self.house.roles()
        return all(now.get(role, pid) != pid for role, pid in killed.items())

    def lose(self, stage: str, engine: Postgres | Kafka | Valkey) -> None:
        """Be in the middle of `stage`, kill an engine and start it again, and see everything go on soon after."""
        self.in_the_middle(stage)
        self.count_in_flight()
        engine.kill()
        engine.start()
        self.is_back(stage, engine.name, time.monotonic(), Way("order", PUSH))
        self.arrives(*WAYS.values())


@contextmanager
def matrix(
    folder: Path, ground: Ground, seed: int, roles: Mapping[str, tuple[str, ...]] = ROLES, named: bool = False
) -> Iterator[KillMatrix]:
    """A house under traffic in a world that takes its time."""
    with under_traffic(KillMatrix, *ground.afresh(), folder, seed, roles=roles, named=named) as running:
        yield running


STAGES = ("singles", "batch", "routing", "sending", "critical", "callbacks", "due", "replay")


def halves(roles: Iterable[str], rng: random.Random) -> list[list[str]]:
    """All roles in two groups, others each time."""
    mixed = list(roles)
    rng.shuffle(mixed)
    return [mixed[start::2] for start in range(2)]


def test_nothing_that_was_accepted_is_lost_by_a_kill(ground: Ground, tmp_path: Path) -> None:
    with matrix(tmp_path, ground, seed=5, named=True) as running:
        for stage in STAGES:
            for roles in halves(ROLES, running.rng):
                running.kill(stage, roles)
        running.finish("kills")
        assert running.house.unexpected_ends() == {}


def test_nothing_that_was_accepted_is_lost_with_an_engine(ground: Ground, tmp_path: Path) -> None:
    with matrix(tmp_path, ground, seed=7) as running:
        for stage in ("batch", "sending", "due"):
            for engine in ground:
                running.lose(stage, engine)
        running.finish("engines")
        assert running.house.unexpected_ends() == {}, "an engine's end ends no process"


def test_a_process_that_wakes_after_its_lease_has_been_taken_for_dead(ground: Ground, tmp_path: Path) -> None:
    beside = {**ROLES, "push-2": ROLES["push"], "router-2": ROLES["router"]}
    with matrix(tmp_path, ground, seed=11, roles=beside) as running:
        house = running.house
        for stage, role in (("sending", "push"), ("routing", "router"), ("sending", "push")):

            def stand_still(role: str = role) -> None:
                with house.paused(role):
                    running.count_in_flight()
                    running.let_pass(LEASE_S + SESSION_S + 1)
                    running.arrives(WAYS[role])

            running.strike(stage, f"{role} (paused)", stand_still, WAYS[role])
        running.finish("paused")


def test_a_rolling_restart_repeats_nothing(ground: Ground, tmp_path: Path) -> None:
    with matrix(tmp_path, ground, seed=13) as running:
        for role in ROLES:
            running.sending()
            assert running.house.restart(role, DRAIN_S + 2.0) == 0, f"{role} drains in its time"
            running.arrives(WAYS[role])
        running.finish("rolling restart")
