"""The supervisor of `serve`: a process for each role, told to drain at a signal, started again when it dies."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from bellhouse.app.control import RoleLine
from bellhouse.app.folder import Running, forget_run_files, write_run_files
from bellhouse.app.listening import listen, url_of
from bellhouse.ports.clock import Clock
from bellhouse.ports.telemetry import Logbook

Role = Literal["api", "bulk", "all"]

REFUSED: Final = 78
"""The exit status of a role that cannot start and says why (EX_CONFIG of sysexits.h): a restart would not help."""

ROLE_COMMAND: Final = (sys.executable, "-P", "-m", "bellhouse.app.role")
GRACE_S: Final = 2.0
"""What a role gets beyond its own drain timeout before it is killed."""
STEADY_S: Final = 10.0
"""A role that lived this long did not die of its start."""
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 10.0
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Plan(msgspec.Struct, frozen=True):
    """What the supervisor needs to know."""

    data: Path
    host: str
    port: int
    roles: tuple[Role, ...]
    settings: Mapping[str, Any]
    """What is handed to each role; `public_url` is filled in where it is None, since the port is known only then."""
    drain_timeout_s: float
    command: Sequence[str] = ROLE_COMMAND


class _Child:
    """One role: its process while it lives, and how often it has died young."""

    def __init__(self, role: Role, bell: socket.socket | None) -> None:
        self.role = role
        self.bell = bell
        self.process: asyncio.subprocess.Process | None = None
        self.ready = False
        self.was_ready = False
        """Whether its last life got so far."""
        self.refusal = ""
        self._deaths = 0

    def pause_s(self, lived_s: float, *, killed: bool = False) -> float:
        """How long to wait before the next start: nothing after a steady life or the first death.

        `killed`: it was ready, and a signal ended it. Whoever sent that, its start was sound: its work waits.
        """
        self._deaths = 0 if lived_s >= STEADY_S or killed else self._deaths + 1
        return 0.0 if self._deaths <= 1 else min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._deaths - 2))

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


class Supervisor:
    """Runs the roles of a plan until it is told to end. One use only; the caller holds the data folder's lock."""

    def __init__(self, plan: Plan, clock: Clock, logbook: Logbook) -> None:
        self._plan = plan
        self._clock = clock
        self._logbook = logbook
        self._stopping = asyncio.Event()
        self._status = 0
        self._announced = False
        self.refusal = ""
        """Why a role could not start, once `run` has answered REFUSED."""

    async def run(self, announce: Callable[[Running], None]) -> int:
        """Serve until SIGTERM, SIGINT or SIGHUP; answers the exit status: 0, 1 where a role did not end in good
        order, REFUSED where one cannot start. `announce` is called once, when all roles are ready.

        Raises CannotServe where the address cannot be had.
        """
        with listen(self._plan.host, self._plan.port) as self._listener:
            self._url = url_of(self._plan.host, self._listener.getsockname()[1])
            self._announce = announce
            self._children = _children(self._plan.roles)
            try:
                with self._signals():
                    async with asyncio.TaskGroup() as group:
                        for child in self._children:
                            group.create_task(self._keep(child))
            finally:
                self._close()
        return self._status

    def stop(self) -> None:
        """Drain all roles; the second call kills them."""
        number = signal.SIGKILL if self._stopping.is_set() else signal.SIGTERM
        self._stopping.set()
        for child in self._children:
            child.signal(number)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _close(self) -> None:
        for child in self._children:
            child.signal(signal.SIGTERM)
            if child.bell is not None:
                child.bell.close()
        forget_run_files(self._plan.data)

    async def _keep(self, child: _Child) -> None:
        """Start a role again whenever it dies, until the end."""
        while not self._stopping.is_set():
            started = self._clock.monotonic()
            status = await self._live(child)
            if self._stopping.is_set():
                self._status = self._status or (1 if status else 0)
            elif status == REFUSED:
                self._refused(child)
            else:
                await self._pause(child, status, self._clock.monotonic() - started)

    async def _live(self, child: _Child) -> int:
        """One life of a role; answers its exit status, negative for a signal."""
        line = RoleLine()
        try:
            child.process = process = await self._spawn(child, line)
            if self._stopping.is_set():
                child.signal(signal.SIGTERM)
            hearing = asyncio.create_task(self._hear(child, line))
            status = await self._ended(process)
            await hearing
            return status
        finally:
            was_ready = child.was_ready = child.ready
            child.ready = False
            child.process = None
            line.close()
            if was_ready and not self._stopping.is_set():
                self._tell()

    async def _spawn(self, child: _Child, line: RoleLine) -> asyncio.subprocess.Process:
        """A fresh interpreter, in a process group of its own: the terminal's Ctrl-C is for the supervisor alone, or
        a role would be told twice."""
        handed = {"--control": line.theirs}
        if child.bell is not None:
            handed["--bell"] = child.bell
        if child.role != "bulk":
            handed["--listen"] = self._listener
        return await asyncio.create_subprocess_exec(
            *self._plan.command,
            child.role,
            *(argument for name, given in handed.items() for argument in (name, str(given.fileno()))),
            pass_fds=[given.fileno() for given in handed.values()],
            stdin=asyncio.subprocess.DEVNULL,
            process_group=0,
        )

    async def _hear(self, child: _Child, line: RoleLine) -> None:
        """Hand the settings down and take in what the role says of its start."""
        settings = {**self._plan.settings, "public_url": self._plan.settings.get("public_url") or self._url}
        words: Mapping[str, Any] = {}
        with contextlib.suppress(OSError):
            await line.send_settings(settings)
            words = await line.said()
        child.refusal = str(words.get("refused", ""))
        if words.get("ready"):
            child.ready = True
            self._tell()

    def _tell(self) -> None:
        """Write down which process plays which role, once all are ready and at every change; say it the first time."""
        if not self._announced and not all(child.ready for child in self._children):
            return
        roles: dict[str, int] = {
            child.role: child.process.pid for child in self._children if child.ready and child.process is not None
        }
        running = Running(self._url, str(self._plan.data.resolve()), os.getpid(), roles)
        try:
            write_run_files(self._plan.data, running)
        except OSError as error:
            self._logbook.note("warning", "The run files cannot be written", error=str(error))
        if not self._announced:
            self._announced = True
            self._announce(running)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """The role's exit status; once it is told to end it has its drain timeout and a little more."""
        ending = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await asyncio.wait({ending}, timeout=self._plan.drain_timeout_s + GRACE_S)
        if not ending.done():
            process.kill()
        return await ending

    def _refused(self, child: _Child) -> None:
        self._logbook.note("error", f"Role {child.role} cannot start", error=child.refusal)
        self.refusal = child.refusal
        self._status = REFUSED
        self.stop()

    async def _pause(self, child: _Child, status: int, lived_s: float) -> None:
        pause = child.pause_s(lived_s, killed=status < 0 and child.was_ready)
        end = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self._logbook.note("error", f"Role {child.role} {end}; it is started again after {pause} s")
        if pause:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()


def _children(roles: Sequence[Role]) -> list[_Child]:
    """The roles with their ends of the doorbell, which outlive the processes that they are handed to."""
    if len(roles) == 1:
        return [_Child(roles[0], None)]
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return [_Child(role, end) for role, end in zip(roles, ends, strict=True)]
