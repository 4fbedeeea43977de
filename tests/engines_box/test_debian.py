"""Programs come from PATH, from the cache, or from Debian's packages; and where none of it will do, words say what."""

import os
import stat
from pathlib import Path

import pytest

from bellhouse.engines import debian
from bellhouse.engines.debian import program, unpacked
from bellhouse.engines.errors import EngineDidNotStart

STALE = "E: Failed to fetch: 404 Not Found"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder of PATH beside those of the system."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}")
    return folder


def script(path: Path, text: str) -> Path:
    """A shell script that may be run."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def package(folder: Path, name: str) -> Path:
    """A package that brings one program of the same name."""
    control = folder / "made" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        f"Package: {name}\nVersion: 1.0\nArchitecture: all\n"
        "Maintainer: Nobody <nobody@example.com>\nDescription: a test\n"
    )
    binary = folder / "made" / "usr" / "bin" / name
    binary.parent.mkdir(parents=True)
    script(binary, "echo from the package")
    made = folder / f"{name}_1.0_all.deb"
    debian._run(["dpkg-deb", "--build", str(folder / "made"), str(made)], folder)
    return made


def test_a_program_on_path_comes_first_by_any_of_its_names(cache: Path, path: Path) -> None:
    mine = script(path / "othername", "true")
    assert program(["firstname", "othername"], "a-package") == mine
    assert not cache.exists()


def test_a_cached_package_is_not_fetched_again(cache: Path, path: Path, tmp_path: Path) -> None:
    archive = package(tmp_path, "ringer")
    script(path / "apt-get", f"cp {archive} .")
    first = program(["ringer"], "ringer")
    script(path / "apt-get", "exit 1")
    assert program(["ringer"], "ringer") == first
    assert first.is_relative_to(cache)
    assert [entry.name for entry in (cache / "bellhouse").iterdir()] == [first.parents[2].name]


def test_stale_or_missing_lists_of_the_system_are_replaced_by_lists_of_our_own(
    cache: Path, path: Path, tmp_path: Path
) -> None:
    archive = package(tmp_path, "ringer")
    log = tmp_path / "calls"
    script(
        path / "apt-get",
        f'echo "$@" >> {log}\n'
        'case "$*" in *update*) exit 0;; '
        f'*Dir::State::lists=*) cp {archive} .;; *) echo "{STALE}" >&2; exit 100;; esac',
    )
    assert program(["ringer"], "ringer").is_file()
    plain, update, again = log.read_text().splitlines()
    assert "Dir::State::lists" not in plain
    assert "Dir::State::lists" in update
    assert "Dir::State::lists" in again


def test_what_cannot_be_fetched_is_told_with_a_remedy(cache: Path, path: Path) -> None:
    script(path / "apt-get", 'echo "E: Temporary failure resolving" >&2; exit 100')
    with pytest.raises(EngineDidNotStart, match=r"ringer could not be fetched .*Temporary failure.*network up"):
        unpacked("ringer")
    assert list((cache / "bellhouse").iterdir()) == []


def test_a_system_without_apt_is_told_to_bring_its_own(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineDidNotStart, match="no apt-get and no dpkg-deb: install ringer by this system's means"):
        program(["ringer"], "ringer")
