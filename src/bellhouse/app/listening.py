"""The socket that a process listens on, and the URL that leads to it."""

import socket
from typing import Final

from bellhouse.app.folder import CannotServe

BACKLOG: Final = 2_048
"""Connections that wait in the kernel, also while the API is started again."""


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 is any free one. Raises CannotServe."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotServe(
            f"{host}:{port} cannot be listened on: {error.strerror or error}. Give a free port, or 0 for any: --port N"
        ) from None


def url_of(host: str, port: int) -> str:
    """Where somebody on this machine finds it."""
    shown = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
