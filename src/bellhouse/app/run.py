"""`run`: one role of the distributed mode as a process, from its settings until a signal drains it."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from importlib.metadata import version

import msgspec
import uvloop

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.migrate import fits
from bellhouse.app.descriptors import raise_limit
from bellhouse.app.distributed import Stage, build
from bellhouse.app.engines import postgres_config
from bellhouse.app.folder import CannotServe
from bellhouse.app.listening import listen, url_of
from bellhouse.app.memory import settle_memory
from bellhouse.app.needs import distributed_faults
from bellhouse.app.pepper import shared_pepper
from bellhouse.app.roles import Play
from bellhouse.app.runner import Runner
from bellhouse.app.settings import Settings, SettingsError
from bellhouse.observability.logs import configure
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.store.errors import StoreUnavailable


class Running(msgspec.Struct, frozen=True):
    """What a person, or a script, needs to know of a role that has just come up."""

    role: str
    url: str
    """Where its API is, or its health and metrics."""
    pid: int
    version: str


def run(settings: Settings, play: Play, announce: Callable[[Running], None]) -> int:
    """Play a role until a signal ends it; answers the exit status. `announce` is called once, when it is ready.

    Raises SettingsError for what the role lacks, CannotServe for what keeps it from starting.
    """
    faults = [fault for fault in distributed_faults(settings) if fault.fatal]
    if faults:
        raise SettingsError(faults)
    raise_limit()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            return loop.run(_play(settings, play, announce))
    except StoreUnavailable as down:
        raise CannotServe(f"The store cannot be used ({down.reason}): {down.remedy}") from None
    except LogUnavailable as down:
        raise CannotServe(f"The log cannot be used ({down.reason}): {down.remedy}") from None


async def _play(settings: Settings, play: Play, announce: Callable[[Running], None]) -> int:
    clock = SystemClock()
    logs = settings.logs
    logbook = configure(play.service, clock, sys.stderr.buffer, level=logs.level, sample=logs.sampling)
    database = Database(postgres_config(settings))
    await database.open()
    try:
        await fits(database)
        pepper = await shared_pepper(settings, database)
    finally:
        await database.close()
    host, port = _place(settings, play)
    with listen(host, port) as listener:
        stage = Stage(play, settings, pepper, clock, logbook, listener, version("bellhouse"))
        try:
            services = build(_with_public_url(stage, listener))
        except (ValueError, msgspec.MsgspecError) as error:
            raise CannotServe(f"The settings cannot be used: {error}") from error
        runner = Runner(services, settings.drain_timeout_s, logbook)

        def ready() -> None:
            settle_memory()
            announce(_running(play, listener, host))

        return await runner.run(ready)


def _place(settings: Settings, play: Play) -> tuple[str, int]:
    if play.plays("api"):
        return settings.host, settings.port
    return settings.metrics_host, settings.metrics_port


def _with_public_url(stage: Stage, listener: socket.socket) -> Stage:
    """The port that was given as 0 is known only now, and providers must be told the right one."""
    if stage.settings.public_url is not None or not stage.play.plays("api"):
        return stage
    url = url_of(stage.settings.host, listener.getsockname()[1])
    return msgspec.structs.replace(stage, settings=stage.settings.model_copy(update={"public_url": url}))


def _running(play: Play, listener: socket.socket, host: str) -> Running:
    return Running(play.label, url_of(host, listener.getsockname()[1]), os.getpid(), version("bellhouse"))
