"""The SQLite file: its connections, its one writer at a time, and its checkpoints."""

import errno
import fcntl
import os
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import apsw

from bellhouse.ports.store.errors import StoreUnavailable

OLDEST_SQLITE: Final = (3, 51, 3)
"""Older ones may corrupt a WAL file that several processes checkpoint (sqlite.org, "the WAL-reset bug")."""

_CACHE_KIB: Final = 32_768

_GIVE_WAY_S: Final = 0.05
"""How long a writer waits at most for the checkpoint that it lets in before it."""

_UNAVAILABLE: Final[tuple[tuple[type[apsw.Error], str, str], ...]] = (
    (apsw.FullError, "disk_full", "free space on the volume of the data directory; service resumes by itself"),
    (apsw.ReadOnlyError, "read_only", "make the data directory and its files writable for this user"),
    (apsw.CantOpenError, "cannot_open", "check that the data directory exists and is writable"),
    (apsw.NotADBError, "not_a_database", "the file is something else: choose another data directory"),
    (apsw.CorruptError, "damaged", "restore the file from a backup; keep this one for a closer look"),
    (apsw.IOError, "io", "check the volume of the data directory; service resumes by itself"),
    (apsw.BusyError, "busy", "try again; if it lasts, another program holds the file open"),
    (apsw.ProtocolError, "busy", "try again; if it lasts, another program holds the file open"),
)

Row = tuple[Any, ...]


class Reads(Protocol):
    """What a statement can be run on: a write transaction, or a reader's snapshot. Answers are SQLite's cursors."""

    def run(self, sql: str, bindings: Any = None) -> Any: ...

    def many(self, sql: str, rows: Any) -> Any: ...


def blobs(values: Iterable[bytes]) -> Any:
    """Bytes as a table for `carray(?)`: one statement for a whole batch, at a fraction of one for each value."""
    return apsw.carray(tuple(values))


def texts(values: Iterable[str]) -> Any:
    """Strings as a table for `carray(?)`."""
    return apsw.carray(tuple(values))


def integers(values: Iterable[int]) -> Any:
    """Integers as a table for `carray(?)`."""
    return apsw.carray(array("q", values), flags=apsw.SQLITE_CARRAY_INT64)


class Transaction:
    """What a write transaction can do; `topics` are rung when it has committed."""

    __slots__ = ("_connection", "topics")

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.topics: set[str] = set()

    def run(self, sql: str, bindings: Any = None) -> Any:
        return self._connection.execute(sql, bindings)

    def many(self, sql: str, rows: Any) -> Any:
        return self._connection.executemany(sql, rows)

    def last_row(self) -> int:
        return self._connection.last_insert_rowid()

    def changes(self) -> int:
        return self._connection.changes()


class Database:
    """One process's access to the file.

    Writers of all processes queue on a file lock taken before `BEGIN IMMEDIATE`: the waiting one is woken, where
    SQLite's own busy handler would sleep and poll (docs/adr/0003).
    """

    def __init__(self, path: Path, ring: Callable[[frozenset[str]], None], checkpoint_pages: int = 4_000) -> None:
        if tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) < OLDEST_SQLITE:
            raise StoreUnavailable("sqlite_too_old", "install apsw with SQLite 3.51.3 or newer")
        self.path = path
        self._ring = ring
        with translated():
            self._lock = os.open(f"{path}-writer", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.connection = self._connect()
            self._checkpointer = _Checkpointer(self._connect(), path, checkpoint_pages)
            self.connection.set_wal_hook(self._checkpointer.noticed)

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), statementcachesize=200)
        connection.set_busy_timeout(5_000)
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    def read_connection(self) -> apsw.Connection:
        """Another connection, for readers on a thread of their own."""
        connection = self._connect()
        connection.execute("PRAGMA query_only = 1")
        return connection

    def rows(self, sql: str, bindings: Any = None) -> list[Row]:
        """All rows of a short read on the event loop's own connection."""
        with translated():
            return self.connection.execute(sql, bindings).fetchall()

    def rows_of_each(self, sql: str, bindings: Any) -> list[Row]:
        """The rows of one statement run for each of the bindings, in their order."""
        with self.snapshot():
            return self.connection.executemany(sql, bindings).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads within the block see one state of the file, and share one read transaction: each on its own would
        look anew whether another process has written, and throw the page cache away if so."""
        if self.connection.in_transaction:
            yield
            return
        with translated():
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                if self.connection.in_transaction:  # an error may have ended it
                    self.connection.execute("COMMIT")

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A write transaction: committed and durable when the block ends, undone when it raises."""
        transaction = Transaction(self.connection)
        with translated():
            self._checkpointer.let_in()
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                try:
                    yield transaction
                    self.connection.execute("COMMIT")
                except BaseException:
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
                    raise
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
        if transaction.topics:
            self._ring(frozenset(transaction.topics))

    def probe(self) -> None:
        """Prove that the file can be written, by writing a row that has no meaning. Raises StoreUnavailable."""
        with self.write() as transaction:
            transaction.run("INSERT OR REPLACE INTO meta VALUES ('probe', 0)")

    def wal_bytes(self) -> int:
        """The size of the write-ahead log's file."""
        try:
            return Path(f"{self.path}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        self._checkpointer.close()
        self.connection.close()
        os.close(self._lock)


class _Checkpointer:
    """Moves the WAL into the file on a thread and a connection of its own.

    A checkpoint stalls whoever runs it (docs/adr/0003); nobody waits for this thread. Under
    an unbroken load a passive checkpoint never catches up with the last frame, and the WAL would grow for ever: so
    a second one, of the few frames that came meanwhile, holds the writers' lock.
    """

    def __init__(self, connection: apsw.Connection, path: Path, pages: int) -> None:
        self._connection = connection
        self._lock = os.open(f"{path}-writer", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pages = pages
        self._wanted = threading.Event()
        self._served = threading.Event()
        self._served.set()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def noticed(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        """SQLite's WAL hook: after each commit, with the number of pages in the WAL."""
        if pages >= self._pages:
            self._wanted.set()
        return apsw.SQLITE_OK

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closing:
                return
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                self._catch_up()
            except apsw.Error:
                # Another process checkpoints right now, or the disk is full; the next commit asks again.
                continue

    def let_in(self) -> None:
        """Called by the writer before it takes the lock: give way to a checkpoint that waits for it.

        The kernel wakes whoever waits for a file lock, but does not hand it over: a writer that never pauses would
        take it again each time, and the WAL would grow.
        """
        if not self._served.is_set():
            self._served.wait(_GIVE_WAY_S)

    def _catch_up(self) -> None:
        self._served.clear()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
        finally:
            self._served.set()

    def close(self) -> None:
        self._closing = True
        self._wanted.set()
        self._thread.join()
        self._connection.close()
        os.close(self._lock)


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreUnavailable for what keeps SQLite from reading or writing, in words."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        for kind, reason, remedy in _UNAVAILABLE:
            if isinstance(error, kind):
                raise StoreUnavailable(reason, remedy) from error
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreUnavailable("read_only", _UNAVAILABLE[1][2]) from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreUnavailable("disk_full", _UNAVAILABLE[0][2]) from error
        raise
