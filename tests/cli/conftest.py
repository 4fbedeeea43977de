"""Commands run in this process, and a server for them that answers as a test says."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bellhouse.cli import main

_spec = importlib.util.spec_from_file_location("cli_stub", Path(__file__).with_name("stub.py"))
assert _spec is not None
assert _spec.loader is not None
_stub = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_stub)

Ran = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run a command; answers its exit status, what it printed and what it complained of."""
    for name in ("BELLHOUSE_URL", "BELLHOUSE_KEY", "BELLHOUSE_DATA", "BELLHOUSE_SIMULATOR_URL"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: object) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


@pytest.fixture
def server() -> Iterator[object]:
    """A stub server."""
    stub = _stub.Stub()
    yield stub
    stub.close()
