"""Writes the reference pages that are made from the code: `python docs/generate.py`, or `--check` to compare only."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import typer
from typer.cli import get_docs_for_click

import page_api
import page_architecture
import page_simulator
import page_words
from bellhouse.app import default_file, settings_page
from bellhouse.cli.shell import shell
from bellhouse.monitoring import alerts_page, routing, rules, scraping
from bellhouse.observability import catalogue
from bellhouse.web.codes import FIELDS, PROBLEMS

REFERENCE: Final = Path(__file__).resolve().parent / "reference"

_CLI: Final = """\
# The command line

Made from the code by `make docs`. Every command takes `--json` where it prints an answer, and then prints one JSON
object, also for a failure. Exit status: 0 done, 1 failed or unbalanced, 2 asked wrongly.

Commands that need a server find it by `--url` or `BELLHOUSE_URL`, or by the data folder (`--data`, `BELLHOUSE_DATA`)
on which one runs on this machine; the key is `--key` or `BELLHOUSE_KEY`, or the development key of the data folder.
`keys`, `ledger` and `migrate` also work on the folder itself while nothing runs.

"""

_ERRORS: Final = """\
# Errors

Made from the code by `make docs`. Every error answer is problem details (RFC 9457, `application/problem+json`): `type`,
`title`, `status`, `detail`, and ours: `code`, `remedy`, and `errors` with `field`, `code` and `message` of each fault.

## Problems

| code | status | what it means | what to do |
| --- | --- | --- | --- |
"""


def cli() -> str:
    """The page of every command."""
    command = typer.main.get_command(shell)
    context = typer.Context(command, info_name="bellhouse")
    text = get_docs_for_click(obj=command, ctx=context, name="bellhouse")
    _, _, body = text.partition("\n")
    return _CLI + "\n".join(line.rstrip() for line in body.strip().splitlines()) + "\n"


def errors() -> str:
    """The page of every error code."""
    return _ERRORS + "\n".join(_error_lines()) + "\n"


def _error_lines() -> Iterator[str]:
    for problem, meaning in PROBLEMS.items():
        yield f"| `{problem}` | {meaning.status} | {meaning.title}. | {meaning.remedy} |"
    yield from ("", "## Faulty fields", "", "| code | what is wrong |", "| --- | --- |")
    for field, text in FIELDS.items():
        yield f"| `{field}` | {text} |"


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "settings.md": settings_page.reference,
    "cli.md": cli,
    "metrics.md": catalogue.page,
    "errors.md": errors,
    "api.md": page_api.page,
    "states.md": page_words.states,
    "reasons.md": page_words.reasons,
    "simulator.md": page_simulator.page,
    "alerts.md": alerts_page.page,
    "../architecture.md": page_architecture.page,
    "../../src/bellhouse/app/bellhouse.default.toml": default_file.text,
    "../../deploy/monitoring/prometheus/bellhouse.rules.yml": rules.rule_file,
    "../../deploy/monitoring/prometheus/prometheus.yml": scraping.prometheus_file,
    "../../deploy/monitoring/prometheus/prometheus-distributed.yml": lambda: scraping.prometheus_file("distributed"),
    "../../deploy/monitoring/alertmanager/alertmanager.yml": routing.alertmanager_file,
}


def main() -> int:
    """Write every page that differs; with `--check`, only name those and answer 1."""
    stale = [name for name, make in PAGES.items() if _kept(name) != make()]
    for name in stale:
        print(f"docs/reference/{name} is not what the code says" if "--check" in sys.argv else f"docs/reference/{name}")
    if "--check" in sys.argv:
        return 1 if stale else 0
    for name in stale:
        (REFERENCE / name).parent.mkdir(parents=True, exist_ok=True)
        (REFERENCE / name).write_text(PAGES[name](), encoding="utf-8")
    return 0


def _kept(name: str) -> str:
    path = REFERENCE / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
