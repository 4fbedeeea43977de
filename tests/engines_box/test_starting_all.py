"""`python -m bellhouse.engines` runs all three by hand until it is told to stop, and leaves nothing behind."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from confluent_kafka.admin import AdminClient
from redis import Redis

from tests.monitors import gone, wait_until

COMMAND = [sys.executable, "-m", "bellhouse.engines"]
DEADLINE_S = 60.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the engines make their temporary folders; pytest's own is shut to the account of root's PostgreSQL."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        folder.chmod(0o711)
        yield folder


@contextmanager
def started(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """All three, started by a process of their own, and what it printed."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(folder)}) as process:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())


def left_in(folder: Path) -> list[Path]:
    """What the engines did not remove."""
    return list(folder.iterdir())


async def test_it_prints_where_all_three_answer_and_sigterm_ends_them(folder: Path) -> None:
    with started(folder) as (process, urls):
        children = psutil.Process(process.pid).children(recursive=True)
        connection = await asyncpg.connect(urls["postgres"])
        assert await connection.fetchval("SELECT 7") == 7
        await connection.close()
        admin = AdminClient({"bootstrap.servers": urls["kafka"]})
        assert admin.list_topics(timeout=DEADLINE_S).brokers
        with Redis.from_url(urls["valkey"]) as client:
            assert client.ping()
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    assert all(map(gone, children))
    assert left_in(folder) == []


def test_neither_they_nor_their_folders_outlive_a_killed_starter(folder: Path) -> None:
    with started(folder) as (process, _):
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    wait_until(lambda: all(map(gone, children)) and not left_in(folder))
