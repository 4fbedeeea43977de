"""What exists is named in a page, and what a page names exists."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from bellhouse.app.settings import Loaded, Settings
from bellhouse.app.settings_page import rows
from bellhouse.cli.shell import shell
from bellhouse.observability.catalogue import METRICS
from bellhouse.policy.reasons import REASON_CODES
from bellhouse.web.codes import FIELD_CODES, PROBLEM_CODES
from tests.docs.pages import DOCS, PAGES, ROOT, blocks_of

REFERENCE = DOCS / "reference"


def read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def commands(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    """Every command with its options."""
    yield name, {option for given in command.params for option in given.opts if option.startswith("--")}
    for word, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {word}")


COMMANDS = dict(commands(typer.main.get_command(shell), "bellhouse"))


def test_every_setting_has_a_line_under_its_table() -> None:
    page = read("settings.md")
    tables = {part.partition("\n")[0].strip("[]"): part for part in page.split("\n## ")[1:]}
    top = next(part for heading, part in tables.items() if heading.startswith("At the top"))
    for row in rows(Loaded(Settings(), {}, None)):
        # The tables of the priorities are alike, and one of them is written out.
        table, _, name = re.sub(r"\.lanes\.\w+", ".lanes.critical", row.name).rpartition(".")
        assert f"| `{name}` |" in (tables[table] if table else top), row.name


def test_every_metric_has_a_line() -> None:
    page = read("metrics.md")
    assert [metric.name for metric in METRICS if f"`{metric.name}`" not in page] == []


def test_every_error_code_has_a_line() -> None:
    page = read("errors.md")
    assert [code for code in (*PROBLEM_CODES, *FIELD_CODES) if f"| `{code}` |" not in page] == []


def test_every_reason_has_a_line() -> None:
    page = read("reasons.md")
    assert [code for code in REASON_CODES if f"| `{code}` |" not in page] == []


def test_every_command_and_every_option_has_its_place() -> None:
    page = read("cli.md")
    for command, options in COMMANDS.items():
        assert command == "bellhouse" or f"`{command}`" in page, command
        assert [option for option in options if f"`{option}" not in page] == [], command


def test_every_decision_is_in_the_list_of_decisions() -> None:
    listed = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    for page in (DOCS / "adr").glob("[0-9]*.md"):
        text = page.read_text(encoding="utf-8")
        assert f"({page.name})" in listed
        assert text.splitlines()[0].startswith(f"# {page.name[:4]} ")
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert (text.splitlines()[2].partition(":")[0], headings) == ("Status", ["Context", "Decision", "Consequence"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_no_command_that_does_not_exist(page: Path) -> None:
    for block in blocks_of(page):
        if block.language != "sh":
            continue
        for line in block.text.splitlines():
            for call in re.findall(r"(?:^|[(|;&]\s*|=\$\()\s*bellhouse ([a-z][^|;)]*)", line):
                words = call.split()
                known = [n for n in range(len(words), 0, -1) if " ".join(["bellhouse", *words[:n]]) in COMMANDS]
                assert known, f"{block}: {line}"
                name = " ".join(["bellhouse", *words[: known[0]]])
                used = {word.partition("=")[0] for word in words if word.startswith("--")}
                assert used <= COMMANDS[name], f"{block}: {line}"


def test_a_page_names_no_make_target_that_does_not_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        used = re.findall(r"`make ([a-z-]+)|^\s*make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert {first or second for first, second in used} <= targets, page


def test_a_page_names_no_metric_that_does_not_exist() -> None:
    """Whatever looks like one of our metrics in code quotes must be one."""
    names = {metric.name for metric in METRICS}
    pattern = r"`([a-z_]+_(?:total|seconds|bytes|lag|imbalance|depth))(?:\{[^`]*)?`"
    for page in PAGES:
        found = set(re.findall(pattern, page.read_text(encoding="utf-8")))
        settings = {"body_bytes", "batch_body_bytes", "data_bytes", "header_bytes", "disk_reserve_bytes", "data_depth"}
        assert found <= names | settings, page


def test_a_page_names_no_file_of_the_source_that_does_not_exist() -> None:
    """A path in code quotes is one under the root or under the package; `acme` stands for what the reader adds."""
    pattern = r"`((?:src|tests|docs|benchmarks|examples|[a-z_]+)/[\w/.-]*\w\.(?:py|sql|md))`"
    for page in PAGES:
        for path in re.findall(pattern, page.read_text(encoding="utf-8")):
            if "acme" in path:
                continue
            places = (ROOT / path, ROOT / "src" / path, ROOT / "src" / "bellhouse" / path, page.parent / path)
            assert any(place.exists() for place in places), f"{page}: {path}"


def test_every_environment_variable_in_a_page_is_read_by_the_program() -> None:
    known = {"BELLHOUSE_URL", "BELLHOUSE_KEY", "BELLHOUSE_DATA", "BELLHOUSE_SIMULATOR_URL"}
    known |= {row.environment for row in rows(Loaded(Settings(), {}, None))}
    for page in PAGES:
        used = set(re.findall(r"\bBELLHOUSE_[A-Z][A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")))
        assert used <= known, page


def test_every_json_block_is_json() -> None:
    for page in PAGES:
        for block in blocks_of(page):
            if block.language == "json":
                msgspec.json.decode(block.text)
