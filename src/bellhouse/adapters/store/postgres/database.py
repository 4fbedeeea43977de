"""One process's connections to PostgreSQL, and what keeps them from reading or writing, in words."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import asyncpg
import msgspec
from asyncpg.connect_utils import SessionAttribute

from bellhouse.ports.store.errors import OutcomeUnknown, StoreUnavailable

Connection = Any
"""An asyncpg connection within a transaction, or one to read on."""
Row = Any
"""A row as asyncpg answers it: a tuple with names."""

_APPLICATION: Final = "bellhouse"

IDLE_IN_TRANSACTION_S: Final = 1.5
"""A process that is paused inside a transaction loses it, well before another may take over what it was doing."""

_UNREACHABLE: Final = (
    "unreachable",
    "check that PostgreSQL runs and store.url is right; service resumes by itself",
)
_NO_CONNECTION: Final = (
    "busy",
    "no connection came free in time: PostgreSQL does not answer, or raise store.pool; service resumes by itself",
)
_READ_ONLY: Final = ("read_only", "store.url must lead to the primary: name all hosts in it")
_UNAVAILABLE: Final[tuple[tuple[type[BaseException], str, str], ...]] = (
    (asyncpg.DiskFullError, "disk_full", "free space on PostgreSQL's volume; service resumes by itself"),
    (asyncpg.ReadOnlySQLTransactionError, *_READ_ONLY),
    (asyncpg.TargetServerAttributeNotMatched, *_READ_ONLY),
    (asyncpg.TooManyConnectionsError, "busy", "raise max_connections of PostgreSQL, or lower store.pool"),
    (
        asyncpg.InsufficientResourcesError,
        "busy",
        "PostgreSQL is out of memory or connections; service resumes by itself",
    ),
    (asyncpg.DeadlockDetectedError, "busy", "try again"),
    (asyncpg.SerializationError, "busy", "try again"),
    (asyncpg.LockNotAvailableError, "busy", "try again"),
    (
        asyncpg.QueryCanceledError,
        "timeout",
        "PostgreSQL took longer than store.statement_timeout_s; service resumes by itself",
    ),
    (asyncpg.InvalidAuthorizationSpecificationError, "refused", "check the user and password of store.url"),
    (asyncpg.InvalidCatalogNameError, "no_database", "create the database that store.url names"),
    (asyncpg.UndefinedTableError, "no_schema", "run `bellhouse migrate`"),
    (asyncpg.IdleInTransactionSessionTimeoutError, *_UNREACHABLE),
    (asyncpg.PostgresConnectionError, *_UNREACHABLE),
    (asyncpg.OperatorInterventionError, *_UNREACHABLE),
    (asyncpg.CannotConnectNowError, *_UNREACHABLE),
    (asyncpg.InterfaceError, *_UNREACHABLE),
    (asyncpg.InternalClientError, *_UNREACHABLE),
    (TimeoutError, "timeout", "PostgreSQL does not answer in time; service resumes by itself"),
    (OSError, *_UNREACHABLE),
)

_UNANSWERED: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    TimeoutError,
    OSError,
)
"""What says nothing of the commit that it was the answer to. Of every other error PostgreSQL has undone all."""


class PostgresConfig(msgspec.Struct, frozen=True):
    """How to reach the store."""

    url: str
    """`postgresql://user@host:5432/db`; several hosts by commas: the one that is the primary is taken."""
    pool: int = 10
    """The most connections of one pool."""
    password: str | None = None
    tls: str = "disable"
    """`disable`, `require` (sealed, with anybody), `verify-full` (sealed, with the host of that name)."""
    ca_pem: str | None = None
    commit_timeout_s: float = 10.0
    """After this the commit of a transaction counts as unanswered; a connection is waited for as long."""
    statement_timeout_s: float = 30.0


def session_name(process: str) -> str:
    """The `application_name` of a process's sessions: so others can tell whose they are when it stands still."""
    return f"{_APPLICATION} {process}".rstrip()


class Database:
    """A pool of connections. What stands in the way of PostgreSQL is raised as StoreUnavailable by every method."""

    def __init__(
        self, config: PostgresConfig, ring: Callable[[frozenset[str]], None] = lambda _: None, process: str = ""
    ) -> None:
        """`ring` is the doorbell's: it is told the topics of which something was committed. `process` is this
        process's id among the members, after which its sessions are called."""
        self.config = config
        self._name = session_name(process)
        self.ring = ring
        self._pool: Any = None

    async def open(self) -> None:
        """Make the pool; connections are made when they are needed."""
        config = self.config
        self._pool = await asyncpg.create_pool(
            config.url,
            password=config.password,
            min_size=0,
            max_size=config.pool,
            ssl=_tls(config),
            timeout=config.commit_timeout_s,
            command_timeout=config.statement_timeout_s + 5.0,
            max_inactive_connection_lifetime=60.0,
            statement_cache_size=200,
            reset=_as_it_is,
            target_session_attrs=SessionAttribute.primary,
            server_settings={
                "application_name": self._name,
                "statement_timeout": str(round(config.statement_timeout_s * 1000)),
                "idle_in_transaction_session_timeout": str(round(IDLE_IN_TRANSACTION_S * 1000)),
                "jit": "off",
                # A plan that is made while today's partition is empty is kept, and must not read it whole tomorrow.
                "enable_seqscan": "off",
            },
        )

    async def close(self) -> None:
        """Close all connections. Calling it twice is lawful."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(5.0):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for several reads, each of which sees what is committed at its own moment."""
        with translated():
            async with self._borrowed() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction: durable when the block ends, undone when it raises; but where the commit was not answered
        nobody knows, and OutcomeUnknown is raised. Each statement sees what is committed when it begins (READ
        COMMITTED)."""
        with translated():
            async with self._borrowed() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    yield connection
                except BaseException:
                    await transaction.rollback()
                    raise
                with _unanswered():
                    async with asyncio.timeout(self.config.commit_timeout_s):
                        await transaction.commit()

    async def rows(self, sql: str, *values: Any) -> Sequence[Row]:
        """All rows of one statement."""
        async with self.connection() as connection:
            found: Sequence[Row] = await connection.fetch(sql, *values)
            return found

    async def row(self, sql: str, *values: Any) -> Row | None:
        """The first row of one statement."""
        async with self.connection() as connection:
            return await connection.fetchrow(sql, *values)

    async def value(self, sql: str, *values: Any) -> Any:
        """The first column of the first row; None where there is none."""
        async with self.connection() as connection:
            return await connection.fetchval(sql, *values)

    async def run(self, sql: str, *values: Any) -> int:
        """One statement as a transaction of its own; answers how many rows it touched."""
        async with self.connection() as connection:
            return touched(await connection.execute(sql, *values))

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(self.config.commit_timeout_s):
                connection = await self._pool.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(*_NO_CONNECTION) from error
        try:
            yield connection
        finally:
            await self._pool.release(connection)


async def _as_it_is(_: Connection) -> None:
    """What asyncpg resets besides an open transaction costs two statements a use, and nothing here changes a session:
    what is set is set for a transaction, and what is locked is unlocked by whoever locks it."""


def touched(status: str) -> int:
    """How many rows a statement touched, by its command tag (`INSERT 0 5`, `DELETE 3`)."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def _tls(config: PostgresConfig) -> Any:
    if config.tls == "disable":
        return False
    context = ssl.create_default_context(cadata=config.ca_pem)
    if config.tls == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreUnavailable for what keeps PostgreSQL from reading or writing, in words."""
    try:
        yield
    except StoreUnavailable:
        raise
    except Exception as error:
        words = _words_of(error)
        if words is None:
            raise
        raise StoreUnavailable(*words) from error


@contextmanager
def _unanswered() -> Iterator[None]:
    """Raise OutcomeUnknown for what leaves a commit without an answer."""
    try:
        yield
    except _UNANSWERED as error:
        raise OutcomeUnknown(*(_words_of(error) or _UNREACHABLE)) from error


def _words_of(error: Exception) -> tuple[str, str] | None:
    return next(((reason, remedy) for kind, reason, remedy in _UNAVAILABLE if isinstance(error, kind)), None)
