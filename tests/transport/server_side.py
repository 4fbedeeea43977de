"""The server's side of a session without a network: frames in as bytes, what the client wrote out as frames."""

import asyncio
from collections import deque
from collections.abc import Sequence

from hpack import Decoder, Encoder

from bellhouse.adapters.transport.h2 import frames as wire
from bellhouse.adapters.transport.h2.call import Batch, Call
from bellhouse.adapters.transport.h2.form import Forms
from bellhouse.adapters.transport.h2.session import Session
from bellhouse.ports.provider import Exchange, Request

Frame = tuple[int, int, int, bytes]
"""Type, flags, stream, payload."""


class Bench:
    """A session, its queue, and what was reported."""

    def __init__(self, *, settings: dict[int, int] | None = None, max_streams: int = 1000, greet: bool = True) -> None:
        self.session = Session(max_streams)
        self.queue: deque[Call] = deque()
        self.outcomes: dict[int, Exchange] = {}
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.forms = Forms("server.example", "", "test")
        self.now = 1.0
        self.written = b""
        self.loop = asyncio.new_event_loop()
        self.loop.close()
        self._count = 0
        if greet:
            self.give(wire.settings(settings or {}))
            self.taken()

    def ask(self, *bodies: bytes, timeout_s: float = 10.0, headers: dict[str, str] | None = None) -> list[int]:
        """Queue one request per body and let the session write; the indexes under which they are reported."""
        batch = Batch(self.report, len(bodies), asyncio.Future(loop=self.loop), self.now, self.now + timeout_s)
        batch.done.set_result(None)
        indexes = []
        for body in bodies:
            path, form = self.forms.prepare(Request("POST", "/send", headers or {"content-type": "text/plain"}, body))
            self.queue.append(Call(batch, self._count, path, form, body, self.now))
            indexes.append(self._count)
            self._count += 1
        self.pump()
        return indexes

    def report(self, index: int, outcome: Exchange, seconds: float) -> None:
        assert index not in self.outcomes, "reported twice"
        assert seconds >= 0
        self.outcomes[index] = outcome

    def pump(self) -> None:
        if self.session.usable:
            self.session.send(self.queue, self.now)

    def give(self, *frames: bytes) -> None:
        """Let the client read frames, all at once, and write what it then can."""
        self.session.receive(b"".join(frames), self.now)
        self.pump()

    def headers(self, stream: int, *fields: tuple[str, str], flags: int = wire.END_HEADERS) -> bytes:
        return wire.frame(wire.HEADERS, flags, stream, self.encoder.encode(fields))

    def ok(self, stream: int, body: bytes = b"fine") -> bytes:
        """A whole answer."""
        return self.headers(stream, (":status", "200")) + wire.frame(wire.DATA, wire.END_STREAM, stream, body)

    def taken(self) -> list[Frame]:
        """The frames the client has written since the last look."""
        data = b"".join(self.session.out).removeprefix(wire.PREFACE)
        self.session.out.clear()
        found: list[Frame] = []
        at = 0
        while at < len(data):
            high, low, kind, flags, stream = wire.HEAD.unpack_from(data, at)
            end = at + wire.HEAD_BYTES + (high << 16 | low)
            found.append((kind, flags, stream, data[at + wire.HEAD_BYTES : end]))
            at = end
        assert at == len(data), "the client wrote half a frame"
        return found


def streams(frames: Sequence[Frame]) -> list[int]:
    """The streams that were opened."""
    return [stream for kind, _, stream, _ in frames if kind == wire.HEADERS]


def body_of(frames: Sequence[Frame], stream: int) -> bytes:
    """What was uploaded on a stream."""
    return b"".join(payload for kind, _, each, payload in frames if kind == wire.DATA and each == stream)


def codes(frames: Sequence[Frame], kind: int) -> list[int]:
    """The error codes of RST_STREAM or GOAWAY frames."""
    at = 4 if kind == wire.GOAWAY else 0
    return [wire.LONG.unpack_from(payload, at)[0] for each, _, _, payload in frames if each == kind]
