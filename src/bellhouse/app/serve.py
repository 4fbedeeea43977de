"""`serve`: settings to a running platform, and what a person is told when it is up."""

import asyncio
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec

from bellhouse.adapters.clock import SystemClock
from bellhouse.app.folder import CannotServe, Running, lock_folder
from bellhouse.app.maintenance import prepare
from bellhouse.app.moved import refuse_where_moved
from bellhouse.app.processes import Plan, Role, Supervisor
from bellhouse.app.secrets import KEY_FILE
from bellhouse.app.settings import Settings
from bellhouse.app.simulated import revealed, simulated
from bellhouse.domain.words import CHANNELS
from bellhouse.observability.logs import configure
from bellhouse.ports.store.errors import StoreUnavailable


class Started(msgspec.Struct, frozen=True):
    """What a person, or a script, needs to know of a platform that has just come up."""

    url: str
    docs: str
    data: str
    pid: int
    roles: dict[str, int]
    """Each role's process id."""
    providers: dict[str, tuple[str, ...]]
    """Which providers each channel uses, in their order."""
    version: str
    key: str | None
    """The development key, at the first start only."""
    key_file: str | None
    """Where it is kept, while it is."""


def serve(settings: Settings, announce: Callable[[Started], None], say: Callable[[str], None]) -> int:
    """Serve until a signal ends it; answers the exit status.

    `announce` is called once, when everything is ready; `say` with what there is to wait for before. Raises
    CannotServe, and SettingsError where a simulator does not answer.
    """
    settings = simulated(settings)
    lock = lock_folder(settings.data, settings.drain_timeout_s + 5.0, say)
    try:
        refuse_where_moved(settings.data)
        key = _prepared(settings)
        clock = SystemClock()
        logbook = configure("notification-supervisor", clock, sys.stderr.buffer, level=settings.logs.level)
        supervisor = Supervisor(_plan(settings), clock, logbook)
        status = asyncio.run(supervisor.run(lambda running: announce(_started(settings, running, key))))
    finally:
        lock.release()
    if supervisor.refusal:
        raise CannotServe(supervisor.refusal)
    return status


def _prepared(settings: Settings) -> str | None:
    try:
        return prepare(settings.data)
    except StoreUnavailable as error:
        raise CannotServe(f"{settings.database} cannot be used: {error.remedy}") from None
    except OSError as error:
        raise CannotServe(f"{settings.data} cannot be used: {error}") from None


def _plan(settings: Settings) -> Plan:
    roles: tuple[Role, ...] = ("all",) if settings.processes == 1 else ("api", "bulk")
    return Plan(settings.data, settings.host, settings.port, roles, revealed(settings), settings.drain_timeout_s)


def _started(settings: Settings, running: Running, key: str | None) -> Started:
    return Started(
        url=running.url,
        docs=f"{running.url}/docs",
        data=running.data,
        pid=running.pid,
        roles=dict(running.roles),
        providers={channel: settings.providers_of(channel) for channel in CHANNELS},
        version=version("bellhouse"),
        key=key,
        key_file=str(kept) if (kept := Path(running.data) / KEY_FILE).exists() else None,
    )
