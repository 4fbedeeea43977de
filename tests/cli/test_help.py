"""`bellhouse --help` is light: it imports nothing that only some command needs."""

import subprocess
import sys

from bellhouse import __version__

HEAVY = {
    "apsw", "asyncio", "asyncpg", "confluent_kafka", "cryptography", "email", "h2", "http", "httptools", "jinja2",
    "litestar", "minijinja", "msgspec", "phonenumbers", "prometheus_client", "pydantic", "pydantic_settings",
    "pyreqwest", "redis", "rich", "ssl", "structlog", "uvicorn", "uvloop",
}  # fmt: skip
PROBE = """
import sys
from bellhouse.cli import main
try:
    main(["--help"])
finally:
    print("imported", *sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_help_imports_nothing_heavy_and_lists_every_command():
    ran = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    imported = set(ran.stdout.splitlines()[-1].split()[1:])
    assert "typer" in imported
    assert not imported & HEAVY
    for command in ("serve", "demo", "simulator", "send", "get", "why", "keys", "dlq", "breaker", "ledger", "migrate",
                    "bench", "config", "top"):  # fmt: skip
        assert f"  {command} " in ran.stdout


def test_every_command_explains_itself(run):
    for path in (
        "serve", "demo", "top", "send", "get", "why", "ledger", "migrate", "bench", "config", "config check",
        "config default", "simulator", "simulator dial",
        "simulator dials", "simulator receipts", "simulator reset", "keys create", "keys list", "keys revoke",
        "dlq list", "dlq show", "dlq replay", "dlq discard", "breaker list", "breaker open", "breaker close",
        "breaker reset",
    ):  # fmt: skip
        status, out, _ = run(*path.split(), "--help")
        assert status == 0
        assert "Usage:" in out


def test_the_version_is_said(run):
    status, out, _ = run("--version")
    assert (status, out) == (0, f"bellhouse {__version__}\n")


def test_an_unknown_command_is_a_usage_error(run):
    status, _, complaint = run("sned")
    assert status == 2
    assert "sned" in complaint
