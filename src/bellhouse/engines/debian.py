"""Fetches programs from Debian's packages into the user's cache folder, once: no root, and nothing is installed.

Packages come by `apt-get download`, which takes only what the distribution's signed lists vouch for.
"""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bellhouse.engines.cache import cache
from bellhouse.engines.errors import EngineDidNotStart, ProgramFailed

_DEADLINE_S = 300.0
_NEEDED = ("apt-get", "dpkg-deb")


def program(names: Sequence[str], package: str) -> Path:
    """The path of a program: the first of its names that PATH has, else the one in this Debian package.

    The package is fetched when it is not cached yet. Raises EngineDidNotStart when it cannot be.
    """
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    binaries = unpacked(package) / "usr" / "bin"
    for name in names:
        if (binaries / name).is_file():
            return binaries / name
    raise EngineDidNotStart(
        f"the package {package} has no program {names[0]}: install {names[0]} so that it is found on PATH"
    )


def unpacked(package: str) -> Path:
    """The folder with a package's files; fetches it when it is not cached yet. Raises EngineDidNotStart."""
    folder = cache() / f"debian-{package}-{platform.machine()}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _fetch(package, folder)
    return folder


def unpacked_around(path: Path) -> Path | None:
    """The folder of the unpacked package that a program is part of; None for one that the system has installed."""
    return next((parent for parent in path.parents if parent.parent == cache()), None)


def _fetch(package: str, folder: Path) -> None:
    lacking = [name for name in _NEEDED if shutil.which(name) is None]
    if lacking:
        raise EngineDidNotStart(
            f"{package} is not here and cannot be fetched, as this system has no {' and no '.join(lacking)}: "
            f"install {package} by this system's means, so that its programs are found on PATH"
        )
    # Two may fetch at once: each into a folder of its own, and the first to finish gives it the name.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as own:
        try:
            archive = _download(package, Path(own))
            _run(["dpkg-deb", "--extract", str(archive), "files"], Path(own))
        except (ProgramFailed, OSError, subprocess.TimeoutExpired) as error:
            raise EngineDidNotStart(
                f"Debian's package {package} could not be fetched ({error}): try again with the network up, copy the "
                f"folder {folder} from a machine that has it, or install {package} so that PATH has its programs"
            ) from error
        try:
            Path(own, "files").rename(folder)
        except OSError:
            if not folder.exists():
                raise


def _download(package: str, folder: Path) -> Path:
    """The package's archive: by the system's own lists or, where those are missing or stale, by fresh ones of ours."""
    try:
        return _downloaded(package, folder, [])
    except ProgramFailed:
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        ours = ["-o", f"Dir::State::lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}"]
        _run(["apt-get", *ours, "update"], folder)
        return _downloaded(package, folder, ours)


def _downloaded(package: str, folder: Path, options: Sequence[str]) -> Path:
    # As the caller: apt's own account may not write into the caller's folders, and says so at length.
    sandbox = ["-o", "APT::Sandbox::User=root"]
    _run(["apt-get", *options, *sandbox, "download", package], folder)
    found = sorted(folder.glob(f"{package}_*.deb"))
    if not found:
        raise ProgramFailed(f"apt-get download {package} left no archive")
    return found[0]


def _run(command: Sequence[str], folder: Path) -> None:
    """Run it in the folder, with the caller's environment: a proxy may be named there. Raises ProgramFailed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    if done.returncode:
        raise ProgramFailed(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
