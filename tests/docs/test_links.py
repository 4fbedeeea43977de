"""Every link inside the repository leads somewhere, and no page leans on another host to be read."""

import html
import re
import unicodedata
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

_LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LOADED = re.compile(r"!\[[^\]]*\]\((https?:[^)]*)\)|<(?:img|script|link)[^>]*https?:")


def links_of(page: Path) -> list[str]:
    """Where a page's links lead, those in its blocks of code apart."""
    return _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    found: set[str] = set()
    for heading in _HEADING.findall(text):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        kept = "".join(c for c in plain if c in " -_" or unicodedata.category(c)[0] in "LN")
        anchor = kept.replace(" ", "-")
        number = 0
        while anchor in found:
            number += 1
            anchor = f"{kept.replace(' ', '-')}-{number}"
        found.add(anchor)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links_of(page):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors_of(file)):
            broken.append(link)
    assert not broken


def test_no_page_loads_anything_from_another_host() -> None:
    for page in PAGES:
        assert not _LOADED.search(_FENCED.sub("", page.read_text(encoding="utf-8"))), page
    for picture in (ROOT / "docs").rglob("*.svg"):
        drawn = picture.read_text(encoding="utf-8")
        assert not re.search(r"(href|src|url)\s*[=(]\s*[\"']?https?:", drawn), picture


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        for link in links_of(page):
            target = link.partition("#")[0]
            if target.endswith(".md") and not re.match(r"[a-z]+:", target):
                waiting.append((page.parent / target).resolve())
    lonely = {page.relative_to(ROOT).as_posix() for page in PAGES if page not in reached}
    assert lonely <= {"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}


def test_the_picture_of_a_run_shows_one_that_balances() -> None:
    drawn = html.unescape((ROOT / "docs" / "images" / "demo.svg").read_text(encoding="utf-8")).replace("\xa0", " ")
    assert "The ledger balances, nothing was lost, and nothing is stuck." in drawn
    assert "imbalance 0." in drawn
