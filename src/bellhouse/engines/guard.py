"""Sees to it that nothing of a program stays when whoever started it has been killed: no process, no folder."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

_ENVIRONMENT = {"PATH": os.defpath}
# Waits until its input ends: then its starter has died without a word. What the processes' own children still write on
# their way out may hinder the removal of a folder for a moment.
_SCRIPT = """
read _
[ -z "$1" ] || { kill -CONT "$1"; kill -KILL "$1"; }
[ -z "$2" ] || for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$2" && break; sleep 1; done
"""


class Guard:
    """A process beside ours that outlives it for a moment, and ends with `end` otherwise."""

    def __init__(self, pid: int | None = None, folder: Path | None = None) -> None:
        """When we have died it kills this process, and removes this folder."""
        command = ["sh", "-c", _SCRIPT, "sh", str(pid or ""), str(folder or "")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_ENVIRONMENT, start_new_session=True
        )

    def end(self) -> None:
        """Stand guard no more; lawful twice."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()


@contextmanager
def temporary_folder(prefix: str) -> Iterator[str]:
    """A folder that is removed at the end, and also when we are killed before it."""
    folder = tempfile.mkdtemp(prefix=prefix)
    with Guard(folder=Path(folder)):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
