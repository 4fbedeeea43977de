"""The page about the move does what it says, from the first command to the last."""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import cluster_engines
from tests.acceptance.house import House
from tests.docs.pages import DOCS, Step, blocks_of
from tests.docs.shell import Shell
from tests.move.stopped import Stopped

PAGE = DOCS / "howto" / "move-to-a-cluster.md"
SETTINGS = """
secret = "@{pepper}"
[store]
url = "{url}"
[kafka]
brokers = ["{brokers}"]
topic_prefix = "{prefix}"
partitions = 1
replication = 1
"""


def test_the_page_s_commands_move_a_house(request: pytest.FixtureRequest, stopped: Stopped, tmp_path: Path) -> None:
    data, roles = stopped.copy(tmp_path / "data"), tmp_path / "roles"
    roles.mkdir()
    shutil.copy(data / "pepper", roles)
    with cluster_engines(request) as (engines, prefix):
        words = {"pepper": roles / "pepper", "url": engines.database, "brokers": engines.brokers, "prefix": prefix}
        (roles / "bellhouse.toml").write_text(SETTINGS.format(**words))
        meant = {
            "/var/lib/bellhouse": str(data),
            "/etc/bellhouse": str(roles),
            "postgresql://bellhouse@db-1:5432/bellhouse": engines.database,
        }
        shell = Shell(tmp_path / "shell", {"BELLHOUSE_DATA": str(roles)}, meant)
        look, *others = [Step(block, None) for block in blocks_of(PAGE) if block.language == "sh"]
        with House(data, None):
            shell.run(look)
        for step in others:
            shell.run(step)
