"""HTTP/2, server side (RFC 9113): as much as an API needs, with answers from blocks encoded beforehand."""

import asyncio
from collections.abc import Iterator
from typing import cast

from hpack import HPACKError

from bellhouse.simulator.clock import monotonic
from bellhouse.simulator.http1 import BODY_LIMIT, HEAD_LIMIT, IDLE_PATIENCE_S, REQUEST_PATIENCE_S, Resolve
from bellhouse.simulator.http2_frames import (
    ACK,
    CALM,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_ERROR,
    FRAME,
    FRAME_LIMIT,
    GOAWAY,
    HEADERS,
    INTERNAL_ERROR,
    LONG,
    NO_ERROR,
    PING,
    PREFACE,
    PROTOCOL_ERROR,
    PUSH,
    REFUSED,
    RST,
    SETTING,
    SETTINGS,
    SIZE_ERROR,
    TOP_WINDOW,
    WINDOW,
    WITH_PRIORITY,
    ConnectionFault,
    frame,
    unpadded,
)
from bellhouse.simulator.http2_head import BlockReader, HeadError
from bellhouse.simulator.roster import Roster
from bellhouse.simulator.wheel import run_safely
from bellhouse.simulator.wire import Reply, ReplyHead, RequestHead, json_reply

_STREAM_LIMIT = 1000
_CONNECTION_WINDOW = 64 * 1024 * 1024
_RESETS_FORGIVEN = 1000
_LINGER_S = 1.0
_GREETING = frame(
    SETTINGS,
    0,
    0,
    # MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE (a whole body fits), MAX_HEADER_LIST_SIZE
    SETTING.pack(3, _STREAM_LIMIT) + SETTING.pack(4, BODY_LIMIT + FRAME_LIMIT) + SETTING.pack(6, HEAD_LIMIT),
) + frame(WINDOW, 0, 0, LONG.pack(_CONNECTION_WINDOW - 65_535))
_TOO_LARGE = json_reply(413, {"error": "request body too large"})


class Manners:
    """What all HTTP/2 connections of a listener share: calls before a GOAWAY (0 = no limit)."""

    def __init__(self) -> None:
        self.calls_per_connection = 0


class _Stream:
    """One call; the `Exchange` that answers it."""

    __slots__ = ("_connection", "body", "head", "number", "parts", "size", "window")

    def __init__(self, connection: "Http2", number: int, head: RequestHead) -> None:
        self._connection = connection
        self.number = number
        self.head = head
        self.parts: list[bytes] = []
        self.size = 0
        self.window = 0  # beyond the connection's initial window
        self.body = b""  # of the answer, what the peer's window has held back

    def reply(self, reply: Reply) -> bool:
        """Send the answer; False if the caller has gone."""
        return self._connection.answer(self, reply)

    def stream(self, head: ReplyHead, chunks: Iterator[bytes]) -> None:
        """Send the pieces as one answer: nothing large is offered over HTTP/2."""
        self.reply(Reply(head, b"".join(chunks)))

    def drop(self) -> None:
        """Break this stream off."""
        self._connection.reset(self, INTERNAL_ERROR)

    def refuse(self) -> None:
        """State that nothing was processed (RFC 9113, 8.7)."""
        self._connection.reset(self, REFUSED)


class Http2(asyncio.Protocol):
    """One connection."""

    def __init__(self, resolve: Resolve, roster: Roster, manners: Manners) -> None:
        self._roster = roster
        self._manners = manners
        self._blocks = BlockReader(resolve)
        self._buffer = b""
        self._greeted = False
        self._streams: dict[int, _Stream] = {}
        self._receiving: set[int] = set()
        self._last = 0
        self._calls = 0
        self._resets = 0
        self._leaving = False
        self._lingering = False
        self._broken = False
        self._open_block: tuple[int, int, bytearray] | None = None
        self._consumed = 0
        self._window = 65_535
        self._initial_window = 65_535
        self._blocked: dict[int, _Stream] = {}
        self._out: list[bytes] = []
        self._in_turn = False
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._touched = 0.0

    # -- the connection ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses of it
        self._touched = monotonic()
        if not self._roster.admit(self):
            self._transport.abort()
            return
        self._transport.write(_GREETING)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._streams.clear()
        self._receiving.clear()
        self._blocked.clear()
        self._roster.leave(self)

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def overdue(self, now: float) -> bool:
        """Whether the peer has kept us waiting too long: for the rest of a call, or for any."""
        if self._streams and not self._receiving:
            return False
        return now - self._touched > (REQUEST_PATIENCE_S if self._receiving else IDLE_PATIENCE_S)

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._broken:
            return
        self._touched = monotonic()
        self._in_turn = True
        try:
            self._buffer = self._read_frames(self._buffer + data if self._buffer else data)
        except ConnectionFault as fault:
            self._go_away(fault.code)
        except HPACKError:
            self._go_away(COMPRESSION_ERROR)
        finally:
            self._in_turn = False
            self._flush()

    def _flush(self) -> None:
        transport = self._transport
        out, self._out = self._out, []
        if out and transport is not None:
            transport.write(b"".join(out))
        if self._leaving and not self._streams and not self._lingering:
            # What the peer still sends would turn a close into a reset, and a reset eats our last words.
            self._lingering = True
            self._loop.call_later(_LINGER_S, self.abort)

    def _put(self, *frames: bytes) -> None:
        """Send soon: all that one turn of the loop has to say on this connection goes out in one write."""
        if not self._out and not self._in_turn:
            self._loop.call_soon(self._flush)
        self._out.extend(frames)

    def _go_away(self, code: int) -> None:
        self._put(frame(GOAWAY, 0, 0, LONG.pack(self._last) + LONG.pack(code)))
        self._leaving = True
        if code != NO_ERROR:
            self._broken = True
            self._streams.clear()
            self._receiving.clear()

    # -- frames -----------------------------------------------------------------------------------------------

    def _read_frames(self, data: bytes) -> bytes:
        """Handle every whole frame in `data`; returns the rest."""
        at, end = 0, len(data)
        if not self._greeted:
            if end < len(PREFACE):
                return data
            if not data.startswith(PREFACE):
                raise ConnectionFault(PROTOCOL_ERROR, "no preface")
            self._greeted = True
            at = len(PREFACE)
        while end - at >= 9:
            high, low, kind, flags, number = FRAME.unpack_from(data, at)
            size = high << 16 | low
            if size > FRAME_LIMIT:
                raise ConnectionFault(SIZE_ERROR, "frame too large")
            if end - at < 9 + size:
                break
            self._handle(kind, flags, number & TOP_WINDOW, data[at + 9 : at + 9 + size])
            at += 9 + size
        return data[at:]

    def _handle(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._open_block is not None and kind != CONTINUATION:
            raise ConnectionFault(PROTOCOL_ERROR, "header block interrupted")
        if kind == DATA:
            self._on_data(flags, number, payload)
        elif kind == HEADERS:
            self._on_headers(flags, number, payload)
        elif kind == WINDOW:
            self._on_window(number, payload)
        elif kind == CONTINUATION:
            self._on_continuation(flags, number, payload)
        elif kind == SETTINGS:
            self._on_settings(flags, payload)
        elif kind == PING:
            self._on_ping(flags, payload)
        elif kind == RST:
            self._on_reset(number)
        elif kind == PUSH:
            raise ConnectionFault(PROTOCOL_ERROR, "clients do not push")

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if not number & 1:
            raise ConnectionFault(PROTOCOL_ERROR, "even stream number")
        payload = unpadded(flags, payload)
        if flags & WITH_PRIORITY:
            payload = payload[5:]
        if flags & END_HEADERS:
            self._on_block(flags, number, payload)
        else:
            self._open_block = (flags, number, bytearray(payload))

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._open_block is None or self._open_block[1] != number:
            raise ConnectionFault(PROTOCOL_ERROR, "continuation of nothing")
        first_flags, _, block = self._open_block
        block += payload
        if len(block) > HEAD_LIMIT:
            raise ConnectionFault(CALM, "header block too large")
        if flags & END_HEADERS:
            self._open_block = None
            self._on_block(first_flags, number, bytes(block))

    def _on_block(self, flags: int, number: int, block: bytes) -> None:
        if number <= self._last:
            self._on_trailers(flags, number, block)
            return
        try:
            head = self._blocks.read(block)
        except HeadError:
            self._last = number
            self._put(frame(RST, 0, number, LONG.pack(PROTOCOL_ERROR)))
            return
        if self._leaving:
            return  # beyond the last stream our GOAWAY names: known not to be processed
        self._last = number
        if len(self._streams) >= _STREAM_LIMIT:
            self._put(frame(RST, 0, number, LONG.pack(REFUSED)))
            return
        stream = self._streams[number] = _Stream(self, number, head)
        if flags & END_STREAM:
            self._dispatch(stream, b"")
        else:
            self._receiving.add(number)

    def _on_trailers(self, flags: int, number: int, block: bytes) -> None:
        self._blocks.skip(block)
        if number in self._receiving and flags & END_STREAM:
            self._finish(self._streams[number])

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        if not number or (number > self._last and not self._leaving):
            raise ConnectionFault(PROTOCOL_ERROR, "data on an idle stream")
        self._consumed += len(payload)
        if self._consumed > _CONNECTION_WINDOW // 2:
            self._put(frame(WINDOW, 0, 0, LONG.pack(self._consumed)))
            self._consumed = 0
        if number not in self._receiving:
            return  # a stream that was reset or answered already
        stream = self._streams[number]
        payload = unpadded(flags, payload)
        if flags & END_STREAM and not stream.parts:
            self._receiving.discard(number)
            self._dispatch(stream, payload)
            return
        stream.parts.append(payload)
        stream.size += len(payload)
        if stream.size > BODY_LIMIT:
            self._receiving.discard(number)
            self.answer(stream, _TOO_LARGE)
        elif flags & END_STREAM:
            self._finish(stream)

    def _finish(self, stream: _Stream) -> None:
        self._receiving.discard(stream.number)
        body, stream.parts = b"".join(stream.parts), []
        self._dispatch(stream, body)

    def _dispatch(self, stream: _Stream, body: bytes) -> None:
        self._calls += 1
        limit = self._manners.calls_per_connection
        if limit and self._calls >= limit and not self._leaving:
            self._go_away(NO_ERROR)
        run_safely(stream.head.handler, stream.head, body, stream)

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            return
        if len(payload) % 6:
            raise ConnectionFault(SIZE_ERROR, "settings")
        for name, value in SETTING.iter_unpack(payload):
            if name == 4:
                if value > TOP_WINDOW:
                    raise ConnectionFault(FLOW_ERROR, "initial window")
                self._initial_window = value
        self._put(frame(SETTINGS, ACK, 0))
        self._push_blocked()

    def _on_ping(self, flags: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise ConnectionFault(SIZE_ERROR, "ping")
        if not flags & ACK:
            self._put(frame(PING, ACK, 0, payload))

    def _on_reset(self, number: int) -> None:
        self._resets += 1
        if self._resets > _RESETS_FORGIVEN + self._calls // 2:
            raise ConnectionFault(CALM, "too many resets")
        self._forget(number)

    def _on_window(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(SIZE_ERROR, "window update")
        more = LONG.unpack(payload)[0] & TOP_WINDOW
        if not number:
            self._window += more
        elif number in self._streams:
            self._streams[number].window += more
        if self._window > TOP_WINDOW:
            raise ConnectionFault(FLOW_ERROR, "window")
        if self._blocked:
            self._push_blocked()

    # -- answers ----------------------------------------------------------------------------------------------

    def answer(self, stream: _Stream, reply: Reply) -> bool:
        """Send an answer, as far as the peer's windows let it; False if the stream is gone."""
        number = stream.number
        if self._streams.get(number) is not stream or self._transport is None:
            return False
        head, body, _ = reply
        digits = b"%d" % len(body)
        block = b"%b%c%b" % (head.h2, len(digits), digits)
        if not body:
            self._put(frame(HEADERS, END_HEADERS | END_STREAM, number, block))
            self._forget(number)
        elif len(body) <= min(self._window, self._initial_window, FRAME_LIMIT):
            self._window -= len(body)
            self._put(frame(HEADERS, END_HEADERS, number, block), frame(DATA, END_STREAM, number, body))
            self._forget(number)
        else:
            self._put(frame(HEADERS, END_HEADERS, number, block))
            stream.window += self._initial_window
            stream.body = body
            self._blocked[number] = stream
            self._push_blocked()
        return True

    def _push_blocked(self) -> None:
        """Send what the windows allow of the answers that wait for them."""
        for stream in list(self._blocked.values()):
            while stream.body and (room := min(self._window, stream.window, FRAME_LIMIT)) > 0:
                piece, stream.body = stream.body[:room], stream.body[room:]
                self._window -= len(piece)
                stream.window -= len(piece)
                self._put(frame(DATA, 0 if stream.body else END_STREAM, stream.number, piece))
            if not stream.body:
                self._forget(stream.number)

    def reset(self, stream: _Stream, code: int) -> None:
        """Break a stream off with an error code."""
        if self._streams.get(stream.number) is stream:
            self._put(frame(RST, 0, stream.number, LONG.pack(code)))
            self._forget(stream.number)

    def _forget(self, number: int) -> None:
        self._streams.pop(number, None)
        self._receiving.discard(number)
        if self._blocked:
            self._blocked.pop(number, None)
        if self._leaving and not self._streams and not self._in_turn:
            self._loop.call_soon(self._flush)
