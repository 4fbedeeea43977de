"""A whole platform and its outside world as real processes, for tests to use, disturb and kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from bellhouse.simulator.client import SimulatorClient
from tests.acceptance.client import Client
from tests.acceptance.waiting import wait_until

PROVIDERS = ("fcm", "sendgrid", "smtp", "twilio", "vonage")

QUICK = """
drain_timeout_s = 10
[retry]
base_ms = 40
cap_ms = 200
[breaker]
open_ms = 700
[limits]
recipient_per_minute = 100_000
[logs]
sampling = "off"
"""
"""Settings under which what takes minutes in the field takes a second here."""

_START_S = 30.0


class World:
    """A running simulator."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = (sys.executable, "-P", "-m", "bellhouse.simulator", "--port", "0", "--seed", str(seed))
        self._log = (folder / "simulator.log").open("ab")
        self.process = subprocess.Popen(
            [*command, "--dir", str(folder)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log
        )
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]
        self.api = SimulatorClient(self.url)
        self._since = 0

    def dial(self, provider: str, **dials: object) -> None:
        """Turn some dials of a provider."""
        self.api.put_dials(provider, **dials)

    def fresh(self) -> None:
        """As if it had just begun: for a house of its own, which no callback of another one's messages shall meet."""
        self.api.reset()
        self._since = 0

    def calm(self) -> None:
        """Every dial at its default; receipts before this moment are no longer shown."""
        for provider, dials in self.api.dials().items():
            self.api.put_dials(provider, **dict.fromkeys(dials))
        self._since = self.api.summary()["last"]

    def receipts(self, provider: str | None = None) -> list[dict[str, Any]]:
        """What was answered since the last `calm`, oldest first."""
        return [one for one in self.api.receipts(self._since) if provider in (None, one["provider"])]

    def calls_for(self, notification: str) -> list[tuple[str, str]]:
        """Provider and verdict of every call for a notification, in order."""
        return [(one["provider"], one["verdict"]) for one in self.receipts() if one["notification_id"] == notification]

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


class House:
    """`bellhouse serve` on a folder of its own."""

    def __init__(
        self,
        folder: Path,
        world: World | None,
        processes: int = 2,
        settings: str = QUICK,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data = folder
        self.world = world
        self.processes = processes
        self.environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "bellhouse.toml").write_text(settings, encoding="utf-8")

    # --- life ---

    def begin(self, arguments: Sequence[str] = (), port: int = 0, **popen: Any) -> "subprocess.Popen[bytes]":
        """Start `serve` without waiting for it; a restart keeps its port, so that callbacks find it again."""
        command = [sys.executable, "-P", "-m", "bellhouse", "serve", "--data", str(self.data), "--json"]
        command += ["--port", str(port), "--processes", str(self.processes), *arguments]
        if self.world is not None:
            command += ["--simulator", self.world.url]
        with (self.data.parent / f"{self.data.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                env=self.environment,
                **popen,
            )
        return self.process

    def start(self, arguments: Sequence[str] = (), **popen: Any) -> "House":
        """Start and wait until it is ready on the wire."""
        port = int(self.url.rsplit(":", 1)[1]) if self.url else 0
        process = self.begin(arguments, port, **popen)
        wait_until(lambda: self._ready(process), _START_S, self.said)
        if self.world is not None:
            self.world.api.set_account(self.url)
        return self

    def _ready(self, process: "subprocess.Popen[bytes]") -> bool:
        assert process.poll() is None, f"serve ended with {process.returncode}: {self.said()}"
        running = self._run_file()
        if running.get("pid") != process.pid:
            return False
        self.url = running["url"]
        try:
            return Client(self.url, None, 5.0).ask("GET", "/readyz").status == 200
        except OSError:
            return False

    def stop(self, within_s: float = 25.0) -> int:
        """SIGTERM, and its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def end(self) -> None:
        """End everything of it, in whatever state it is."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        for role in ("api", "bulk"):
            pid = self.lock_holder(role)
            if pid:
                _kill(pid)

    def said(self) -> str:
        """The end of what it wrote."""
        return (self.data.parent / f"{self.data.name}.log").read_text(errors="replace")[-3_000:]

    def __enter__(self) -> "House":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.end()

    # --- processes ---

    def _run_file(self) -> dict[str, Any]:
        try:
            running: dict[str, Any] = json.loads((self.data / "run" / "api.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return running

    def roles(self) -> Mapping[str, int]:
        """The process ids of the roles that are ready."""
        roles: dict[str, int] = self._run_file().get("roles", {})
        return roles

    def lock_holder(self, role: str) -> int:
        """The living process that has written itself into a role's lock; 0 where there is none."""
        try:
            pid = int((self.data / f"lock.{role}").read_text() or 0)
            return pid if pid and "bellhouse" in Path(f"/proc/{pid}/cmdline").read_text() else 0
        except (OSError, ValueError):
            return 0

    def pid_of(self, role: str) -> int:
        """The process that plays a role, or plays all of them; waits until there is one."""
        return wait_until(lambda: self.roles().get(role) or self.roles().get("all", 0), _START_S, self.said)

    def kill(self, role: str) -> int:
        """`kill -9` a role's process, or the supervisor; answers its id."""
        assert self.process is not None
        pid = self.process.pid if role == "supervisor" else self.pid_of(role)
        os.kill(pid, signal.SIGKILL)
        if role == "supervisor":
            self.process.wait()
        return pid

    def in_flight(self) -> int:
        """How many deliveries are being sent, by the store's own count."""
        database = str(self.data / "bellhouse.db")
        with closing(apsw.Connection(database, flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            rows = connection.execute("SELECT sum(count) FROM ledger WHERE level = 'delivery' AND state = 'in_flight'")
            return int(rows.fetchall()[0][0] or 0)

    # --- the API ---

    @property
    def key(self) -> str:
        """The development key."""
        return (self.data / "development.key").read_text().strip()

    def client(self, key: str | None = None) -> Client:
        """A caller of the API, with the development key unless told otherwise."""
        return Client(self.url, key or self.key)

    def cli(self, *arguments: str, status: int = 0, data: Path | None = None, **popen: Any) -> str:
        """Run a command on this house; answers what it printed, and insists on its exit status."""
        command = [sys.executable, "-P", "-m", "bellhouse", *arguments, "--data", str(data or self.data)]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, **popen
        )
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if status == 0 or "--json" in arguments else done.stdout + done.stderr

    def cli_json(self, *arguments: str, status: int = 0) -> Any:
        """The same with `--json`, parsed."""
        return json.loads(self.cli(*arguments, "--json", status=status))

    def force(self, provider: str, act: str) -> None:
        """Open, close or reset a provider's breaker; returns when every process heeds it."""
        self.client().post(f"/v1/breakers/{provider}/{act}")  # its processes read the file itself, at every batch

    def balances(self) -> Any:
        """The ledger, which must balance."""
        ledger = self.client().ledger()
        assert ledger["imbalance"] == 0, [check for check in ledger["checks"] if not check["holds"]]
        return ledger


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def took(act: Callable[[], object]) -> float:
    """Seconds that an act takes."""
    started = time.monotonic()
    act()
    return time.monotonic() - started
