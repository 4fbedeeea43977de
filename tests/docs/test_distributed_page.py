"""The page about the distributed mode works from its first line to the last, on real engines."""

import socket
from pathlib import Path

from tests.docs.pages import DOCS
from tests.docs.shell import Shell


def test_the_distributed_page_works_from_the_first_line_to_the_last(tmp_path: Path, free_port: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        second = probe.getsockname()[1]
    ports = {
        "21000": str(free_port),
        "21001": str(free_port + 1),
        "21002": str(free_port + 2),
        "9100": str(second),
        "8080": str(free_port + 4),
        "8081": str(free_port + 5),
    }
    shell = Shell(tmp_path, {}, ports)
    try:
        shell.walk(DOCS / "distributed.md")
    finally:
        shell.close()
