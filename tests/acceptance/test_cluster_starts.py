"""A role that cannot start says in one sentence what keeps it, and ends: whoever watches it starts it again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bellhouse.engines.ports import HOST, free_port

DEADLINE_S = 60.0
NOBODY = f"{HOST}:{free_port()}"
"""Where nobody answers."""


def bellhouse(folder: Path, store: str, *arguments: str) -> tuple[int, str]:
    """Run a command against this store and a Kafka that is away; answers its status and its complaint."""
    given = {"BELLHOUSE_STORE__URL": store, "KAFKA_BROKERS": NOBODY, "BELLHOUSE_DATA": str(folder)}
    command = [sys.executable, "-P", "-m", "bellhouse", *arguments, "--json"]
    done = subprocess.run(
        command, env={**os.environ, **given}, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert "Traceback" not in done.stderr
    try:
        return done.returncode, json.loads(done.stdout)["error"]["message"]
    except (ValueError, KeyError):
        return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("play", [("router",), ("worker", "--channel", "push", "--priority", "high")])
def test_without_kafka_a_role_that_reads_says_so_and_ends(
    database_url: str, tmp_path: Path, play: tuple[str, ...]
) -> None:
    assert bellhouse(tmp_path, database_url, "migrate")[0] == 0
    status, complaint = bellhouse(tmp_path, database_url, "run", *play, "--metrics-port", "0")
    assert status == 1
    assert complaint.startswith("The log cannot be used (unreachable)")
    assert NOBODY in complaint


@pytest.mark.parametrize("play", ["api", "relay", "scheduler", "exporter"])
def test_without_its_store_no_role_starts(tmp_path: Path, play: str) -> None:
    status, complaint = bellhouse(tmp_path, f"postgresql://{NOBODY}/bellhouse", "run", play, "--metrics-port", "0")
    assert status == 1
    assert complaint.startswith("The store cannot be used (unreachable)")


def test_before_the_schema_is_there_a_role_names_the_command_that_makes_it(database_url: str, tmp_path: Path) -> None:
    status, complaint = bellhouse(tmp_path, database_url, "run", "relay", "--metrics-port", "0")
    assert status == 1
    assert "bellhouse migrate" in complaint
