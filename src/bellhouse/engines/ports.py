"""Ports for engines and for whatever runs beside them: one is never given to two, in this process or another."""

import fcntl
import os
import random
import socket
from functools import cache
from typing import Final

from bellhouse.engines.errors import EngineDidNotStart

HOST: Final = "127.0.0.1"

# Below the ports that systems give to outgoing connections: one of those could take a stopped engine's port.
_PORTS: Final = range(20_000, 32_000)
_given: set[int] = set()  # an engine that has not started yet, or is down, keeps its port


def free_port() -> int:
    """A loopback port that nobody listens on now, that no outgoing connection and no other caller will be given.

    It stays this process's, whether anything listens on it or not, until the process ends.
    """
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of so many such ports in a row. Raises EngineDidNotStart where there are none."""
    firsts = range(_PORTS.start, _PORTS.stop - count + 1)
    for first in random.sample(firsts, len(firsts)):
        row = range(first, first + count)
        if all(_is_free(port) for port in row) and all(_claim(port) for port in row):
            return first
    raise EngineDidNotStart(f"no free port between {_PORTS.start} and {_PORTS.stop} on {HOST}: stop what holds them")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers bind: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _claim(port: int) -> bool:
    """Take a port from this process and all others: each is one byte of a file, locked until the process ends."""
    if port in _given:
        return False
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _given.add(port)
    return True


@cache
def _claims() -> int:
    # One file for all of a user's processes, whatever TMPDIR each has. Never closed: closing any descriptor of it would
    # give up all locks of the process.
    return os.open(f"/tmp/bellhouse-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
