"""The release before and this one side by side, on one schema and one log, under traffic."""

from pathlib import Path

import pytest

from bellhouse.adapters.store.postgres.migrate import steps
from tests.acceptance.cluster import ROLES, ClusterHouse, cluster_engines
from tests.acceptance.matrix import SETTINGS, Matrix, Way, slow_world, trafficked
from tests.acceptance.traffic import EMAIL, PUSH

(PREVIOUS,) = Path(__file__).parent.glob("bellhouse-*.whl")

_WITHIN_S = 10.0


class Upgraded(ClusterHouse):
    """A cluster that the release before has prepared, and whose processes are of that release unless told otherwise."""

    def _prepare(self) -> None:
        self.environment["PYTHONPATH"] = str(PREVIOUS)
        super()._prepare()
        del self.environment["PYTHONPATH"]
        for name in self.kept:
            self.downgrade(name)

    def downgrade(self, role: str) -> None:
        """From its next start on, a role is played by the release before."""
        self.kept[role].given["PYTHONPATH"] = str(PREVIOUS)

    def upgrade(self, role: str) -> None:
        """From its next start on, a role is played by this release."""
        self.kept[role].given.pop("PYTHONPATH", None)

    def version_of(self, role: str) -> str:
        """The release of the process that plays a role."""
        self.pid_of(role)
        return str(self.kept[role].ready["version"])


def test_old_and_new_processes_share_the_work_and_repeat_nothing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    old = PREVIOUS.name.split("-")[1]
    with cluster_engines(request) as (engines, prefix), slow_world(tmp_path / "world", 17) as world:
        house = Upgraded(tmp_path / "data", world, engines, prefix, SETTINGS)
        with trafficked(house, 17) as traffic:
            running = Matrix(house, world, traffic, 17)
            assert {house.version_of(role) for role in ROLES} == {old}
            running.sending()
            assert house.cli_json("migrate")["applied"] == [step.number for step in steps()][1:]
            running.sending()
            for role in ROLES:
                house.upgrade(role)
                assert house.restart(role, _WITHIN_S) == 0
                assert house.version_of(role) != old
                running.sending()
            running.arrives(Way("order", PUSH))
            # And one of them back again, as an operator does who does not trust the new one: new records in old code.
            house.downgrade("push")
            assert house.restart("push", _WITHIN_S) == 0
            running.sending()
            house.upgrade("push")
            assert house.restart("push", _WITHIN_S) == 0
            running.arrives(Way("alert", PUSH))
            running.arrives(Way("order", EMAIL))
            running.finish("rolling upgrade")
            assert {status for kept in house.kept.values() for status in kept.ends} == {0}
