"""An HTTP/2 server over TLS for tests, whose answers are functions and which may misbehave on request."""

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from bellhouse.testing.certificates import Certificates


class Arrived(msgspec.Struct):
    """A request as the server saw it."""

    stream: int
    headers: dict[str, str]
    body: bytearray

    @property
    def path(self) -> str:
        return self.headers[":path"]


Answer = Callable[["Peer", Arrived], None]
"""Called when a request is whole."""


class Peer(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self, server: "H2Server") -> None:
        self.server = server
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings = Settings(client=False, initial_values=server.settings)
        self.wire: asyncio.Transport | None = None
        self.arrived: dict[int, Arrived] = {}
        self.resets: list[int] = []
        self._waiting: dict[int, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = cast(asyncio.Transport, transport)
        self.server.peers.append(self)
        self.h2.initiate_connection()
        if self.server.greet is not None:
            self.server.greet(self)
        else:
            self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except ProtocolError:
            self.server.errors += 1
            self.flush()
            self.drop()
            return
        for event in events:
            self._on_event(event)
        self.flush()

    def connection_lost(self, _: Exception | None) -> None:
        self.wire = None
        self.server.lost += 1

    def _on_event(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=stream, headers=headers):
                fields = cast(dict[str, str], dict(headers or ()))
                self.arrived[stream] = Arrived(stream, fields, bytearray())
            case DataReceived(stream_id=stream, data=data, flow_controlled_length=size):
                self.arrived[stream].body += data
                if self.server.credit:
                    self.h2.acknowledge_received_data(size, stream)
            case StreamEnded(stream_id=stream):
                request = self.arrived[stream]
                self.server.requests.append(request)
                self.server.answer(self, request)
            case StreamReset(stream_id=stream):
                self.resets.append(stream)
                self._waiting.pop(stream, None)
            case WindowUpdated() | RemoteSettingsChanged():
                self._send_waiting()
            case _:
                pass

    def respond(self, stream: int, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """Answer a request; the body goes as fast as the client's windows allow."""
        fields = [(":status", str(status)), *((name.replace("_", "-"), value) for name, value in headers.items())]
        self.h2.send_headers(stream, fields, end_stream=not body)
        if body:
            self._waiting[stream] = body
            self._send_waiting()

    def _send_waiting(self) -> None:
        for stream, body in list(self._waiting.items()):
            rest = body
            while rest:
                size = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(rest))
                if size <= 0:
                    break
                self.h2.send_data(stream, rest[:size], end_stream=size == len(rest))
                rest = rest[size:]
            if rest:
                self._waiting[stream] = rest
            else:
                del self._waiting[stream]

    def flush(self) -> None:
        """Write what the h2 package has packed."""
        if self.wire is not None:
            self.wire.write(self.h2.data_to_send())

    def write(self, data: bytes) -> None:
        """Write bytes of the test's own, after what is packed."""
        self.flush()
        if self.wire is not None:
            self.wire.write(data)

    def drop(self) -> None:
        """Cut the connection without a word."""
        if self.wire is not None:
            self.wire.abort()


def answer_ok(peer: Peer, request: Arrived) -> None:
    """200 with the request's own body."""
    peer.respond(request.stream, 200, bytes(request.body), content_type="application/octet-stream")


class H2Server:
    """A server on a free port of the loopback.

    `answer` is asked for each whole request, `greet` may replace the first bytes after TLS. With `credit` false no
    WINDOW_UPDATE is ever sent by itself. `settings` are the server's own.
    """

    def __init__(
        self,
        certificates: Certificates,
        answer: Answer = answer_ok,
        *,
        settings: dict[SettingCodes, int] | None = None,
        alpn: tuple[str, ...] = ("h2",),
    ) -> None:
        self.certificates = certificates
        self.answer = answer
        self.greet: Callable[[Peer], None] | None = None
        self.credit = True
        self.settings = settings or {SettingCodes.MAX_CONCURRENT_STREAMS: 10_000}
        self.requests: list[Arrived] = []
        self.peers: list[Peer] = []
        self.errors = 0
        self.lost = 0
        self.url = ""
        self._alpn = alpn
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "H2Server":
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Peer(self),
            "127.0.0.1",
            0,
            ssl=self.certificates.server_context(*self._alpn),
            ssl_shutdown_timeout=0.2,
        )
        self.url = f"https://localhost:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
        for peer in self.peers:
            peer.drop()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2
        while self.lost < len(self.peers) and loop.time() < deadline:
            turn = loop.create_future()
            loop.call_later(0.005, turn.set_result, None)
            await turn
