"""The line between the supervisor and a role: settings go down it, `ready` comes up, and its end is the other's."""

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any, Final

_PIECE: Final = 65_536


class RoleControl:
    """The role's end. A role without a supervisor has none and is never told anything."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def settings(self) -> dict[str, Any]:
        """What the supervisor has to say first: the settings. Blocks; call it before there is an event loop."""
        received = b""
        while not received.endswith(b"\n"):
            piece = self._line.recv(_PIECE)
            if not piece:
                raise EOFError("the supervisor has gone")
            received += piece
        said: dict[str, Any] = json.loads(received)
        return said

    def say(self, **words: object) -> None:
        """Tell the supervisor: `ready=True`, or `refused="why"` before an exit that no restart can heal."""
        try:
            self._line.sendall(json.dumps(words).encode() + b"\n")
        except OSError:
            # Nobody listens any more; the role will learn that by itself.
            return

    async def supervisor_gone(self) -> None:
        """Return when the supervisor has ended, whatever ended it."""
        self._line.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            while await loop.sock_recv(self._line, _PIECE):
                pass
        except ConnectionError:
            return


class RoleLine:
    """The supervisor's end of one role's line."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ours.setblocking(False)

    async def send_settings(self, settings: Mapping[str, Any]) -> None:
        """Hand down the settings; the role's end is the role's alone from now on."""
        self.theirs.close()
        await asyncio.get_running_loop().sock_sendall(self._ours, json.dumps(settings).encode() + b"\n")

    async def said(self) -> dict[str, Any]:
        """The role's first words; empty where it ended without any."""
        received = b""
        loop = asyncio.get_running_loop()
        while not received.endswith(b"\n"):
            try:
                piece = await loop.sock_recv(self._ours, _PIECE)
            except ConnectionError:
                piece = b""
            if not piece:
                return {}
            received += piece
        words: dict[str, Any] = json.loads(received)
        return words

    def close(self) -> None:
        """Hang up. Calling it twice is lawful."""
        self.theirs.close()
        self._ours.close()
