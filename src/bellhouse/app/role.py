"""One role of the platform as a process: `python -m bellhouse.app.role api --control FD [--bell FD] [--listen FD]`.

Started by the supervisor alone, which hands it its settings, its end of the doorbell and the API's socket.
"""

import argparse
import asyncio
import socket
import sys
from collections.abc import Sequence
from typing import cast

import msgspec
import uvloop

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.app.build import Parts, build, topics_of
from bellhouse.app.control import RoleControl
from bellhouse.app.descriptors import raise_limit
from bellhouse.app.folder import CannotServe, take_role_locks
from bellhouse.app.memory import settle_memory
from bellhouse.app.processes import REFUSED, Role
from bellhouse.app.runner import Runner
from bellhouse.app.settings import Settings
from bellhouse.observability.logs import configure
from bellhouse.ports.store.errors import StoreUnavailable


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the role until drained; answers the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m bellhouse.app.role")
    parser.add_argument("role", choices=("api", "bulk", "all"))
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--bell", type=int)
    parser.add_argument("--listen", type=int)
    given = parser.parse_args(arguments)
    control = RoleControl(socket.socket(fileno=given.control))
    try:
        settings = Settings(**control.settings())
    except EOFError:
        return 0
    raise_limit()
    role = cast("Role", given.role)
    try:
        locks = take_role_locks(settings.data, role, settings.drain_timeout_s + 5.0)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            return loop.run(_play(role, settings, control, _socket(given.bell), _socket(given.listen)))
    except (CannotServe, StoreUnavailable) as error:
        control.say(refused=str(error))
        return REFUSED
    finally:
        del locks


async def _play(
    role: Role, settings: Settings, control: RoleControl, bell: socket.socket | None, listener: socket.socket | None
) -> int:
    clock = SystemClock()
    logbook = configure(
        f"notification-{role}", clock, sys.stderr.buffer, level=settings.logs.level, sample=settings.logs.sampling
    )
    doorbell = LocalDoorbell(topics_of(role), bell)
    doorbell.open()
    try:
        services = build(Parts(role, settings, clock, logbook, doorbell, listener))
    except (ValueError, msgspec.MsgspecError) as error:
        raise CannotServe(f"The settings cannot be used: {error}") from error
    runner = Runner(services, settings.drain_timeout_s, logbook)

    async def watch() -> None:
        await control.supervisor_gone()
        logbook.note("warning", "The supervisor has gone; work in flight is finished", role=role)
        runner.drain()

    def ready() -> None:
        settle_memory()
        control.say(ready=True)

    watching = asyncio.create_task(watch())
    try:
        return await runner.run(ready)
    finally:
        watching.cancel()
        doorbell.close()


def _socket(descriptor: int | None) -> socket.socket | None:
    return None if descriptor is None else socket.socket(fileno=descriptor)


if __name__ == "__main__":
    sys.exit(main())
