"""`bellhouse serve` as its user sees it: one command, a key, a working API, and a good end."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 40


@contextmanager
def serving(data: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A running platform with what it announced of itself."""
    command = [sys.executable, "-m", "bellhouse", "serve", "--data", str(data), "--port", "0", "--json", *arguments]
    with (
        (data.parent / "log").open("a") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, (data.parent / "log").read_text()
            yield process, json.loads(line)
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


def get(url: str, key: str | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize(("processes", "roles"), [("2", {"api", "bulk"}), ("1", {"all"})])
def test_one_command_serves_the_api_with_a_key_made_at_the_first_start(tmp_path, processes, roles):
    data = tmp_path / "data"
    with serving(data, "--processes", processes) as (process, started):
        assert set(started["roles"]) == roles
        assert started["providers"]["sms"] == ["log"]
        assert get(f"{started['url']}/readyz")[0] == 200
        assert get(f"{started['url']}/v1/ledger", started["key"])[0] == 200
        assert get(f"{started['url']}/v1/ledger", started["key"][:-1] + "0" * 2)[0] == 401
        assert b"notifications_received_total" in get(f"{started['url']}/metrics")[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
    with serving(data, "--processes", processes) as (_, again):
        assert again["key"] is None
        assert get(f"{again['url']}/v1/ledger", started["key"])[0] == 200


def test_a_killed_api_comes_back_on_the_same_port_and_no_caller_is_refused(tmp_path):
    with serving(tmp_path / "data") as (_, started):
        os.kill(started["roles"]["api"], signal.SIGKILL)
        assert get(f"{started['url']}/healthz")[0] == 200


def test_a_second_serve_on_the_same_folder_is_refused(tmp_path):
    with serving(tmp_path / "data") as (process, _):
        command = [sys.executable, "-m", "bellhouse", "serve", "--data", str(tmp_path / "data"), "--port", "0"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert second.returncode == 1
        assert f"served by process {process.pid}" in second.stderr


def test_unusable_credentials_end_the_start_with_words(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bellhouse.toml").write_text('[providers.fcm]\nenabled = true\nservice_account = "{}"\n')
    command = [sys.executable, "-m", "bellhouse", "serve", "--data", str(tmp_path / "data"), "--port", "0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert refused.returncode == 1
    assert "project_id" in refused.stderr.splitlines()[-1]
