"""A role that does nothing but what a test wants of it: `python fake_role.py ROLE --control N [--bell N] [--listen N]`.

Its settings say how: `mode` is one of steady, refuse, crash, deaf; `trace` is a file to which it tells its life.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from bellhouse.app.control import RoleControl
from bellhouse.app.processes import REFUSED
from bellhouse.app.runner import Runner
from bellhouse.ports.telemetry import NullLogbook


class Idle:
    """Waits until it is drained; a deaf one does not end then either."""

    name = "idle"

    def __init__(self, deaf: bool) -> None:
        self._drained = asyncio.Event()
        self._deaf = deaf

    async def start(self) -> None: ...

    async def run(self) -> None:
        await self._drained.wait()
        if self._deaf:
            await asyncio.Event().wait()

    def drain(self) -> None:
        self._drained.set()

    async def stop(self) -> None: ...


async def work(control: RoleControl, settings: dict[str, str], tell) -> int:
    runner = Runner([Idle(settings["mode"] == "deaf")], 60.0, NullLogbook())

    def ready() -> None:
        tell("ready")
        control.say(ready=True)
        if settings["mode"] == "crash":
            os.kill(os.getpid(), signal.SIGKILL)

    async def watch() -> None:
        await control.supervisor_gone()
        tell("orphaned")
        runner.drain()

    watching = asyncio.create_task(watch())
    status = await runner.run(ready)
    watching.cancel()
    tell("ended")
    return status


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role")
    for name in ("--control", "--bell", "--listen"):
        parser.add_argument(name, type=int)
    arguments = parser.parse_args()
    control = RoleControl(socket.socket(fileno=arguments.control))
    settings = control.settings()

    def tell(word: str) -> None:
        with Path(settings["trace"]).open("a") as file:
            file.write(f"{arguments.role} {word} {os.getpid()} {settings['public_url']}\n")

    if settings["mode"] == "refuse" and arguments.role == "bulk":
        control.say(refused="the moon is full")
        sys.exit(REFUSED)
    sys.exit(asyncio.run(work(control, settings, tell)))


if __name__ == "__main__":
    main()
