"""The reference pages say what the code says."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
_spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
assert _spec is not None
assert _spec.loader is not None
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_reference_page_is_what_the_code_generates(name):
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == generate.PAGES[name](), "run: make docs"


def test_every_setting_and_every_command_has_its_place():
    settings = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    commands = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in settings for name in ("send_rate_limit", "max_attempts", "webhook_public_key"))
    for command in ("serve", "simulator dial", "demo", "keys create", "dlq replay", "breaker open", "ledger", "config"):
        assert f"## `bellhouse {command}`" in commands.replace("###", "##")
