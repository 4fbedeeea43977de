"""Ports for engines: what one process was given, no other is."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from bellhouse.engines import ports
from bellhouse.engines.errors import EngineDidNotStart
from bellhouse.engines.ports import free_port, free_ports

FOREVER = "import sys; from bellhouse.engines.ports import free_ports; print(free_ports(1), flush=True); input()"


@pytest.fixture
def other() -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Another process, and the port that it was given and does not listen on."""
    child = subprocess.Popen([sys.executable, "-c", FOREVER], stdin=-1, stdout=-1, text=True)
    with child:
        assert child.stdout is not None
        yield child, int(child.stdout.readline())
        child.kill()


def only(monkeypatch: pytest.MonkeyPatch, first: int, count: int = 1) -> None:
    """Let there be no other ports."""
    monkeypatch.setattr(ports, "_PORTS", range(first, first + count))


def test_a_port_is_one_processs_until_it_ends(
    other: tuple["subprocess.Popen[str]", int], monkeypatch: pytest.MonkeyPatch
) -> None:
    child, port = other
    only(monkeypatch, port)
    with pytest.raises(EngineDidNotStart, match="no free port"):
        free_port()
    child.kill()
    child.wait()
    assert free_port() == port
    with pytest.raises(EngineDidNotStart, match="no free port"):
        free_port()


def test_ports_in_a_row_are_all_free(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, free_ports(5), 5)
    with pytest.raises(EngineDidNotStart):
        free_ports(2)
