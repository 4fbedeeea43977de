"""One HTTP/2 connection of a client as a state machine: bytes in, outcomes and bytes out, no I/O (RFC 9113)."""

from collections import deque
from typing import Final

from bellhouse.adapters.transport.h2 import frames
from bellhouse.adapters.transport.h2.call import Call
from bellhouse.adapters.transport.h2.decoder import LIST_LIMIT, Decoder
from bellhouse.adapters.transport.h2.encoder import Encoder
from bellhouse.adapters.transport.h2.frames import Fault
from bellhouse.adapters.transport.h2.upload import Uploads
from bellhouse.ports.provider import Exchange, NoAnswer, NotSent, Response

BODY_LIMIT: Final = 1_048_576
"""The largest response body taken, in bytes."""
STREAM_WINDOW: Final = BODY_LIMIT + 65_536
"""The receive window of a stream: a little more than a body, so that none needs topping up and an excess shows."""
CONNECTION_WINDOW: Final = 16 * 1_048_576
"""The receive window of a connection: what unfinished responses may hold in memory altogether."""
OUTPUT_STEP: Final = 1_048_576
"""How much is packed before the transport is asked whether it can take more."""
CONTINUATIONS: Final = 64
"""How many frames a header block may come in: a peer could send empty ones for ever."""


class Session:
    """One connection. Every call it takes is settled exactly once: by an answer, by `expire`, or by `lost`.

    A call leaves the queue only when its first byte is put into `out`; from then on it counts as written.
    """

    def __init__(self, max_streams: int) -> None:
        self.out: list[bytes] = [_greeting()]
        self.ready = False
        """The peer's SETTINGS have come: its limits are known."""
        self.draining = False
        """No new streams: the peer said GOAWAY, or the ids are used up."""
        self.dead: str | None = None
        """Why the connection is lost; nothing is read or written any more."""
        self.answered = False
        """Whether this connection ever answered a request."""
        self.heard_at = 0.0
        """When anything came from the peer."""
        self.pinged = False
        """A PING is out and nothing was heard since."""
        self.suspect = False
        """Requests timed out and nothing was heard since they were written: no more of them until it is."""
        self._streams: dict[int, Call] = {}
        self._uploads = Uploads()
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._next_id = 1
        self._own_limit = max_streams
        self._max_streams = max_streams
        self._goaway_at = frames.MAX_STREAM_ID
        self._window = CONNECTION_WINDOW
        self._credit = 0
        self._rest = bytearray()
        self._needed = frames.HEAD_BYTES
        self._block: tuple[int, int, list[bytes]] | None = None
        self._now = 0.0

    @property
    def in_flight(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    @property
    def usable(self) -> bool:
        """Whether new requests may be written."""
        return self.ready and not self.draining and not self.suspect and self.dead is None

    @property
    def full(self) -> bool:
        """Whether the peer's or our own limit of streams is reached."""
        return len(self._streams) >= self._max_streams

    # What we write.

    def send(self, queue: deque[Call], now: float) -> None:
        """Take calls from the queue and pack them into `out`, as far as stream limit and windows go."""
        out, streams, uploads = self.out, self._streams, self._uploads
        room = self._max_streams - len(streams)
        whole = uploads.whole
        packed_bytes = 0
        while queue and room > 0 and packed_bytes < OUTPUT_STEP and not self.draining:
            call = queue[0]
            if call.settled:
                queue.popleft()
                continue
            size = len(call.body)
            if uploads.stuck or (size and uploads.window <= 0):
                return
            queue.popleft()
            call.since = now
            stream = self._next_id
            self._next_id = stream + 2
            streams[stream] = call
            room -= 1
            packed_bytes += size + 64
            packed = self._encoder.packed(call.path, call.form)
            if 0 < size <= whole and size <= uploads.window and len(packed.block) <= frames.DEFAULT_FRAME_SIZE:
                uploads.window -= size
                out.append(packed.pack(packed.prefix, stream, packed.block, size >> 16, size & 0xFFFF, 0, 1, stream))
                out.append(call.body)
            else:
                flags = 0 if size else frames.END_STREAM
                out.append(frames.header_frames(stream, packed.block, flags, uploads.frame_size))
                if size:
                    uploads.begin(stream, call.body, out)
            self.draining = self.draining or self._next_id > frames.MAX_STREAM_ID

    def ping(self) -> None:
        """Ask the peer whether it is there; anything it says is an answer."""
        self.pinged = True
        self.out.append(frames.frame(frames.PING, 0, 0, b"bellhous"))

    def expire(self, now: float) -> None:
        """Give up the calls whose batch is past its deadline."""
        for stream, call in [item for item in self._streams.items() if item[1].batch.deadline <= now]:
            self._now = now
            self._give_up(stream, frames.CANCEL, NoAnswer("no answer in time"))
            if self.heard_at <= call.since and not self.pinged:
                self.suspect = True
                self.ping()

    def abandon(self, batch: object) -> None:
        """Drop the calls of a batch whose caller was cancelled, without a report."""
        for stream, call in [item for item in self._streams.items() if item[1].batch is batch]:
            call.settled = True
            self._give_up(stream, frames.CANCEL, NoAnswer("cancelled"))

    def leave(self, code: int, reason: str, outcome: NoAnswer, now: float) -> None:
        """Say GOAWAY and count what was written as unanswered."""
        if self.dead is None:
            self.out.append(frames.goaway(code, reason))
            self.lost(reason, outcome, now)

    def lost(self, reason: str, outcome: NoAnswer, now: float) -> None:
        """The connection is gone: what was written has no answer. A second loss is none."""
        if self.dead is not None:
            return
        self.dead = reason
        calls, self._streams = self._streams, {}
        self._uploads.clear()
        for call in calls.values():
            call.settle(outcome, now)

    # What the peer writes.

    def receive(self, data: bytes, now: float) -> None:
        """Read what came in. A peer that breaks the protocol loses the connection; nothing is raised."""
        if self.dead is not None:
            return
        self._now = self.heard_at = now
        self.pinged = self.suspect = False
        try:
            self._read(data)
        except Fault as fault:
            self.leave(fault.code, fault.reason, NoAnswer(f"protocol error: {fault.reason}", "protocol"), now)

    def _read(self, data: bytes) -> None:
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._needed:
                return
            data = bytes(rest)
            rest.clear()
        at, end = 0, len(data)
        self._needed = frames.HEAD_BYTES
        while end - at >= frames.HEAD_BYTES:
            high, low, kind, flags, stream = frames.HEAD.unpack_from(data, at)
            length = high << 16 | low
            if length > frames.DEFAULT_FRAME_SIZE:
                raise Fault(frames.FRAME_SIZE_ERROR, "a frame is larger than allowed")
            stop = at + frames.HEAD_BYTES + length
            if stop > end:
                self._needed = frames.HEAD_BYTES + length
                break
            self._frame(kind, flags, stream & frames.MAX_STREAM_ID, data[at + frames.HEAD_BYTES : stop])
            at = stop
        if at < end:
            rest += data[at:]
        self._round_off()

    def _round_off(self) -> None:
        """What is done once for all frames that came together: feed uploads, give the window back."""
        self._uploads.feed(self.out)
        if self._credit >= CONNECTION_WINDOW // 4:
            self.out.append(frames.window_update(0, self._credit))
            self._window += self._credit
            self._credit = 0

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and kind != frames.CONTINUATION:
            raise Fault(frames.PROTOCOL_ERROR, "a header block was interrupted")
        if not self.ready and kind != frames.SETTINGS:
            raise Fault(frames.PROTOCOL_ERROR, "the peer did not begin with SETTINGS")
        match kind:
            case frames.DATA:
                self._on_data(flags, stream, payload)
            case frames.HEADERS:
                self._on_headers(flags, stream, payload)
            case frames.CONTINUATION:
                self._on_continuation(flags, stream, payload)
            case frames.RST_STREAM:
                self._on_reset(stream, payload)
            case frames.WINDOW_UPDATE:
                self._on_window(stream, payload)
            case frames.SETTINGS:
                self._on_settings(flags, stream, payload)
            case frames.PING:
                self._on_ping(flags, stream, payload)
            case frames.GOAWAY:
                self._on_goaway(stream, payload)
            case frames.PUSH_PROMISE:
                raise Fault(frames.PROTOCOL_ERROR, "push is disabled")
            case _:
                pass

    def _check_stream(self, stream: int) -> None:
        if not stream & 1 or stream >= self._next_id:
            raise Fault(frames.PROTOCOL_ERROR, f"a frame for stream {stream}, which is not ours")

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        size = len(payload)
        self._window -= size
        if self._window < 0:
            raise Fault(frames.FLOW_CONTROL_ERROR, "more data than the window allows")
        call = self._streams.get(stream)
        if call is None:
            self._check_stream(stream)
            self._credit += size
            return
        call.held += size
        if flags & frames.PADDED:
            payload = frames.unpadded(payload, flags)
        if call.head is None:
            self._malformed(stream, "data before headers")
        elif flags & frames.END_STREAM and not call.data:
            call.data = payload
            self._finish(stream, call)
        else:
            self._grow(stream, call, flags, payload)

    def _grow(self, stream: int, call: Call, flags: int, payload: bytes) -> None:
        if not isinstance(call.data, bytearray):
            call.data = bytearray(call.data)
        call.data += payload
        if len(call.data) > BODY_LIMIT or call.held >= STREAM_WINDOW:
            self._too_large(stream)
        elif flags & frames.END_STREAM:
            self._finish(stream, call)

    def _on_headers(self, flags: int, stream: int, payload: bytes) -> None:
        self._check_stream(stream)
        if flags & frames.PADDED:
            payload = frames.unpadded(payload, flags)
        if flags & frames.PRIORITISED:
            if len(payload) < 5:
                raise Fault(frames.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._on_block(flags, stream, payload)
        else:
            self._block = (stream, flags, [payload])

    def _on_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != stream:
            raise Fault(frames.PROTOCOL_ERROR, "CONTINUATION out of place")
        _, first_flags, pieces = self._block
        pieces.append(payload)
        if len(pieces) > CONTINUATIONS or sum(map(len, pieces)) > LIST_LIMIT:
            raise Fault(frames.ENHANCE_YOUR_CALM, "header block too large")
        if flags & frames.END_HEADERS:
            self._block = None
            self._on_block(first_flags, stream, b"".join(pieces))

    def _on_block(self, flags: int, stream: int, block: bytes) -> None:
        """A whole header block; it is decoded even for a stream that is gone, since it may move the table."""
        head = self._decoder.decode(block)
        call = self._streams.get(stream)
        if call is None:
            return
        ends = flags & frames.END_STREAM
        if head.flaw is not None:
            self._malformed(stream, head.flaw)
        elif call.head is not None:
            if head.status or not ends:
                self._malformed(stream, "unlawful trailers")
            else:
                self._finish(stream, call)
        elif head.status >= 200:
            call.head = head
            if ends:
                self._finish(stream, call)
            elif head.length > BODY_LIMIT:
                self._too_large(stream)
        elif head.status < 100 or head.status == 101 or ends:
            self._malformed(stream, "no final status")

    def _finish(self, stream: int, call: Call) -> None:
        """The response is whole."""
        head = call.head
        assert head is not None  # the callers have seen its headers
        body = bytes(call.data)
        if head.length not in (-1, len(body)) and not (head.status == 304 or (call.form.head_only and not body)):
            self._malformed(stream, "content-length does not match the body")
            return
        self.answered = True
        self._credit += call.held
        del self._streams[stream]
        if self._uploads.active and self._uploads.drop(stream):
            self.out.append(frames.reset(stream, frames.CANCEL))
        call.settle(Response(head.status, head.headers, body), self._now)

    def _too_large(self, stream: int) -> None:
        self._give_up(stream, frames.CANCEL, NoAnswer("the response body is larger than 1 MiB", "too_large"))

    def _malformed(self, stream: int, flaw: str) -> None:
        self._give_up(stream, frames.PROTOCOL_ERROR, NoAnswer(f"malformed response: {flaw}", "protocol"))

    def _give_up(self, stream: int, code: int, outcome: NoAnswer) -> None:
        self.out.append(frames.reset(stream, code))
        self._end(stream, outcome)

    def _end(self, stream: int, outcome: Exchange) -> None:
        call = self._streams.pop(stream)
        self._uploads.drop(stream)
        self._credit += call.held
        call.settle(outcome, self._now)

    def _on_reset(self, stream: int, payload: bytes) -> None:
        self._check_stream(stream)
        code = _long(payload)
        call = self._streams.get(stream)
        if call is None:
            return
        name = frames.error_name(code)
        if code == frames.REFUSED_STREAM and call.head is None:
            self._end(stream, NotSent(f"the peer refused the stream ({name})", "refused"))
        else:
            self._end(stream, NoAnswer(f"the peer reset the stream ({name})", "reset"))

    def _on_window(self, stream: int, payload: bytes) -> None:
        increment = _long(payload) & frames.MAX_WINDOW
        if stream == 0:
            if increment == 0:
                raise Fault(frames.PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
            self._uploads.widen(increment)
            return
        self._check_stream(stream)
        if stream in self._streams and (increment == 0 or not self._uploads.widen_stream(stream, increment)):
            code = frames.FLOW_CONTROL_ERROR if increment else frames.PROTOCOL_ERROR
            self._give_up(stream, code, NoAnswer("unlawful WINDOW_UPDATE", "protocol"))

    def _on_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Fault(frames.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise Fault(frames.FRAME_SIZE_ERROR, "SETTINGS acknowledgement with a payload")
            if not self.ready:
                raise Fault(frames.PROTOCOL_ERROR, "the peer did not begin with SETTINGS")
            return
        if len(payload) % frames.SETTING.size:
            raise Fault(frames.FRAME_SIZE_ERROR, "SETTINGS of an odd length")
        for key, value in frames.SETTING.iter_unpack(payload):
            self._on_setting(key, value)
        self.ready = True
        self.out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _on_setting(self, key: int, value: int) -> None:
        match key:
            case frames.MAX_CONCURRENT_STREAMS:
                self._max_streams = min(value, self._own_limit)
            case frames.INITIAL_WINDOW_SIZE:
                self._uploads.set_initial(value)
            case frames.MAX_FRAME_SIZE:
                self._uploads.set_frame_size(value)
            case frames.HEADER_TABLE_SIZE:
                self._encoder.resize(value)
            case frames.ENABLE_PUSH if value:
                raise Fault(frames.PROTOCOL_ERROR, "a server may not enable push")
            case _:
                pass

    def _on_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Fault(frames.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise Fault(frames.FRAME_SIZE_ERROR, "PING of a wrong length")
        if not flags & frames.ACK:
            self.out.append(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, stream: int, payload: bytes) -> None:
        """What lies above the named stream was not processed; what lies below may still be answered."""
        if stream:
            raise Fault(frames.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise Fault(frames.FRAME_SIZE_ERROR, "GOAWAY too short")
        last, code = frames.TWO_LONGS.unpack_from(payload)
        self.draining = True
        self._goaway_at = min(self._goaway_at, last & frames.MAX_STREAM_ID)
        debug = payload[8:208].decode("utf-8", "replace")
        outcome = NotSent(f"the peer is going away ({frames.error_name(code)}) {debug}".rstrip(), "goaway")
        for stream_id in [each for each in self._streams if each > self._goaway_at]:
            if self._streams[stream_id].head is None:
                self._end(stream_id, outcome)


def _long(payload: bytes) -> int:
    if len(payload) != 4:
        raise Fault(frames.FRAME_SIZE_ERROR, "a frame of a wrong length")
    value: int = frames.LONG.unpack(payload)[0]
    return value


def _greeting() -> bytes:
    """The preface, our settings, and the connection's window."""
    ours = {
        frames.ENABLE_PUSH: 0,
        frames.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
        frames.MAX_HEADER_LIST_SIZE: LIST_LIMIT,
    }
    return frames.PREFACE + frames.settings(ours) + frames.window_update(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW)
