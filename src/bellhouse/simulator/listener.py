"""A listening socket that can be shut and opened again on the same port while the simulator runs."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from bellhouse.simulator.roster import Roster

_RETRY_S = 0.01


def bind(host: str, port: int) -> socket.socket:
    """A TCP socket bound to `port` (0 = any); raises OSError naming the address when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


class Listener:
    """Accepts connections for a protocol; `shut` makes the kernel refuse them, which a 503 could not imitate."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        roster: Roster,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._host, self.port = sock.getsockname()[:2]
        self._sock: socket.socket | None = sock
        self._protocol = protocol
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._wanted = False
        self._change: asyncio.Task[None] | None = None
        self.roster = roster

    async def start(self) -> None:
        """Begin to accept."""
        self._wanted = True
        await self._open()

    def set_open(self, wanted: bool) -> None:
        """Accept, or refuse and cut all connections, from now on."""
        self._wanted = wanted
        if not wanted:
            if self._server is not None:
                self._server.close()
            self.roster.cut_all()
        if self._change is None:
            self._change = asyncio.get_running_loop().create_task(self._settle())
            self._change.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._change = None
        if not task.cancelled() and task.exception() is None and self._wanted != (self._server is not None):
            self.set_open(self._wanted)

    async def _settle(self) -> None:
        while self._wanted != (self._server is not None):
            await (self._open() if self._wanted else self._shut())

    async def _open(self) -> None:
        sock, self._sock = self._sock, None
        assert sock is not None
        sock.listen(1024)
        timeout = 15.0 if self._tls is not None else None
        self._server = await asyncio.get_running_loop().create_server(
            self._protocol, sock=sock, ssl=self._tls, ssl_handshake_timeout=timeout, backlog=1024
        )

    async def _shut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.roster.cut_all()
        # A bound socket that does not listen refuses connections and keeps the port ours.
        self._sock = await self._bound()

    async def _bound(self) -> socket.socket:
        while True:
            with contextlib.suppress(OSError):
                return bind(self._host, self.port)
            await asyncio.sleep(_RETRY_S)

    def close(self) -> None:
        """Stop accepting and cut all connections."""
        self._wanted = False
        if self._server is not None:
            self._server.close()
        if self._sock is not None:
            self._sock.close()
        self.roster.cut_all()
