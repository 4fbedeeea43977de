"""Chooses the protocol of a new connection: HTTP/2 where the client asks for it, HTTP/1.1 otherwise."""

import asyncio
from typing import cast

from bellhouse.simulator.http1 import HeadReader, Http1, Resolve
from bellhouse.simulator.http2 import Http2, Manners
from bellhouse.simulator.roster import Roster

ALPN = ["h2", "http/1.1"]


class Door:
    """Makes the protocols of one listener, which share its routes, its roster and its known heads."""

    def __init__(self, resolve: Resolve, roster: Roster, manners: Manners) -> None:
        self._resolve = resolve
        self._roster = roster
        self._manners = manners
        self._heads = HeadReader(resolve)

    def http1(self) -> Http1:
        """For a plain connection; one that begins with HTTP/2's preface changes over."""
        return Http1(self._heads, self._roster, self.http2)

    def http2(self) -> Http2:
        """For a connection that speaks HTTP/2."""
        return Http2(self._resolve, self._roster, self._manners)

    def by_alpn(self) -> asyncio.Protocol:
        """For a TLS connection."""
        return _AlpnChooser(self)


class _AlpnChooser(asyncio.Protocol):
    """Hands a TLS connection over as soon as the handshake has told its protocol."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)  # uvloop's are no subclasses of it
        chosen = stream.get_extra_info("ssl_object").selected_alpn_protocol()
        protocol = self._door.http2() if chosen == "h2" else self._door.http1()
        stream.set_protocol(protocol)
        protocol.connection_made(transport)
