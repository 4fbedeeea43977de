"""Locks on files: who may serve a data folder, and whether the process before has ended."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from bellhouse.adapters.clock import SystemClock

_LOOK_S: Final = 0.02


class Held(Exception):
    """Somebody else holds the lock; `pid` is who, 0 where it is not known."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(f"{path} is held by process {pid}")
        self.pid = pid


class FileLock:
    """An exclusive lock that ends with its process, however that ends; the file holds the owner's pid."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next one in. Calling it twice is lawful."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def take(path: Path, wait_s: float = 0.0) -> FileLock:
    """Take the lock, waiting at most `wait_s` for whoever holds it. Raises Held, or OSError for the file itself."""
    clock = SystemClock()
    deadline = clock.monotonic() + wait_s
    # Not inherited by what we start, so that the lock ends with this process alone.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(descriptor):
            if clock.monotonic() >= deadline:
                raise Held(path, _owner(descriptor))
            clock.pause(_LOOK_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return FileLock(path, descriptor)


def holder(path: Path) -> int | None:
    """Who holds the lock, 0 where it is not known; None where it is free."""
    try:
        take(path).release()
    except Held as held:
        return held.pid
    return None


def _locked(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _owner(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0)
    return int(text) if text.isdigit() else 0
