"""What a data folder says of its own move to a cluster, so that it is not served beside it."""

import os
from pathlib import Path
from typing import Final

import msgspec

from bellhouse.app.folder import CannotServe

NAME: Final = "moved.json"


class Mark(msgspec.Struct, frozen=True):
    """The file `moved.json` of a folder that is moved, or is being moved."""

    move: int
    """The move's number, which the target knows."""
    to: str
    """Where to, without a password."""
    at: int
    """When it began (ms since the epoch)."""
    complete: bool = False
    report: msgspec.Raw = msgspec.Raw(b"null")
    """The account of a complete move."""


def new_mark(to: str, now: int) -> Mark:
    """The mark of a move that begins."""
    return Mark(int.from_bytes(os.urandom(6)) + 1, to, now)


def read_mark(folder: Path) -> Mark | None:
    """The folder's mark; None where it has not been moved. Raises CannotServe for one that cannot be read."""
    path = folder / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise CannotServe(f"{path} cannot be read: {error}. Restore it, or delete it") from None


def write_mark(folder: Path, mark: Mark) -> None:
    """Write the mark as a whole, durably."""
    partial = folder / f".{NAME}.{os.getpid()}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, msgspec.json.format(msgspec.json.encode(mark)) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(folder / NAME)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def refuse_where_moved(folder: Path) -> None:
    """Raise CannotServe for a folder that lives elsewhere by now: what waits in it would be sent twice."""
    mark = read_mark(folder)
    if mark is None:
        return
    if mark.complete:
        raise CannotServe(
            f"{folder} has been moved to {mark.to}. Run the roles there: `bellhouse run all`. To serve the folder all "
            f"the same, delete {folder / NAME}: what waited when it was moved is then sent from both"
        )
    raise CannotServe(
        f"{folder} is being moved to {mark.to}, and the move has not ended. Go on with `bellhouse move`; or drop that "
        f"database, delete {folder / NAME}, and serve the folder again"
    )
