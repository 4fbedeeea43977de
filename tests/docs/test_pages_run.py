"""Every command that a page shows does what the page says."""

from pathlib import Path

import pytest

from bellhouse.engines.ports import free_port, free_ports
from tests.acceptance.house import House
from tests.docs.pages import DOCS, ROOT, blocks_of, steps_of
from tests.docs.shell import Shell, shows

HOWTOS = sorted(page for page in (DOCS / "howto").glob("*.md") if steps_of(page))


def test_the_tutorial_works_from_the_first_line_to_the_last(tmp_path: Path) -> None:
    world, api = free_ports(7), free_port()
    shell = Shell(tmp_path, {"BELLHOUSE_DATA": "bellhouse-data"}, {"9100": str(world), "8080": str(api)})
    try:
        shell.walk(DOCS / "tutorial.md")
    finally:
        shell.close()


@pytest.mark.parametrize("page", HOWTOS, ids=lambda page: page.stem)
def test_a_how_to_works(page: Path, calm_house: House, tmp_path: Path) -> None:
    assert calm_house.world is not None
    shell = Shell(
        tmp_path,
        {
            "BELLHOUSE_URL": calm_house.url,
            "BELLHOUSE_KEY": calm_house.key,
            "BELLHOUSE_DATA": str(calm_house.data),
            "BELLHOUSE_SIMULATOR_URL": calm_house.world.url,
            "EXAMPLES": str(ROOT / "examples"),
        },
    )
    try:
        shell.walk(page)
    finally:
        shell.close()


def test_the_readme_s_own_commands_work(calm_house: House, tmp_path: Path) -> None:
    shell = Shell(
        tmp_path,
        {"BELLHOUSE_URL": calm_house.url, "BELLHOUSE_KEY": calm_house.key, "BELLHOUSE_DATA": str(calm_house.data)},
    )
    steps = steps_of(ROOT / "README.md")
    assert steps
    for step in steps:
        shell.run(step)


def test_what_a_page_shows_is_compared_line_by_line() -> None:
    assert shows("a  b 12\nnoise\nc\n", "a b …\n\nc\n")
    assert not shows("c\na b\n", "a b\nc\n")
    assert not shows("a b\n", "a c\n")


def test_no_page_marks_a_block_with_a_word_that_nobody_reads() -> None:
    for page in (*DOCS.rglob("*.md"), ROOT / "README.md"):
        if page.parent.name == "runbooks":
            continue  # they have words of their own, which tests/runbooks reads
        for block in blocks_of(page):
            assert set(block.words) <= {"terminal", "retry", "refused", "apart"}, str(block)
