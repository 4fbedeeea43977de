"""The two programs of the demo, each in processes of its own: the outside world, and Bellhouse on a file."""

import asyncio
import os
import signal
import sys
import urllib.request
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec

from bellhouse.app.folder import Running, read_run_file
from bellhouse.app.secrets import development_key
from bellhouse.app.settings import FILE_NAME
from bellhouse.demo.books import Books, FileBooks
from bellhouse.engines.guard import Guard, temporary_folder
from bellhouse.ports.clock import Clock

SIMULATOR: Final = (sys.executable, "-P", "-m", "bellhouse.simulator")
SERVE: Final = (sys.executable, "-P", "-m", "bellhouse", "serve")

_Done = TypeVar("_Done")

_PATIENCE_S: Final = 30.0
_CALLBACKS_AT_ONCE: Final = 64
"""Each waits until what it says is durable; providers do not wait for one another."""
_LOOK_S: Final = 0.05
_SCRAPE_S: Final = 2.0


class DidNotStart(Exception):
    """A program that did not become ready, with what it said."""


class Child:
    """A program that we started: it is stopped with us, and does not outlive us if we are killed."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._guard = Guard(process.pid)
        self.log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def stop(self, grace_s: float = 30.0) -> int:
        """Ask it to end, then end it; answers its exit status. Calling it twice is lawful."""
        if self.running:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(grace_s):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        return await self.wait()

    async def wait(self) -> int:
        """Wait for its end; answers its exit status."""
        status = await self._process.wait()
        self._guard.end()  # its id may be another's from now on
        return status

    def said(self) -> str:
        """The end of what it wrote to standard error."""
        with suppress(OSError):
            return self.log.read_text(errors="replace")[-2_000:].strip()
        return ""


class World:
    """The running simulator."""

    def __init__(self, child: Child, url: str) -> None:
        self.child = child
        self.url = url


class Ended(msgspec.Struct, frozen=True):
    """A process of the platform that ended while the day went on, and who took over."""

    role: str
    pid: int
    again: int
    """0 where nobody did."""
    status: int
    """Its exit status; less than 0 is a signal's number."""


class Platform(Protocol):
    """Bellhouse, however many processes it has."""

    @property
    def url(self) -> str: ...
    @property
    def data(self) -> Path: ...
    @property
    def books(self) -> Books: ...

    @property
    def key(self) -> str:
        """An API key that may do everything. Raises DidNotStart where there is none."""
        ...

    def roles(self) -> Mapping[str, int]:
        """Each role's process id now: a role that was started again has a new one."""
        ...

    def kill(self, role: str) -> int:
        """`kill -9` the process of a role; answers its id. Raises ProcessLookupError where there is none."""
        ...

    def restart(self, engine: str) -> None:
        """`kill -9` what the platform stands on, and start it again; blocks meanwhile."""
        ...

    @property
    def ended(self) -> Sequence[Ended]:
        """Who has ended so far."""
        ...

    async def metrics(self) -> bytes:
        """The `/metrics` of all its processes."""
        ...

    async def stop(self) -> None:
        """End everything of it. Calling it twice is lawful."""
        ...


class House:
    """The running platform in the embedded mode."""

    def __init__(self, child: Child, running: Running) -> None:
        self.child = child
        self.url = running.url
        self.data = Path(running.data)
        self._killed: list[tuple[str, int]] = []

    @property
    def key(self) -> str:
        key = development_key(self.data)
        if key is None:
            raise DidNotStart(f"{self.data} has no key of its first start: give --keep an empty folder.")
        return key

    @property
    def books(self) -> Books:
        return FileBooks(self.database)

    def roles(self) -> Mapping[str, int]:
        running = read_run_file(self.data)
        return {} if running is None else running.roles

    def kill(self, role: str) -> int:
        pid = self.roles().get(role, 0)
        if not pid:
            raise ProcessLookupError(f"no process plays the role {role}")
        os.kill(pid, signal.SIGKILL)
        self._killed.append((role, pid))
        return pid

    def restart(self, engine: str) -> None:
        raise ValueError(f"there is no {engine} in the embedded mode")

    @property
    def ended(self) -> Sequence[Ended]:
        now = self.roles()
        return [Ended(role, pid, now.get(role, 0), -signal.SIGKILL) for role, pid in self._killed]

    async def metrics(self) -> bytes:
        return await asyncio.to_thread(scraped, self.url)

    async def stop(self) -> None:
        await self.child.stop()

    @property
    def database(self) -> Path:
        return self.data / "bellhouse.db"


class _Ready(msgspec.Struct, frozen=True):
    url: str


async def start_world(folder: Path, seed: int) -> World:
    """Start a simulator on free ports, its receipts kept in memory. Raises DidNotStart."""
    connections = ("--callback-connections", str(_CALLBACKS_AT_ONCE))
    command = (*SIMULATOR, "--port", "0", "--seed", str(seed), "--dir", str(folder), *connections)
    child, process = await spawn(command, folder / "simulator.log")
    assert process.stdout is not None  # asked for in spawn
    try:
        async with asyncio.timeout(_PATIENCE_S):
            ready = msgspec.json.decode(await process.stdout.readline(), type=_Ready)
    except (TimeoutError, msgspec.MsgspecError):
        await child.stop(1.0)
        raise DidNotStart(f"The simulator did not start: {child.said() or 'it said nothing'}") from None
    return World(child, ready.url)


async def start_house(
    data: Path,
    settings: str,
    clock: Clock,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> House:
    """Start the platform on a free port; `settings` are the text of its `bellhouse.toml`, `environment` comes on top of
    our own. Raises DidNotStart."""
    given = ("env", *(f"{name}={value}" for name, value in environment.items())) if environment else ()
    write_settings(data, settings)
    command = (*given, *SERVE, "--data", str(data), "--port", "0", *arguments)
    child, _ = await spawn(command, data / "serve.log")
    deadline = clock.monotonic() + _PATIENCE_S
    while clock.monotonic() < deadline and child.running:
        running = read_run_file(data)
        if running is not None and running.pid == child.pid and all(running.roles.values()):
            return House(child, running)
        await clock.sleep(_LOOK_S)
    await child.stop(1.0)
    raise DidNotStart(f"The platform did not start: {child.said() or 'it said nothing'}")


def write_settings(data: Path, settings: str) -> None:
    """Make the platform's folder, with these settings in it."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    (data / FILE_NAME).write_text(settings, encoding="utf-8")


def folder_for(keep: Path | None, prefix: str) -> AbstractContextManager[str | Path]:
    """The folder that is to be kept or, without one, one that goes in the end."""
    if keep is None:
        return temporary_folder(prefix)
    keep.mkdir(parents=True, exist_ok=True)
    return nullcontext(keep)


async def until_told(work: Coroutine[Any, Any, _Done]) -> _Done:
    """What comes of it; SIGTERM and Ctrl-C end it, so that nothing that it started outlives it.

    Raises KeyboardInterrupt where one of them came.
    """
    running = asyncio.create_task(work)
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background job is born with Ctrl-C switched off
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def spawn(command: Sequence[str], log: Path) -> tuple[Child, asyncio.subprocess.Process]:
    """Start a program whose standard output is read by us, and whose errors are kept."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            process_group=0,
        )
    return Child(process, log), process


def scraped(url: str) -> bytes:
    """The `/metrics` of a process; nothing where it does not answer."""
    with suppress(OSError), urllib.request.urlopen(f"{url}/metrics", timeout=_SCRAPE_S) as answer:
        text: bytes = answer.read()
        return text
    return b""
