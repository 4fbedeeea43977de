"""An engine's starter may be killed at any moment: no process and no temporary folder of it stays."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.monitors import gone, wait_until

_STARTER = """
import signal
from bellhouse.engines.valkey import Valkey
engine = Valkey()
{acts}
print(engine.folder, flush=True)
signal.pause()
"""


@pytest.mark.parametrize(
    "acts",
    ["engine.folder", "engine.start()", "engine.start().stop()", "engine.start().kill()", "engine.start().restart()"],
)
def test_nothing_of_an_engine_stays_when_its_starter_is_killed(acts: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _STARTER.format(acts=acts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}) as starter:
        assert starter.stdout is not None
        folder = Path(starter.stdout.readline().decode().strip())
        assert folder.parent == tmp_path
        children = psutil.Process(starter.pid).children(recursive=True)
        starter.kill()
    wait_until(lambda: not folder.exists())
    wait_until(lambda: all(map(gone, children)))


def test_nobody_watches_over_an_engine_that_was_closed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _STARTER.format(acts="engine.start().close()").replace("engine.folder", "''")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}) as starter:
        assert starter.stdout is not None
        starter.stdout.readline()
        assert psutil.Process(starter.pid).children() == []
        assert list(tmp_path.iterdir()) == []
        starter.kill()


def test_a_folder_that_was_given_stays_when_its_starter_is_killed(tmp_path: Path) -> None:
    given = tmp_path / "given"
    code = _STARTER.format(acts="engine.start()").replace(
        "Valkey()", f"Valkey(__import__('pathlib').Path({str(given)!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        starter.stdout.readline()
        children = psutil.Process(starter.pid).children(recursive=True)
        starter.kill()
    wait_until(lambda: all(map(gone, children)))
    assert (given / "valkey.conf").exists()
