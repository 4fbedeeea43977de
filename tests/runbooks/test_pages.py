"""Every alert has its runbook, and every runbook its five parts."""

import re
from pathlib import Path

import pytest

from bellhouse.monitoring.alerts import ALERTS, SLUGS
from bellhouse.ops.doctor.slugs import FIRST
from tests.docs.pages import blocks_of
from tests.runbooks.pages import FIXTURES, FOLDER, PARTS, RUNBOOKS, SAID, commands_of

PAGES = pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)


def test_every_alert_has_a_page_and_the_doctor_knows_it() -> None:
    pages = {page.stem for page in RUNBOOKS}
    assert pages == set(SLUGS)
    assert pages == set(FIRST)


@PAGES
def test_a_page_has_the_five_parts_in_their_order(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# {page.stem}"
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == PARTS
    parts = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(part.strip() for part in parts)


@PAGES
def test_a_page_names_its_alerts(page: Path) -> None:
    named = page.read_text(encoding="utf-8").split("## Impact")[0]
    for alert in ALERTS:
        if alert.slug == page.stem:
            assert re.sub(r"^(SloBurn).*", r"\1", alert.name) in named


@PAGES
def test_the_first_command_of_a_page_is_its_diagnosis(page: Path) -> None:
    _, first = commands_of(page, "run")[0]
    assert first == f"bellhouse doctor {page.stem}"


@PAGES
def test_a_block_says_how_it_is_tested(page: Path) -> None:
    """In its line of introduction or, where it is told afterwards, in the one behind it."""
    text = page.read_text(encoding="utf-8").splitlines()
    for block in blocks_of(page):
        assert block.language == "sh", str(block)
        way, *rest = block.words
        assert way == "run" or way in SAID, str(block)
        assert set(rest) <= set(FIXTURES), str(block)
        assert all(FIXTURES[word] in block.text for word in rest), str(block)
        if way != "run":
            end = block.line + block.text.count("\n") + 1
            near = " ".join((*text[max(0, block.line - 6) : block.line - 1], *text[end : end + 4]))
            assert SAID[way] in near, str(block)


def test_the_index_names_every_page_and_every_alert() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [page.stem for page in RUNBOOKS if f"({page.name})" not in index] == []
    names = {re.sub(r"^(SloBurn).*", r"\1", alert.name) for alert in ALERTS}
    assert [name for name in names if f"| {name}" not in index] == []
    assert all(said in index for said in SAID.values())
