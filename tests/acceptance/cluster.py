"""A whole platform in the distributed mode, every role in a process of its own, with the same face as a `House`."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bellhouse.engines.ports import free_port
from bellhouse.engines.postgres_tools import sql
from tests.acceptance.client import Client
from tests.acceptance.house import QUICK, House, World
from tests.acceptance.waiting import wait_until

ROLES: Mapping[str, tuple[str, ...]] = {
    "api": ("api",),
    "relay": ("relay",),
    "router": ("router",),
    "critical": ("worker", "--priority", "critical"),
    "push": ("worker", "--channel", "push", "--priority", "high", "--priority", "normal", "--priority", "low"),
    "email": ("worker", "--channel", "email", "--priority", "high", "--priority", "normal", "--priority", "low"),
    "others": (
        "worker",
        *("--channel", "sms", "--channel", "in_app", "--channel", "chat"),
        *("--priority", "high", "--priority", "normal", "--priority", "low"),
    ),
    "scheduler": ("scheduler",),
    "exporter": ("exporter",),
}
"""What each process plays: what is critical, and each channel that many use, has a worker of its own."""

LEASE_S = 3
SESSION_S = 6
"""Kafka's lower bound, as delivered."""

_NUMBERS = itertools.count(1)
_START_S = 90.0
_KEEPER_LOOK_S = 0.02
_AGAIN_S = 0.1
"""After which the keeper starts a process again, as systemd does unless told otherwise."""


class Engines(NamedTuple):
    """Where PostgreSQL's database of the house, Kafka and Valkey are."""

    database: str
    brokers: str
    valkey: str
    critical_brokers: str = ""
    """Those of critical, where it has a Kafka of its own."""


class Kept:
    """One role's process, and those that take its place."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, instance: str) -> None:
        self.name = name
        self._instance = instance
        self._began_at = 0
        self.log = folder / f"{name}.log"
        self.ends: list[int] = []
        """The exit status of each process that has ended."""
        self.expected: list[int] = []
        """Those among them that a test has caused."""
        self.given: dict[str, str] = {}
        """What its environment has besides, from its next start on."""
        self._command = command
        self._said = folder / f"{name}.ready"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a process for it."""
        with self.log.open("ab") as log, self._said.open("wb") as said:
            self._began_at = log.tell()
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=log,
                process_group=0,
                env={**os.environ, "BELLHOUSE_INSTANCE": self._instance, **self.given},
            )

    @property
    def ready(self) -> Mapping[str, Any]:
        """What the process that is there now said when it was ready; empty before."""
        if self.process is None or self.process.poll() is not None:
            return {}
        try:
            said: dict[str, Any] = json.loads(self._said.read_bytes())
        except ValueError:
            return {}
        return said if said.get("pid") == self.process.pid else {}

    def sends_by(self, channel: str) -> bool:
        """Whether it delivers on a channel."""
        named = {word for option, word in itertools.pairwise(self._command) if option == "--channel"}
        return not {"worker", "all"}.isdisjoint(self._command) and (not named or channel in named)

    def breaker_told(self, provider: str, channel: str) -> str:
        """The state of a breaker that the process that is there now told last; closed is told of nothing."""
        with self.log.open("rb") as log:
            log.seek(self._began_at)
            told = [json.loads(line) for line in log if b"Circuit breaker state changed" in line]
        states = [line["new_state"] for line in told if (line["provider"], line["channel"]) == (provider, channel)]
        return str(states[-1]) if states else "closed"

    @property
    def unexpected(self) -> Counter[int]:
        """Exit statuses that no test has caused."""
        return Counter(self.ends) - Counter(self.expected)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if anybody is there."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


class ClusterHouse(House):
    """`bellhouse run`, a process for each role, on engines that are there, and a keeper as systemd or Kubernetes is."""

    def __init__(
        self,
        folder: Path,
        world: World | None,
        engines: Engines,
        prefix: str,
        settings: str = QUICK,
        roles: Mapping[str, tuple[str, ...]] = ROLES,
        named: bool = False,
    ) -> None:
        """`prefix` tells the house's topics, groups and keys from those of others; `settings` begin without a table.

        `named`: whether a process has the name of the one whose place it takes, as in a StatefulSet; its partitions
        wait for it then.
        """
        port = free_port()
        super().__init__(folder, world, 1, f"{_first(port)}{settings}{_tables(engines, prefix)}")
        self.url = f"http://127.0.0.1:{port}"
        self.engines = engines
        self.prefix = prefix
        self._prepared = False
        self._keeping = threading.Event()
        self._keeper: threading.Thread | None = None
        self.kept = {
            name: Kept(name, self._command(play), folder, name if named else "") for name, play in roles.items()
        }

    def _command(self, play: Sequence[str]) -> list[str]:
        command = [sys.executable, "-P", "-m", "bellhouse", "run", *play, "--data", str(self.data), "--json"]
        command += ["--metrics-port", "0"]
        return [*command, "--simulator", self.world.url] if self.world is not None else command

    # --- life ---

    def start(self, arguments: Sequence[str] = (), **popen: Any) -> "ClusterHouse":
        """Start every role and wait until each is ready; the first time as an operator does, with what they need."""
        assert not arguments
        assert not popen
        if not self._prepared:
            self._prepare()
        for kept in self.kept.values():
            kept.start()
        self._keeping.clear()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()
        self.await_all()
        if self.world is not None:
            self.world.api.set_account(self.url)
        return self

    def _prepare(self) -> None:
        self.cli("migrate")
        self.cli("topics", "--create")
        made = self.cli("keys", "create", "--scope", "admin")
        (self.data / "development.key").write_text(made)
        self._prepared = True

    def await_all(self) -> None:
        """Wait until each role's process is ready, and the API answers."""
        wait_until(lambda: self.roles().keys() == self.kept.keys(), _START_S, self.said)
        wait_until(self._answers, _START_S, self.said)

    def _answers(self) -> bool:
        try:
            return Client(self.url, None, 5.0).ask("GET", "/readyz").status == 200
        except OSError:
            return False

    def _keep(self) -> None:
        """Start again what has ended."""
        while not self._keeping.wait(_KEEPER_LOOK_S):
            ended = [kept for kept in self.kept.values() if kept.process and kept.process.poll() is not None]
            if not ended or self._keeping.wait(_AGAIN_S):
                continue
            for kept in ended:
                assert kept.process is not None
                kept.ends.append(kept.process.returncode)
                kept.start()

    def _keep_no_more(self) -> None:
        if self._keeper is not None:
            self._keeping.set()
            self._keeper.join()
            self._keeper = None

    def stop(self, within_s: float = 25.0) -> int:
        """SIGTERM for all at once; answers the highest exit status."""
        self._keep_no_more()
        running = [kept.process for kept in self.kept.values() if kept.process is not None]
        for process in running:
            if process.poll() is None:
                process.terminate()
        return max(process.wait(within_s) for process in running)

    def end(self) -> None:
        """End everything of it, in whatever state it is."""
        for kept in self.kept.values():
            kept.signal(signal.SIGCONT)
        try:
            self.stop(15)
        except subprocess.TimeoutExpired:
            for kept in self.kept.values():
                kept.signal(signal.SIGKILL)
        except ValueError:
            return  # nothing was started

    def said(self) -> str:
        """The end of what each role wrote."""
        missing = sorted(self.kept.keys() - self.roles().keys())
        ends = [f"{kept.log.name}: …{_tail(kept.log)}" for kept in self.kept.values()]
        return f"not ready: {missing}\n" + "\n".join(ends)

    def said_by(self, role: str) -> str:
        """Everything that a role's processes wrote."""
        return self.kept[role].log.read_text(errors="replace")

    # --- processes ---

    def roles(self) -> Mapping[str, int]:
        """The process ids of the roles that are ready."""
        ready = {name: kept.ready for name, kept in self.kept.items()}
        return {name: said["pid"] for name, said in ready.items() if said}

    def pid_of(self, role: str) -> int:
        """The process that plays a role; waits until there is one."""
        return wait_until(lambda: self.roles().get(role, 0), _START_S, self.said)

    def kill(self, role: str) -> int:
        """`kill -9` a role's process; answers its id."""
        pid = self.pid_of(role)
        os.kill(pid, signal.SIGKILL)
        return pid

    def expect_end(self, role: str, status: int) -> None:
        """A test has caused this end of a role's process."""
        self.kept[role].expected.append(status)

    def unexpected_ends(self) -> dict[str, list[int]]:
        """The exit statuses of processes that nobody has ended, by role."""
        return {name: list(extra.elements()) for name, kept in self.kept.items() if (extra := kept.unexpected)}

    def restart(self, role: str, within_s: float) -> int:
        """SIGTERM a role, and see another process play it; answers the exit status of the first."""
        kept = self.kept[role]
        pid, before = self.pid_of(role), len(kept.ends)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: len(kept.ends) > before, within_s, lambda: f"{role} still runs: {self.said()}")
        wait_until(lambda: self.roles().get(role, pid) != pid, _START_S, self.said)
        return kept.ends[before]

    @contextmanager
    def paused(self, role: str) -> Iterator[int]:
        """A role's process stands still."""
        pid = self.pid_of(role)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            os.kill(pid, signal.SIGCONT)

    def in_flight(self) -> int:
        """How many deliveries are being sent, by the database's own count."""
        (counted,) = sql(
            self.engines.database,
            "SELECT coalesce(sum(n), 0) FROM (SELECT count AS n FROM ledger WHERE level = 'delivery' AND state = "
            "'in_flight' UNION ALL SELECT moved FROM ledger_moves WHERE level = 'delivery' AND state = 'in_flight') t",
        )
        return int(counted)

    def force(self, provider: str, act: str) -> None:
        if act == "close":
            # A process tells of changed states only, and one that was closed stays so.
            self.force(provider, "open")
        rows = self.client().post(f"/v1/breakers/{provider}/{act}")["breakers"]
        wait_until(lambda: all(map(self._is_heeded, rows)), what=lambda: f"not heeded: {rows} {self.said()}")

    def _is_heeded(self, breaker: Mapping[str, str]) -> bool:
        """Whether every process that sends by a breaker is in the state that the API has shown for it."""
        provider, channel, state = (breaker[name] for name in ("provider", "channel", "state"))
        sending = [kept for kept in self.kept.values() if kept.sends_by(channel)]
        return all(kept.breaker_told(provider, channel) == state for kept in sending)

    # --- commands ---

    def cli(self, *arguments: str, status: int = 0, data: Path | None = None, **popen: Any) -> str:
        """Run a command on this house; those that ask the API find it by the environment."""
        environment = {**self.environment, "BELLHOUSE_URL": self.url}
        return super().cli(*arguments, status=status, data=data, env=environment, **popen)


@contextmanager
def cluster_engines(request: pytest.FixtureRequest) -> Iterator[tuple[Engines, str]]:
    """The run's engines with a new database, and a prefix that nobody has on them."""
    postgres, kafka, valkey = (request.getfixturevalue(name) for name in ("postgres", "kafka", "valkey"))
    name = f"house_{os.getpid()}_{next(_NUMBERS)}"
    yield Engines(postgres.create(name), kafka.brokers, valkey.url), f"{name}."
    postgres.drop(name)


def _first(port: int) -> str:
    """What stands before the tables. Workers tell providers where to call back, so all know the API's port."""
    return f"""
lease_s = {LEASE_S}
secret = "of-all-hosts-of-the-acceptance-tests-0123456789"
port = {port}
"""


def _tables(engines: Engines, prefix: str) -> str:
    own = f'[kafka.lanes.critical]\nbrokers = ["{engines.critical_brokers}"]\n' if engines.critical_brokers else ""
    return f"""
[store]
url = "{engines.database}"
pool = 5
[kafka]
brokers = ["{engines.brokers}"]
topic_prefix = "{prefix}"
partitions = 2
replication = 1
session_timeout_s = {SESSION_S}
[redis]
url = "{engines.valkey}"
prefix = "{prefix}"
{own}"""


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-800:] if path.exists() else ""
