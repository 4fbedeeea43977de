"""The connections to a Redis or Valkey, alone or a cluster: every failure is quick, and CacheUnavailable."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec
from hiredis import pack_command
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AskError, RedisClusterException, RedisError, ResponseError, TryAgainError

from bellhouse.ports.cache import CacheUnavailable
from bellhouse.ports.clock import Clock

QUIET_S: Final = 1.0
"""For how long after a failure nobody is made to wait for another one."""

T = TypeVar("T")

_FAILURES: Final = (RedisError, RedisClusterException, OSError, TimeoutError)
_ELSEWHERE: Final = (AskError, TryAgainError)
"""A cluster's answers that send the asker to another node; MOVED is one of them."""


class RedisConfig(msgspec.Struct, frozen=True):
    """How a Redis or Valkey is reached."""

    url: str
    """`redis://host:port/db`, or `rediss://` with TLS; of a cluster any node, without a db."""
    cluster: bool = False
    username: str | None = None
    password: str | None = None
    ca_pem: bytes | None = None
    """The certificate authority to trust; without it those of the system."""
    timeout_s: float = 0.5
    """Within which a call is answered, connecting included."""
    prefix: str = ""
    """What every key and subject begins with, so that several can share one Redis."""
    connections: int = 8
    """How many calls may be under way at once; more wait for their turn."""


Word = str | int | float | bytes | memoryview


class Command(msgspec.Struct, frozen=True, gc=False):
    """One command; in a cluster it goes to the node that has `key`, and all of its keys are in that key's slot."""

    key: bytes
    words: tuple[Word, ...]


class RedisLink:
    """What an adapter asks Redis through: batches of commands, and connections to listen on.

    A call that fails is not repeated, since it may have been carried out. After a failure every call is answered
    CacheUnavailable at once for `QUIET_S`; then one goes out to try, and the others follow when it was answered. In a
    cluster one node that does not answer makes all of it unavailable in this sense.
    """

    def __init__(self, config: RedisConfig, clock: Clock) -> None:
        """Opens nothing yet. Raises ValueError where the URL or a number is none."""
        self._config = config
        self._server: _Server = _Cluster(config) if config.cluster else _Standalone(config)
        self._gate = _Gate(clock)
        self._places = asyncio.Semaphore(config.connections)

    @property
    def config(self) -> RedisConfig:
        """How it is reached."""
        return self._config

    def together(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        """The positions of those keys that may be in one command: all, or in a cluster those of each slot."""
        return self._server.together(keys)

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """The answers in order, after one round trip. Raises CacheUnavailable, also where one of them is an error."""
        answers = await self._guarded(lambda: self._run(commands))
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise CacheUnavailable(f"Redis refused: {answer}")
        return answers

    async def place(self, key: bytes) -> str:
        """The name of the node that has `key` now; the same for all where there is no cluster."""
        return await self._guarded(lambda: self._server.place(key))

    async def connect(self, place: str) -> AbstractConnection:
        """A new connection to a node, not one of those that answer `run`. It is the caller's to close."""
        return await self._guarded(lambda: self._server.connect(place))

    async def close(self) -> None:
        """Close all connections but those that others listen on. Calling it twice is lawful."""
        await self._server.close()

    async def _run(self, commands: Sequence[Command]) -> list[Any]:
        async with self._places:
            return await self._server.run(commands)

    async def _guarded(self, ask: Callable[[], Awaitable[T]]) -> T:
        tries = self._gate.enter()
        try:
            async with asyncio.timeout(self._config.timeout_s):
                if tries:
                    await self._server.look_again()
                answer = await ask()
        except _FAILURES as error:
            self._gate.failed()
            raise CacheUnavailable(f"Redis does not answer: {error or type(error).__name__}") from error
        except BaseException:
            self._gate.left()
            raise
        self._gate.answered()
        return answer


class _Gate:
    """Lets calls through, or says no at once: after a failure nobody for a while, then one until it is answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shut = False
        self._until = 0.0
        self._trying = False

    def enter(self) -> bool:
        """Whether this call is the one that tries again. Raises CacheUnavailable where it may not go."""
        if not self._shut:
            return False
        if self._trying or self._clock.monotonic() < self._until:
            raise CacheUnavailable("Redis did not answer a moment ago")
        self._trying = True
        return True

    def answered(self) -> None:
        self._shut = self._trying = False

    def failed(self) -> None:
        self._shut, self._trying = True, False
        self._until = self._clock.monotonic() + QUIET_S

    def left(self) -> None:
        """A call was cancelled, which says nothing: if it was the one that tried, another may."""
        self._trying = False


class _Server(Protocol):
    """One Redis, or a cluster of them."""

    def together(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]: ...

    async def run(self, commands: Sequence[Command]) -> list[Any]: ...

    async def place(self, key: bytes) -> str: ...

    async def connect(self, place: str) -> AbstractConnection: ...

    async def look_again(self) -> None:
        """Forget what may have become untrue while nobody answered."""
        ...

    async def close(self) -> None: ...


class _Standalone:
    """One Redis."""

    def __init__(self, config: RedisConfig) -> None:
        kind, options = _options(config)
        self._pool = ConnectionPool(
            kind, max_connections=config.connections, retry=Retry(NoBackoff(), 0), driver_info=None, **options
        )

    def together(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        return [range(len(keys))]

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        try:
            return await _exchange(connection, commands)
        finally:
            await self._pool.release(connection)

    async def place(self, key: bytes) -> str:  # noqa: ARG002  # there is one only
        return ""

    async def connect(self, place: str) -> AbstractConnection:  # noqa: ARG002  # there is one only
        return await _connected(self._pool.make_connection())  # type: ignore[no-untyped-call]  # redis-py's

    async def look_again(self) -> None:
        return

    async def close(self) -> None:
        await self._pool.disconnect()


class _Cluster:
    """A Redis cluster: the commands of each node go out together, and to all nodes at once."""

    def __init__(self, config: RedisConfig) -> None:
        kind, options = _options(config)
        if options.pop("db"):
            raise ValueError("redis.url: a cluster has no numbered databases; leave out what follows the port")
        self._client = RedisCluster(
            ssl=kind is _TlsConnection,
            max_connections=2 * config.connections,  # a command that is sent on to another node takes one more
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
            **options,
        )
        # It has no parameter for this one; nodes found later are made from the same words.
        self._client.connection_kwargs["connection_class"] = kind
        for node in self._client.startup_nodes:
            node.connection_class = kind

    def together(self, keys: Sequence[bytes]) -> Sequence[Sequence[int]]:
        slots: defaultdict[int, list[int]] = defaultdict(list)
        for index, key in enumerate(keys):
            slots[self._client.keyslot(key)].append(index)
        return list(slots.values())

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        await self._client.initialize()
        parts: defaultdict[ClusterNode, list[int]] = defaultdict(list)
        for index, command in enumerate(commands):
            parts[self._node(command.key)].append(index)
        answers: list[Any] = [None] * len(commands)
        ways = [self._run_at(node, commands, indices, answers) for node, indices in parts.items()]
        for failure in await asyncio.gather(*ways, return_exceptions=True):
            if failure is not None:
                raise failure
        for index, answer in enumerate(answers):
            if isinstance(answer, _ELSEWHERE):
                answers[index] = await self._follow(commands[index])
        return answers

    async def _run_at(
        self, node: ClusterNode, commands: Sequence[Command], indices: Sequence[int], answers: list[Any]
    ) -> None:
        connection = node.acquire_connection()
        try:
            found = await _exchange(connection, [commands[index] for index in indices])
        finally:
            node.release(connection)
        for index, answer in zip(indices, found, strict=True):
            answers[index] = answer

    async def _follow(self, command: Command) -> Any:
        try:
            return await self._client.execute_command(*command.words)
        except ResponseError as error:
            return error

    async def place(self, key: bytes) -> str:
        await self._client.initialize()
        return self._node(key).name

    async def connect(self, place: str) -> AbstractConnection:
        await self._client.initialize()
        node = self._client.get_node(node_name=place)
        if node is None:
            raise RedisClusterException("the node has left the cluster")
        return await _connected(node.connection_class(**node.connection_kwargs))

    def _node(self, key: bytes) -> ClusterNode:
        return self._client.nodes_manager.get_node_from_slot(self._client.keyslot(key))

    async def look_again(self) -> None:
        await self._client.aclose()

    async def close(self) -> None:
        await self._client.aclose()


class _TlsConnection(SSLConnection):
    """One whose end does not outlive it.

    Without waiting redis-py leaves the transport to an exchange of farewells with the other side, which a loop that
    ends meanwhile never finishes: a refused password is such an end.
    """

    async def disconnect(self, *args: Any, **options: Any) -> None:
        writer = self._writer
        try:
            await super().disconnect(*args, **options)
        finally:
            if writer is not None:
                writer.transport.abort()


async def _connected(connection: AbstractConnection) -> AbstractConnection:
    try:
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    except BaseException:
        await connection.disconnect(nowait=True)  # cancelled in the middle, it would stay open and nobody's
        raise
    return connection


async def _exchange(connection: AbstractConnection, commands: Sequence[Command]) -> list[Any]:
    # hiredis declares a tuple of one word
    packed = [pack_command(command.words) for command in commands]  # type: ignore[arg-type]
    await connection.send_packed_command(packed)
    answers: list[Any] = []
    for _ in commands:
        try:
            answers.append(await connection.read_response())
        except ResponseError as error:
            answers.append(error)
    return answers


def _options(config: RedisConfig) -> tuple[type[Connection], dict[str, Any]]:
    """The kind of connection and what redis-py wants to know of it."""
    if not config.url.startswith(("redis://", "rediss://")):
        raise ValueError("redis.url: begin it with redis:// or, for TLS, rediss://")
    if not (config.timeout_s > 0 and config.connections > 0):
        raise ValueError("redis.timeout_s and redis.connections: both are above zero")
    try:
        parts = parse_url(config.url)
    except ValueError as error:
        raise ValueError(f"redis.url: {error}; write it like redis://host:6379/0") from error
    options = {
        "host": parts.get("host", "localhost"),
        "port": parts.get("port", 6379),
        "db": parts.get("db", 0),
        "username": config.username or parts.get("username"),
        "password": config.password or parts.get("password"),
        # A call as a whole has its time (RedisLink); another one for each answer would only cost.
        "socket_timeout": None,
        "socket_connect_timeout": config.timeout_s,
        "protocol": 2,
    }
    if parts.get("connection_class") is not SSLConnection:
        return Connection, options
    if config.ca_pem is not None:
        options["ssl_ca_data"] = config.ca_pem.decode("ascii")
    return _TlsConnection, options
