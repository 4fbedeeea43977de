"""The supervisor: starts roles, restarts what dies, drains at the end, and is not needed for a good end."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bellhouse.adapters.clock import SystemClock
from bellhouse.app.folder import CannotServe, Running, lock_folder, read_run_file
from bellhouse.app.processes import REFUSED, Plan, Supervisor, _Child
from bellhouse.ports.telemetry import NullLogbook

HERE = Path(__file__).parent
COMMAND = (sys.executable, str(HERE / "fake_role.py"))
DEADLINE_S = 20.0


class Serving:
    """A supervisor of fake roles as a task of the test."""

    def __init__(self, folder: Path, mode: str = "steady", drain_timeout_s: float = 10.0, **changes: Any) -> None:
        self.trace = folder / "trace"
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        settings = {"mode": mode, "trace": str(self.trace), "public_url": None}
        roles = changes.pop("roles", ("api", "bulk"))
        plan = Plan(self.data, "127.0.0.1", changes.pop("port", 0), roles, settings, drain_timeout_s, COMMAND)
        self.supervisor = Supervisor(plan, SystemClock(), NullLogbook())
        self.announced: list[Running] = []
        self.task = asyncio.create_task(self.supervisor.run(self.announced.append))

    def lines(self, word: str) -> list[list[str]]:
        text = self.trace.read_text() if self.trace.exists() else ""
        return [parts for line in text.splitlines() if (parts := line.split())[1] == word]

    async def up(self) -> Running:
        await until(lambda: bool(self.announced) or self.task.done())
        return self.announced[0]

    async def end(self) -> int:
        self.supervisor.stop()
        async with asyncio.timeout(DEADLINE_S):
            return await self.task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path("/proc").exists() else True


async def test_it_announces_once_when_all_roles_are_ready_and_drains_them_at_the_end(tmp_path):
    serving = Serving(tmp_path)
    running = await serving.up()
    assert set(running.roles) == {"api", "bulk"}
    assert [line[3] for line in serving.lines("ready")] == [running.url] * 2
    assert await serving.end() == 0
    assert len(serving.lines("ended")) == 2
    assert len(serving.announced) == 1
    assert not any(alive(pid) for pid in running.roles.values())
    assert not list((serving.data / "run").iterdir())


async def test_one_process_plays_all_roles(tmp_path):
    serving = Serving(tmp_path, roles=("all",))
    assert list((await serving.up()).roles) == ["all"]
    assert await serving.end() == 0


async def test_a_killed_role_is_started_again_and_no_connection_is_refused_meanwhile(tmp_path):
    serving = Serving(tmp_path)
    running = await serving.up()
    os.kill(running.roles["api"], signal.SIGKILL)
    await until(lambda: not alive(running.roles["api"]))
    host, port = running.url.removeprefix("http://").split(":")
    socket.create_connection((host, int(port)), timeout=1).close()
    await until(lambda: len(serving.lines("ready")) == 3)
    assert len(serving.announced) == 1
    assert alive(running.roles["bulk"])
    assert await serving.end() == 0


async def test_the_run_file_names_the_new_process_after_a_restart(tmp_path):
    lock = lock_folder(tmp_path / "data", 0, print)
    serving = Serving(tmp_path)
    before = await serving.up()
    os.kill(before.roles["bulk"], signal.SIGKILL)

    def renamed() -> bool:
        found = read_run_file(serving.data)
        return found is not None and found.roles.get("bulk") not in (None, before.roles["bulk"])

    await until(renamed)
    await serving.end()
    lock.release()


async def test_a_role_that_dies_of_its_start_is_given_pauses_that_grow():
    child = _Child("bulk", None)
    assert [child.pause_s(0.1) for _ in range(9)] == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert child.pause_s(60.0) == 0.0


async def test_a_role_that_is_killed_after_its_start_is_back_at_once_however_often():
    child = _Child("bulk", None)
    assert [child.pause_s(0.5, killed=True) for _ in range(5)] == [0.0] * 5


async def test_a_crash_loop_does_not_keep_it_from_ending(tmp_path):
    serving = Serving(tmp_path, mode="crash")
    await until(lambda: len(serving.lines("ready")) >= 6)
    await serving.end()


async def test_a_role_that_refuses_to_start_ends_everything_with_its_words(tmp_path):
    serving = Serving(tmp_path, mode="refuse")
    async with asyncio.timeout(DEADLINE_S):
        assert await serving.task == REFUSED
    assert serving.supervisor.refusal == "the moon is full"
    assert not serving.announced


async def test_a_role_that_does_not_end_is_killed_after_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr("bellhouse.app.processes.GRACE_S", 0.1)
    serving = Serving(tmp_path, mode="deaf", drain_timeout_s=0.1)
    running = await serving.up()
    assert await serving.end() == 1
    assert not any(alive(pid) for pid in running.roles.values())


async def test_a_second_stop_ends_at_once(tmp_path):
    serving = Serving(tmp_path, mode="deaf", drain_timeout_s=600.0)
    await serving.up()
    serving.supervisor.stop()
    assert await serving.end() == 1


async def test_a_taken_port_is_refused_in_words(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        serving = Serving(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(CannotServe, match="--port"):
            await serving.task


async def test_roles_end_in_good_order_when_their_supervisor_is_killed_and_the_next_one_waits_for_them(tmp_path):
    data, trace = tmp_path / "data", tmp_path / "trace"
    with subprocess.Popen(
        [sys.executable, str(HERE / "fake_serve.py"), str(data), str(trace)], stdout=subprocess.PIPE, text=True
    ) as serve:
        assert serve.stdout is not None
        assert serve.stdout.readline() == "up\n"
        with pytest.raises(CannotServe, match=f"served by process {serve.pid}"):
            lock_folder(data, 0, print)
        running = read_run_file(data)
        assert running is not None
        serve.kill()
        serve.wait()
    await until(lambda: not any(alive(pid) for pid in running.roles.values()))
    words = [line.split()[1] for line in trace.read_text().splitlines()]
    assert words.count("orphaned") == words.count("ended") == 2
    lock_folder(data, 0, print).release()
    assert read_run_file(data) is None
