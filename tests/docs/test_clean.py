"""Nothing in the repository names the machine it was written on, a registry's host, or how the work was shared out."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import DOCS, PAGES, ROOT

MACHINE = re.compile(r"/(work|root|farm|home/\w+|Users/\w+)/")
HOSTS = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|repo1?\.maven")
WORK = re.compile(r"\bissue #?\d|\bthe brief\b|\bsubagents?\b|\bTODO\b|\bFIXME\b", re.IGNORECASE)
SHARED_OUT = re.compile(r"\b(in|of|by|from) (this|our|an earlier|another) session\b|\bhelper('s)? (wrote|made|owns)\b")

_KINDS = {".py", ".md", ".toml", ".sql", ".txt", ".in", ".sh", ".svg", ".json", ".yml", ".yaml", ".html", ".css"}
_SKIPPED = {"__pycache__", "node_modules", "bellhouse-data", "build", "dist"}


def files(folder: Path = ROOT) -> Iterator[Path]:
    """Every file of ours that a person reads, but for this one, which has to name what it looks for."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _SKIPPED and (not path.name.startswith(".") or path.name == ".ci"):
                yield from files(path)
        elif path != Path(__file__) and (path.suffix in _KINDS or path.name in ("Makefile", "run")):
            yield path


def found(pattern: re.Pattern[str], paths: Iterator[Path]) -> list[str]:
    places = []
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                places.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return places


def test_nothing_names_a_path_of_one_machine() -> None:
    assert found(MACHINE, files()) == []


def test_nothing_names_a_registry_host() -> None:
    assert found(HOSTS, files()) == []


def test_nothing_speaks_of_how_the_work_is_organised() -> None:
    assert found(WORK, files()) == []
    assert found(SHARED_OUT, files()) == []


def test_the_patterns_find_what_they_look_for() -> None:
    assert MACHINE.search("see /root/x")
    assert HOSTS.search("https://pypi.org/simple")
    assert WORK.search("as issue 3 says")
    assert SHARED_OUT.search("of an earlier session")


def test_every_figure_of_a_decision_stands_beside_its_command() -> None:
    """A decision that shows a measured time names what measures it."""
    for page in (DOCS / "adr").glob("[0-9]*.md"):
        text = page.read_text(encoding="utf-8")
        if re.search(r"\d µs|\d ms\b.*\|", text):
            assert re.search(r"`(python|make) [^`]+`", text), page


def test_lines_of_prose_are_not_left_to_run_on() -> None:
    """Written pages keep their prose within 120 columns; tables, links and blocks of code may be longer."""
    for page in PAGES:
        if page.parent == DOCS / "reference" or page.name == "benchmarks.md":
            continue
        fenced = False
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            fenced ^= line.startswith("```")
            assert fenced or len(line) <= 120 or line.startswith(("|", "![")), f"{page.name}:{number}"
