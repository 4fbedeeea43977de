"""Every example runs, and says what it promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.docs.pages import ROOT

EXAMPLES = ROOT / "examples"

SAYS = {
    "send_one.py": ["accepted and durable: "],
    "send_batch.py": [
        "ada: accepted, ",
        "grace: accepted",
        "nobody: refused, notifications[2].user_id: unknown_recipient",
        "radia: accepted",
    ],
    "read_story.py": ["example_shipped for example-grace: planned", "  push: ", " fcm: accepted (200)", "  email: "],
    "handle_repeat.py": [
        "asked twice, sent once: True",
        "the same key for something else: idempotency_key_reused",
    ],
    "inbox.py": ["unread On its way: Order A-1600 has left our house.", "unread now: 0"],
    "send.sh": ['"name":"example_code"', '{"id":"'],
}


def run(name: str, house: House, folder: Path) -> str:
    """What an example prints."""
    command = [sys.executable, str(EXAMPLES / name)] if name.endswith(".py") else ["sh", str(EXAMPLES / name)]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "BELLHOUSE_URL": house.url, "BELLHOUSE_KEY": house.key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs(name: str, calm_house: House, tmp_path: Path) -> None:
    output = run(name, calm_house, tmp_path)
    at = 0
    for words in SAYS[name]:
        found = output.find(words, at)
        assert found >= 0, f"{words!r} is not said, or not in its place:\n{output}"
        at = found + len(words)


def test_every_example_is_run_and_listed() -> None:
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh")}
    assert files == {*SAYS, "client.py"}
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"[{name}]({name})" in listed for name in files)


def test_examples_need_nothing_but_the_standard_library() -> None:
    for path in EXAMPLES.glob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(("import ", "from ")):
                module = line.split()[1].split(".")[0]
                assert module == "client" or module in sys.stdlib_module_names, f"{path.name}: {line}"
