"""Runs an engine as a child process: starts it, waits until it answers, pauses, kills and stops it by its own id."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, TypedDict

import psutil

from bellhouse.engines.certificate import Certificate
from bellhouse.engines.errors import EngineDidNotStart, ProgramFailed
from bellhouse.engines.guard import Guard
from bellhouse.engines.ports import free_port
from bellhouse.engines.tls_relay import Greeting, TlsRelay

# An engine sees none of the caller's variables (PGOPTIONS, JAVA_TOOL_OPTIONS ...), so that it runs alike everywhere.
ENVIRONMENT: Mapping[str, str] = {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC"}

_POLL_S = 0.02
_STORY_LINES = 20
_PROGRAM_DEADLINE_S = 300.0


class Engine(ABC):
    """One engine: a process, the folder it writes to and the port it listens on; both stay the same over restarts.

    It blocks, by design: it is started before a loop runs or in `asyncio.to_thread`. A folder that is not given is a
    temporary one, which leaving the `with` block (or `close`) removes, and the end of a starter that was killed.
    """

    name: ClassVar[str]
    start_deadline_s: ClassVar[float] = 60.0
    stop_deadline_s: ClassVar[float] = 30.0
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(
        self,
        folder: Path | None = None,
        port: int | None = None,
        *,
        relayed: Certificate | None = None,
        greeting: Greeting | None = None,
    ) -> None:
        """With `relayed` a relay that speaks TLS stands before a server that cannot, and `port` is the relay's."""
        self.port = port or free_port()
        self._relay = None if relayed is None else TlsRelay(relayed, self.port, greeting)
        self._server_port = self.port if relayed is None else free_port()
        self._temporary = folder is None
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None
        self._paused = False

    @property
    def folder(self) -> Path:
        """Where the engine keeps its data and its log; made on the first call."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"bellhouse-{self.name}-"))
            self._guard_process(None)
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @property
    def log(self) -> Path:
        """What the engine wrote to its standard output and error."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """The id of the running process; RuntimeError when there is none."""
        return self._running().pid

    @property
    def running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start and return once it answers on the wire; a running engine is left alone.

        Raises EngineDidNotStart, with the end of the engine's log, when it does not.
        """
        if not self.running:
            try:
                self._prepare()
            except ProgramFailed as error:
                raise EngineDidNotStart(f"{self.name} could not be set up: {error}") from error
            self._spawn()
            self._await_ready()
        if self._relay is not None:
            self._relay.start(self._server_port)
        return self

    def stop(self) -> None:
        """Stop in good order and wait for the end; killed when it takes longer than `stop_deadline_s`."""
        self._hang_up()
        process = self._process
        if process is not None and process.poll() is None:
            self.resume()
            process.send_signal(self.stop_signal)  # which may have ended it by the next line
            try:
                process.wait(self.stop_deadline_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self._guard_process(None)

    def kill(self) -> None:
        """SIGKILL the process and all its children, as a power cut does, and wait until they are gone."""
        self._hang_up()
        if self._process is not None:
            self._freeze()
            tree = self._tree()
            for process in tree:
                _signal(process, signal.SIGKILL)
            self._process.wait()
            while any(_alive(process) for process in tree):
                time.sleep(_POLL_S)
        self._guard_process(None)

    def pause(self) -> None:
        """SIGSTOP the process and all its children: its connections stay open and nothing answers."""
        for process in self._tree():
            _signal(process, signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """SIGCONT what `pause` stopped; lawful when nothing is paused."""
        if self._paused:
            for process in self._tree():
                _signal(process, signal.SIGCONT)
        self._paused = False

    def restart(self) -> Self:
        """Stop (if it runs) and start again on the same port with the same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stop, and remove the folder if it was a temporary one."""
        self.stop()
        if self._temporary and self._folder is not None:
            shutil.rmtree(self._folder)
            self._folder = None
        self._end_guard()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def _prepare(self) -> None:
        """Make what the engine needs in its folder; called before every start, so what is there is kept."""

    @abstractmethod
    def _command(self) -> Sequence[str | Path]:
        """The command line that runs the engine in the foreground."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether it answers on the wire now."""

    def _hang_up(self) -> None:
        if self._relay is not None:
            self._relay.stop()

    def _user(self) -> str | None:
        """The account to run as; None for the caller's own."""
        return None

    def _spawn(self) -> None:
        self._guard_process(None)  # a process that ended by itself is not looked after: its id may be another's by now
        self._paused = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=ENVIRONMENT,
                start_new_session=True,  # a Ctrl-C at the terminal is for us, who then stop the engine
                **_identity(self._user()),
            )
        self._guard_process(self._process.pid)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self.start_deadline_s
        while not self._ready():
            code = self._running_or_ended()
            if code is not None:
                self._guard_process(None)
                raise EngineDidNotStart(self.story(f"ended with code {code} instead of answering"))
            if time.monotonic() > deadline:
                self.kill()
                raise EngineDidNotStart(self.story(f"did not answer within {self.start_deadline_s:.0f} s"))
            time.sleep(_POLL_S)

    def _running_or_ended(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} is not running: call start() first")
        return self._process

    def _tree(self) -> list[psutil.Process]:
        # Not the process group: PostgreSQL gives each of its children a group of its own.
        if not self.running:
            return []
        top = psutil.Process(self.pid)
        return [top, *top.children(recursive=True)]

    def _freeze(self) -> None:
        """Stop the process, if it runs: a child that it made between our look and our kill would live on."""
        if self.running:
            top = psutil.Process(self.pid)
            _signal(top, signal.SIGSTOP)
            while _alive(top) and top.status() != psutil.STATUS_STOPPED:
                time.sleep(_POLL_S)

    def _guard_process(self, pid: int | None) -> None:
        """Have this process (None: none) killed and a temporary folder removed when our own process has died."""
        self._end_guard()
        folder = self._folder if self._temporary else None
        if pid is not None or folder is not None:
            self._guard = Guard(pid, folder)

    def _end_guard(self) -> None:
        if self._guard is not None:
            self._guard.end()
            self._guard = None

    def story(self, what: str) -> str:
        """A sentence about this engine, followed by the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-_STORY_LINES:]
        return "\n".join([f"{self.name} {what}; the end of its log ({self.log}):", *lines])


def run_program(
    command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, user: str | None = None
) -> str:
    """Run a program that comes with an engine and return what it printed; raises ProgramFailed with its complaint."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PROGRAM_DEADLINE_S,
        env={**ENVIRONMENT, **(environment or {})},
        cwd="/",  # the caller's folder may be shut to the user
        check=False,
        **_identity(user),
    )
    if done.returncode:
        raise ProgramFailed(f"{Path(command[0]).name}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class _Identity(TypedDict):
    user: str | None
    group: int | None
    extra_groups: list[int] | None


def _identity(user: str | None) -> _Identity:
    if user is None:
        return _Identity(user=None, group=None, extra_groups=None)
    return _Identity(user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[])


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE  # whose new parent is slow to notice
    except psutil.NoSuchProcess:
        return False
