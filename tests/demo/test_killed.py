"""Whoever plays a demo or a drill may be killed: what it had started ends, and its folder goes."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.monitors import gone, wait_until

_PLAYER = """
import asyncio, signal
from pathlib import Path
from bellhouse.demo.processes import folder_for, start_world

async def main(folder):
    await start_world(Path(folder), 1)
    print(folder, flush=True)
    await asyncio.Event().wait()

with folder_for(None, "bellhouse-demo-") as folder:
    asyncio.run(main(folder))
"""


def test_a_killed_player_leaves_neither_programs_nor_a_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PLAYER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}) as player:
        assert player.stdout is not None
        folder = Path(player.stdout.readline().decode().strip())
        assert folder.parent == tmp_path
        started = psutil.Process(player.pid).children(recursive=True)
        player.kill()
    wait_until(lambda: all(map(gone, started)))
    wait_until(lambda: not folder.exists())
