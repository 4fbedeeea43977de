"""The page about the distributed mode works from its first line to the last, on real engines."""

from pathlib import Path

from bellhouse.engines.ports import free_port, free_ports
from tests.docs.pages import DOCS
from tests.docs.shell import Shell


def test_the_distributed_page_works_from_the_first_line_to_the_last(tmp_path: Path) -> None:
    first = free_ports(3)
    ports = {
        "21000": str(first),
        "21001": str(first + 1),
        "21002": str(first + 2),
        "9100": str(free_ports(7)),
        "8080": str(free_port()),
        "8081": str(free_port()),
    }
    shell = Shell(tmp_path, {}, ports)
    try:
        shell.walk(DOCS / "distributed.md")
    finally:
        shell.close()
