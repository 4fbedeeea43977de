"""What a workload writes, read from SQLite's write-ahead log: frames, bytes, commits and distinct pages.

The log's format is that of https://www.sqlite.org/fileformat2.html, section 4.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = (0x377F0682, 0x377F0683)


@dataclass(frozen=True)
class Written:
    """What a log holds, from its beginning or from an earlier reading on."""

    page_size: int
    frames: int
    commits: int
    distinct_pages: int
    """Pages that were written at least once, however often."""
    dirtied: int
    """The sum over all commits of the distinct pages of each: what group commit saves is not in it."""

    @property
    def bytes(self) -> int:
        return self.frames * (self.page_size + _FRAME.size)


def wal_of(database: Path) -> Path:
    """Where a database's log is."""
    return database.with_name(database.name + "-wal")


def written(wal: Path, skip: int = 0) -> Written:
    """What the log holds behind its first `skip` frames; frames of an earlier generation do not count."""
    with wal.open("rb") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return Written(0, 0, 0, 0, 0)
        magic, _, page_size, _, *salts, _, _ = _HEADER.unpack(head)
        if magic not in _MAGIC:
            raise ValueError(f"{wal} is not a write-ahead log of SQLite")
        return _counted(file.read(), page_size, tuple(salts), skip)


def _counted(data: bytes, page_size: int, salts: tuple[int, ...], skip: int) -> Written:
    step = page_size + _FRAME.size
    frames = commits = dirtied = 0
    pages: Counter[int] = Counter()
    of_commit: set[int] = set()
    for offset in range(skip * step, len(data) - step + 1, step):
        page, size_after_commit, *own_salts, _, _ = _FRAME.unpack_from(data, offset)
        if tuple(own_salts) != salts:
            break
        frames += 1
        pages[page] += 1
        of_commit.add(page)
        if size_after_commit:
            commits += 1
            dirtied += len(of_commit)
            of_commit.clear()
    return Written(page_size, frames, commits, len(pages), dirtied)


@contextmanager
def pinned(database: Path) -> Iterator[None]:
    """While it is open, no checkpoint starts the log anew, so that it holds all that was written meanwhile."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        yield
    finally:
        connection.close()


def stored_bytes(database: Path) -> int:
    """The size of the database's pages in use, without its log and without free pages."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchall()[0][0]
            for name in ("page_count", "freelist_count", "page_size")
        )
    finally:
        connection.close()
    return int((pages - free) * size)
