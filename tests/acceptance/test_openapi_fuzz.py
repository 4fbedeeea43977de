"""What the OpenAPI document promises, held against a running platform by a fuzzer: no 5xx, nothing undocumented."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.client import Client
from tests.acceptance.house import QUICK, House
from tests.acceptance.people import define

CHECKS = ",".join(
    (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "missing_required_header",
        "unsupported_method",
        "ignored_auth",
    )
)
"""All but the one that wants every body accepted that fits its schema: rules between fields have none."""

CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 413, 415, 422]
"""
"""The fuzzer does not know by itself that a body can also be too large."""

SETTINGS = f"""{QUICK}
[probes]
within_s = 2
"""
"""The fuzzer pauses everything, and then waits for a probe."""

BATCH = "/v1/notifications/batch"
"""Judges each item on its own, so it takes a batch in which every item is faulty."""


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A platform in one process, with the tests' tenant in it."""
    with House(tmp_path_factory.mktemp("fuzz") / "data", None, 1, SETTINGS) as house:
        define(house.client())
        yield house


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(("--exclude-path", BATCH, "--checks", CHECKS), id="all but the batch"),
        pytest.param(
            ("--include-path", BATCH, "--checks", CHECKS.replace("negative_data_rejection,", "")), id="the batch"
        ),
    ],
)
def test_every_answer_is_as_documented(fuzzed: House, tmp_path: Path, chosen: tuple[str, ...]) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    key = fuzzed.client().key
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{fuzzed.url}/openapi.json",
        "--no-color",
        "--seed",
        "1",
    ]
    command += ["-H", f"Authorization: Bearer {key}", "--max-examples", "25", "--generation-database", "none", *chosen]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-1_000:]
    assert "Test cases:" in done.stdout
    assert Client(fuzzed.url, None).ask("GET", "/readyz").status == 200
    assert "Request failed" not in fuzzed.said()
