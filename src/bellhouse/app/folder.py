"""The data folder: who may serve it, and the files in it that say where its processes are."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from bellhouse.app.locks import FileLock, Held, holder, take

ROLE_LOCKS: Final = ("api", "bulk")
"""A process that plays both roles takes both."""


class CannotServe(Exception):
    """Why nothing was started, with what to do about it."""


class Running(msgspec.Struct, frozen=True):
    """Where to find what runs on a folder."""

    url: str
    data: str
    pid: int
    """The supervisor's."""
    roles: Mapping[str, int]
    """The process ids of the roles that are ready; one that is being started again is missing."""


def lock_folder(data: Path, patience_s: float, say: Callable[[str], None]) -> FileLock:
    """Make the folder and take it for this process, once the processes of an earlier supervisor have ended.

    `say` tells a person that there is something to wait for. Raises CannotServe: somebody serves the folder, its old
    processes do not end within `patience_s`, or it cannot be written.
    """
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _lock(data)
        try:
            for role in ROLE_LOCKS:
                _await_end(data, role, patience_s, say)
        except BaseException:
            lock.release()
            raise
    except OSError as error:
        raise CannotServe(
            f"{data} cannot be used: {error.strerror}. Give a folder that this user can write: --data DIR"
        ) from None
    return lock


def _lock(data: Path) -> FileLock:
    try:
        return take(data / "lock")
    except Held as held:
        raise CannotServe(
            f"{data} is being served by process {held.pid}. Stop that one first, or give another folder: --data DIR"
        ) from None


def _await_end(data: Path, role: str, patience_s: float, say: Callable[[str], None]) -> None:
    """Wait for a role whose supervisor was killed: it notices, finishes its work and ends."""
    path = data / f"lock.{role}"
    pid = holder(path)
    if pid is None:
        return
    say(f"Process {pid} of an earlier run is finishing its work on {data} ...")
    try:
        take(path, patience_s).release()
    except Held as held:
        raise CannotServe(
            f"Process {held.pid} of an earlier run still works on {data} after {patience_s:.0f} s. "
            f"End it with `kill -9 {held.pid}`: what was accepted is not lost"
        ) from None


def take_role_locks(data: Path, role: str, patience_s: float) -> list[FileLock]:
    """What a role holds as long as it lives, so that no second one works on the same lanes. Raises CannotServe."""
    try:
        return [take(data / f"lock.{name}", patience_s) for name in (ROLE_LOCKS if role == "all" else (role,))]
    except Held as held:
        raise CannotServe(f"role {role} is still played by process {held.pid}") from None


def write_run_files(data: Path, running: Running) -> None:
    """`run/api.json` says where the API is and who serves it; `run/<role>.json` each role's process id."""
    folder = data / "run"
    folder.mkdir(exist_ok=True)
    _write(folder / "api.json", msgspec.to_builtins(running))
    for role, pid in running.roles.items():
        if role != "api":
            _write(folder / f"{role}.json", {"pid": pid})


def read_run_file(data: Path) -> Running | None:
    """What runs on a folder by its own account; None where nothing has its lock."""
    with suppress(OSError, msgspec.MsgspecError):
        running = msgspec.json.decode((data / "run" / "api.json").read_bytes(), type=Running)
        return running if holder(data / "lock") is not None else None
    return None


def forget_run_files(data: Path) -> None:
    """Remove what would point to processes that have ended."""
    with suppress(OSError):
        for path in (data / "run").glob("*.json"):
            path.unlink()


def _write(path: Path, content: object) -> None:
    """Write as a whole: nobody ever reads half a file."""
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
