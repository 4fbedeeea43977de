"""Fetches Apache Kafka's jars by their coordinates into the user's cache folder, once, each vouched for by a hash."""

import hashlib
import importlib.resources
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from bellhouse.engines.cache import cache
from bellhouse.engines.errors import EngineDidNotStart

VERSION = "4.3.0"
# Resolved one after another, the first one's versions win: log4j's own list names an older Kafka client.
_ROOTS = (
    f"org.apache.kafka:kafka_2.13:{VERSION}+org.apache.kafka:kafka-tools:{VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",  # without it the broker logs nothing
)
_LOCK = "kafka_jars.txt"
_DOWNLOADS_AT_ONCE = 8
_TIMEOUT_S = 60
# Kafka Connect and the web server it brings: a third of the jars, and neither the broker nor its tools load them.
_LEFT_OUT = ("org.eclipse.jetty", "org.glassfish.", "io.swagger.", "jakarta.", "javax.")


class _Jar(NamedTuple):
    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


def jars() -> Path:
    """The folder with the jars of Kafka's broker and tools; fetches them when they are not cached yet.

    Raises EngineDidNotStart when they cannot be fetched or are not what was locked.
    """
    # Named after the lock too: another list of jars under the same version is another folder.
    folder = cache() / f"kafka-{VERSION}-{hashlib.sha256(_lock_text().encode()).hexdigest()[:8]}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _fetch(folder)
    return folder


def lock() -> str:
    """The lock file's text for VERSION, resolved anew: what a change of VERSION is followed by."""
    from jgo.env import EnvironmentBuilder  # noqa: PLC0415 - only who fetches needs it
    from jgo.maven import MavenContext  # noqa: PLC0415

    chosen: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        builder = EnvironmentBuilder(MavenContext(repo_cache=Path(folder, "repository")), cache_dir=Path(folder))
        for root in _ROOTS:
            resolved = tomllib.loads((builder.from_endpoint(root).path / "jgo.lock.toml").read_text())
            for jar in resolved["dependencies"]:
                line = f"{jar['groupId']}:{jar['artifactId']}:{jar['version']} {jar['sha256']}\n"
                chosen.setdefault(f"{jar['groupId']}:{jar['artifactId']}", line)
    return "".join(line for name, line in sorted(chosen.items()) if not name.startswith(_LEFT_OUT))


def _fetch(folder: Path) -> None:
    # Two may fetch at once: each into a folder of its own, and the first to finish gives it the name.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as own:
        fetched = Path(own, "jars")
        fetched.mkdir()
        with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
            for jar, path in zip(_locked(), pool.map(lambda jar: _download(jar, Path(own)), _locked()), strict=True):
                shutil.move(path, fetched / jar.file_name)
        try:
            fetched.rename(folder)
        except OSError:
            if not folder.exists():
                raise


def _download(jar: _Jar, folder: Path) -> Path:
    try:
        path = _resolve(jar, folder)
    except ImportError as error:
        raise EngineDidNotStart(
            "Kafka's jars are not here and cannot be fetched: the package jgo is not installed; "
            "`make setup-cluster` installs it and fetches them, or `pip install 'jgo[cli]'`"
        ) from error
    except (OSError, RuntimeError) as error:
        raise EngineDidNotStart(
            f"Kafka's jar {jar.coordinates} could not be fetched from Maven Central ({error}): "
            f"try again with the network up, or copy the folder {cache()} from a machine that has it"
        ) from error
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise EngineDidNotStart(f"Kafka's jar {jar.coordinates} is not the locked one: {found}, not {jar.sha256}")
    return path


def _resolve(jar: _Jar, folder: Path) -> Path:
    from jgo.maven import MavenContext  # noqa: PLC0415 - only who fetches needs it

    group, artifact, version = jar.coordinates.split(":")
    repository = MavenContext(repo_cache=folder / "repository", timeout=_TIMEOUT_S)
    return repository.project(group, artifact).at_version(version).artifact().resolve()


def _locked() -> Iterator[_Jar]:
    for line in _lock_text().splitlines():
        coordinates, sha256 = line.split()
        yield _Jar(coordinates, sha256)


def _lock_text() -> str:
    return importlib.resources.files(__package__).joinpath(_LOCK).read_text()
