"""Bellhouse in the distributed mode: PostgreSQL, Kafka and Valkey, each role a process, and who starts them again."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from bellhouse.app.run import Running
from bellhouse.demo.processes import Child, DidNotStart, Ended, scraped, spawn, write_settings
from bellhouse.demo.server_books import ServerBooks
from bellhouse.engines.errors import EngineDidNotStart
from bellhouse.engines.kafka import Kafka
from bellhouse.engines.ports import free_port
from bellhouse.engines.postgres import Postgres
from bellhouse.engines.process import Engine
from bellhouse.engines.valkey import Valkey
from bellhouse.ports.clock import Clock

BELLHOUSE: Final = (sys.executable, "-P", "-m", "bellhouse")

_BULK: Final = ("--priority", "high", "--priority", "normal", "--priority", "low")
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "api": ("api",),
    "relay": ("relay",),
    "router": ("router",),
    "critical worker": ("worker", "--priority", "critical"),
    "push worker": ("worker", "--channel", "push", *_BULK),
    "email worker": ("worker", "--channel", "email", *_BULK),
    "sms worker": ("worker", "--channel", "sms", "--channel", "in_app", "--channel", "chat", *_BULK),
    "scheduler": ("scheduler",),
    "exporter": ("exporter",),
}
"""What each process plays: what is critical, and each channel, has a worker of its own."""

_PARTITIONS: Final = 4
_DATABASE: Final = "bellhouse"
_PATIENCE_S: Final = 120.0
_AGAIN_S: Final = 0.1
"""After which a process that has ended is started again, as systemd does unless told otherwise."""


class Engines:
    """What the platform stands on."""

    def __init__(self) -> None:
        # As superuser PostgreSQL runs under another account, which may not enter our folder: each has a temporary one.
        self.postgres, self.kafka, self.valkey = Postgres(), Kafka(), Valkey()
        self.by_name: Mapping[str, Engine] = {
            engine.name: engine for engine in (self.postgres, self.kafka, self.valkey)
        }

    async def start(self) -> None:
        """Raises DidNotStart."""
        try:
            await asyncio.gather(*(asyncio.to_thread(engine.start) for engine in self.by_name.values()))
        except EngineDidNotStart as error:
            raise DidNotStart(str(error)) from error

    async def close(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(engine.close) for engine in self.by_name.values()))

    def restart(self, name: str) -> None:
        """`kill -9` an engine and start it again; blocks meanwhile."""
        self.by_name[name].kill()
        self.by_name[name].start()


class _Post:
    """One role: its process now, and those before it."""

    def __init__(self, role: str, command: Sequence[str], log: Path, clock: Clock) -> None:
        self.role = role
        self._command = command
        self._log = log
        self._clock = clock
        self.child: Child | None = None
        self.running: Running | None = None
        self.up = asyncio.Event()
        self.ends: list[tuple[int, int]] = []
        """(process id, exit status) of each that has ended by itself or by a kill."""

    async def keep(self) -> None:
        """Play the role, and again whenever its process ends."""
        while True:
            self.child, process = await spawn(self._command, self._log)
            assert process.stdout is not None  # asked for in spawn
            with suppress(msgspec.MsgspecError):
                self.running = msgspec.json.decode(await process.stdout.readline(), type=Running)
                self.up.set()
            status = await self.child.wait()
            self.running = None
            self.ends.append((self.child.pid, status))
            await self._clock.sleep(_AGAIN_S)

    async def ready(self) -> None:
        """Wait for the first process to be ready. Raises DidNotStart with what it said."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self.up.wait()
                return
        said = self.child.said() if self.child else ""
        raise DidNotStart(f"The {self.role} did not start: {said or 'it said nothing'}")

    @property
    def pid(self) -> int:
        """Of the process that is ready; 0 while none is."""
        return 0 if self.running is None else self.running.pid

    @property
    def ended(self) -> list[Ended]:
        """Each that has ended, with the one that followed it."""
        following = [*(pid for pid, _ in self.ends[1:]), self.pid]
        return [Ended(self.role, pid, again, code) for (pid, code), again in zip(self.ends, following, strict=False)]


class Cluster:
    """The running platform."""

    def __init__(self, data: Path, url: str, key: str, engines: Engines, books: ServerBooks) -> None:
        self.data = data
        self.url = url
        self.key = key
        self.books = books
        self._engines = engines
        self._posts: dict[str, _Post] = {}
        self._keepers: list[asyncio.Task[None]] = []

    async def play(self, clock: Clock) -> None:
        """Start every role and wait until each is ready. Raises DidNotStart."""
        for role, play in ROLES.items():
            # A port of its own, which it has again after a restart: so whoever scrapes it finds it.
            port = str(free_port())
            command = (*BELLHOUSE, "run", *play, "--metrics-port", port, "--data", str(self.data), "--json")
            post = _Post(role, command, self.data / f"{role.replace(' ', '-')}.log", clock)
            self._posts[role] = post
            self._keepers.append(asyncio.create_task(post.keep()))
        await asyncio.gather(*(post.ready() for post in self._posts.values()))

    def roles(self) -> Mapping[str, int]:
        return {role: post.pid for role, post in self._posts.items() if post.pid}

    def kill(self, role: str) -> int:
        pid = self._posts[role].pid
        if not pid:
            raise ProcessLookupError(f"no process plays the {role} now")
        os.kill(pid, signal.SIGKILL)
        return pid

    def restart(self, engine: str) -> None:
        self._engines.restart(engine)

    @property
    def engines(self) -> Engines:
        """What it stands on."""
        return self._engines

    def addresses(self) -> Mapping[str, str]:
        """Where each role that is ready shows its metrics."""
        return {role: post.running.url for role, post in self._posts.items() if post.running}

    @property
    def ended(self) -> Sequence[Ended]:
        return [ended for post in self._posts.values() for ended in post.ended]

    async def metrics(self) -> bytes:
        urls = [post.running.url for post in self._posts.values() if post.running]
        return b"\n".join(await asyncio.gather(*(asyncio.to_thread(scraped, url) for url in urls)))

    async def stop(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(post.child.stop() for post in self._posts.values() if post.child))
        await self.books.close()
        await self._engines.close()


async def start_cluster(data: Path, settings: str, clock: Clock, say: Callable[[str], None]) -> Cluster:
    """Start the engines and every role; `settings` are the text of `bellhouse.toml` without what names the engines.

    Raises DidNotStart.
    """
    engines = Engines()
    try:
        await engines.start()
        say("PostgreSQL, Kafka and Valkey are up.")
        port = free_port()
        database = await asyncio.to_thread(engines.postgres.create_database, _DATABASE)
        write_settings(data, f"port = {port}\n{settings}\n{_tables(engines, database)}")
        await _bellhouse(data, "migrate")
        await _bellhouse(data, "topics", "--create")
        key = (await _bellhouse(data, "keys", "create", "--scope", "admin")).strip()
        books = ServerBooks(database)
        await books.open()
    except BaseException:
        await engines.close()
        raise
    cluster = Cluster(data, f"http://127.0.0.1:{port}", key, engines, books)
    try:
        await cluster.play(clock)
    except BaseException:
        await cluster.stop()
        raise
    say(f"{len(ROLES)} roles are up, each in a process of its own: {', '.join(ROLES)}.")
    return cluster


def _tables(engines: Engines, database: str) -> str:
    """What names the engines; a secret of all hosts is needed as soon as there are two."""
    return "\n".join(
        (
            "[store]",
            f'url = "{database}"',
            "[kafka]",
            f'brokers = ["{engines.kafka.brokers}"]',
            f"partitions = {_PARTITIONS}",
            "replication = 1",
            "[redis]",
            f'url = "{engines.valkey.url}"',
            "",
        )
    )


async def _bellhouse(data: Path, *arguments: str) -> str:
    """Run a command; answers what it printed. Raises DidNotStart with its complaint."""
    command = (*BELLHOUSE, *arguments, "--data", str(data))
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    printed, complaint = await process.communicate()
    if process.returncode:
        raise DidNotStart(f"bellhouse {' '.join(arguments)}: {complaint.decode(errors='replace').strip()}")
    return printed.decode()
