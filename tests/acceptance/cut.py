"""A wire that can be cut: a TCP relay between a process and an engine."""

import contextlib
import selectors
import socket
import threading
from typing import Final

_LOOK_S: Final = 0.05
_PIECE: Final = 65_536


class Wire:
    """Relays a port of this machine to another one, until it is cut."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_LOOK_S)
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._whole = threading.Event()
        self._whole.set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """End every connection, and let none be made."""
        self._whole.clear()
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def mend(self) -> None:
        """Let connections be made again."""
        self._whole.set()

    def close(self) -> None:
        """Cut it for ever."""
        self._ended.set()
        self.cut()
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            if not self._whole.is_set():
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._to))
            self._pairs.append((near, far))
            threading.Thread(target=_carry, args=(near, far), daemon=True).start()


def _carry(near: socket.socket, far: socket.socket) -> None:
    """Carry bytes both ways until either side ends."""
    other = {near: far, far: near}
    with near, far, selectors.DefaultSelector() as ready, contextlib.suppress(OSError):
        for end in other:
            ready.register(end, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                piece = key.fileobj.recv(_PIECE)  # type: ignore[union-attr]  # both are sockets
                if not piece:
                    return
                other[key.fileobj].sendall(piece)  # type: ignore[index]  # the same
