"""Runs a page's commands as a reader would: one shell after another, that keeps its variables and functions."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.docs.pages import Step, steps_of

_BIN = Path(sys.executable).parent
_PATIENCE_S = 60.0
_LOOK_S = 0.1


class Shell:
    """A reader's terminal in a folder of its own."""

    def __init__(self, folder: Path, variables: Mapping[str, str], replace: Mapping[str, str] | None = None) -> None:
        """`replace` are words of the page that mean something else here, such as its ports."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._state = folder / ".state"
        self._replace = dict(replace or {})
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BELLHOUSE_")},
            "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
            "COLUMNS": "160",
            **variables,
        }
        self._terminals: list[subprocess.Popen[bytes]] = []

    def walk(self, page: Path) -> None:
        """Run a whole page, and compare what it shows."""
        steps = steps_of(page)
        assert steps, f"{page} has no commands"
        for step in steps:
            self.run(step)

    def run(self, step: Step) -> None:
        """Run one block; fails where the commands fail, or do not say what the page shows."""
        if "terminal" in step.commands.words:
            self._open(step)
            return
        refused = "refused" in step.commands.words
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            done = self._once(step.commands.text)
            right = (done.returncode != 0) == refused and (step.shown is None or shows(done.stdout, step.shown.text))
            if right:
                return
            if "retry" not in step.commands.words or time.monotonic() > deadline:
                wanted = "" if step.shown is None else f"\n--- the page shows\n{step.shown.text}"
                raise AssertionError(f"{step.commands}: status {done.returncode}\n{done.stdout}{wanted}")
            time.sleep(_LOOK_S)

    def _once(self, text: str) -> "subprocess.CompletedProcess[str]":
        script = f"set -aeuo pipefail\n[ ! -f {self._state} ] || . {self._state}\n{self._here(text)}\n"
        script += f"{{ export -p; declare -f; }} > {self._state}\n"
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    def _open(self, step: Step) -> None:
        """Start what stays running, and wait until it says what the page shows."""
        log = self._folder / f"terminal-{len(self._terminals)}.log"
        with log.open("wb") as output:
            command = ["bash", "-c", f"exec {self._here(step.commands.text).strip()}"]
            self._terminals.append(
                subprocess.Popen(
                    command,
                    cwd=self._folder,
                    env={**self._environment, "PYTHONUNBUFFERED": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )
        assert step.shown is not None, f"{step.commands}: what runs on must say when it is ready"
        deadline = time.monotonic() + _PATIENCE_S
        while not shows(log.read_text(), self._here(step.shown.text)):
            assert self._terminals[-1].poll() is None, f"{step.commands} ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{step.commands}:\n{log.read_text()}"
            time.sleep(_LOOK_S)

    def _here(self, text: str) -> str:
        for word, meant in self._replace.items():
            text = text.replace(word, meant)
        return text

    def close(self) -> None:
        """End what runs on, the last first."""
        for terminal in reversed(self._terminals):
            terminal.terminate()
            try:
                terminal.wait(30)
            except subprocess.TimeoutExpired:
                terminal.kill()
                terminal.wait()


def shows(output: str, page: str) -> bool:
    """Whether the output has the page's lines in their order; `…` stands for anything, blanks count as one."""
    lines = [line for line in page.splitlines() if line.strip() and line.strip() != "…"]
    pattern = r"[\s\S]*?".join(_pattern(line) for line in lines)
    return re.search(pattern, output) is not None


def _pattern(line: str) -> str:
    parts = [re.escape(part).replace(r"\ ", " ") for part in line.strip().split("…")]
    return ".*".join(re.sub(" +", " +", part) for part in parts)
