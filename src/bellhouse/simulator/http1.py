"""HTTP/1.1, server side: request heads parsed once and remembered, one call at a time per connection."""

import asyncio
from collections.abc import Callable, Iterator
from typing import cast

import httptools

from bellhouse.simulator.clock import monotonic
from bellhouse.simulator.roster import Roster
from bellhouse.simulator.wheel import run_safely
from bellhouse.simulator.wire import Handler, Reply, ReplyHead, RequestHead, json_reply

HEAD_LIMIT = 65_536
BODY_LIMIT = 32 * 1024 * 1024
REQUEST_PATIENCE_S = 30.0
IDLE_PATIENCE_S = 300.0
_KEPT_HEADS = 4096
_KEPT_HEAD_SIZE = 4096

Resolve = Callable[[str, str], Handler]


class BadRequestError(Exception):
    """The peer's bytes are not an HTTP request we can take; `status` says how to refuse."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Fields:
    """Callbacks of httptools while it reads one head."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields[name.decode("latin-1").lower()] = value.decode("latin-1")


class HeadReader:
    """Turns the bytes of a request head into a `RequestHead`, remembering the heads it has seen.

    A keep-alive client repeats its head byte by byte but for the length, so nearly every call is one
    dictionary lookup.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self.known: dict[bytes, RequestHead] = {}

    def read(self, raw: bytes) -> RequestHead:
        """The head in `raw` (with its empty line); raises BadRequestError."""
        head = self.known.get(raw)
        if head is None:
            head = self._parse(raw)
            if len(raw) <= _KEPT_HEAD_SIZE:
                if len(self.known) >= _KEPT_HEADS:
                    self.known.clear()
                self.known[raw] = head
        return head

    def _parse(self, raw: bytes) -> RequestHead:
        seen = _Fields()
        parser = httptools.HttpRequestParser(seen)
        try:
            parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass  # an offer to upgrade may be ignored (RFC 9110, 7.8)
        except httptools.HttpParserError as error:
            raise BadRequestError(400, str(error)) from error
        method = parser.get_method().decode("latin-1")
        path, _, query = seen.target.decode("latin-1").partition("?")
        if "://" in path:
            path = "/" + path.split("://", 1)[1].partition("/")[2]
        fields = seen.fields
        return RequestHead(
            method,
            path,
            query,
            fields,
            parser.should_keep_alive(),
            int(fields.get("content-length", "0")),
            fields.get("transfer-encoding", "").lower().endswith("chunked"),
            self._resolve(method, path),
        )


class Http1(asyncio.Protocol):
    """One connection; it is itself the `Exchange` of the one call it carries at a time."""

    def __init__(self, heads: HeadReader, roster: Roster, http2: Callable[[], asyncio.Protocol]) -> None:
        self._heads = heads
        self._roster = roster
        self._http2 = http2
        self._buffer = bytearray()
        self._head: RequestHead | None = None
        self._keep_alive = True
        self._chunks: list[bytes] = []
        self._busy = False
        self._advancing = False
        self._paused = False
        self._source: Iterator[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self.touched = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses of it
        self.touched = monotonic()
        if not self._roster.admit(self):
            self._transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._source = None
        self._buffer.clear()
        self._roster.leave(self)

    def abort(self) -> None:
        """Cut the connection with a reset."""
        if self._transport is not None:
            self._transport.abort()

    def overdue(self, now: float) -> bool:
        """Whether the peer has kept us waiting too long: for the rest of a request, or for any."""
        if self._busy:
            return False
        started = bool(self._buffer) or self._head is not None
        return now - self.touched > (REQUEST_PATIENCE_S if started else IDLE_PATIENCE_S)

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self.touched = monotonic()
            if data[:3] == b"PRI" and self._head is None and not self._busy:
                self._become_http2(data)
                return
            if not self._busy and self._head is None and self._take_whole(data):
                return
        self._buffer += data
        if not self._busy:
            self._advance()
        elif len(self._buffer) > HEAD_LIMIT and self._transport is not None:
            self._transport.pause_reading()

    def _become_http2(self, data: bytes) -> None:
        """The peer knew beforehand that we speak HTTP/2 (RFC 9113, 3.3)."""
        transport = self._transport
        if transport is not None:
            self._roster.leave(self)
            protocol = self._http2()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            protocol.data_received(data)

    def _take_whole(self, data: bytes) -> bool:
        """Handle `data` without copying it, if it is exactly one call whose head has been seen before."""
        body_at = data.find(b"\r\n\r\n") + 4
        head = self._heads.known.get(data[:body_at])
        if head is None or head.chunked or len(data) - body_at != head.length:
            return False
        self._busy = True
        self._keep_alive = head.keep_alive
        run_safely(head.handler, head, data[body_at:], self)
        return True

    def _advance(self) -> None:
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._buffer and not self._busy and self._transport is not None:
                if not self._take_one():
                    break
        except BadRequestError as error:
            self._busy = True
            self._keep_alive = False
            self.reply(json_reply(error.status, {"error": str(error)}))
        finally:
            self._advancing = False

    def _take_one(self) -> bool:
        head = self._head or self._read_head()
        if head is None:
            return False
        body = self._read_chunked() if head.chunked else self._read_body(head.length)
        if body is None:
            return False
        self._head = None
        self._busy = True
        self._keep_alive = head.keep_alive
        run_safely(head.handler, head, body, self)
        return True

    def _read_head(self) -> RequestHead | None:
        end = self._buffer.find(b"\r\n\r\n", 0, HEAD_LIMIT)
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise BadRequestError(431, "request head too large")
            return None
        head = self._heads.read(bytes(self._buffer[: end + 4]))
        del self._buffer[: end + 4]
        if head.length > BODY_LIMIT:
            raise BadRequestError(413, "request body too large")
        if "expect" in head.fields and len(self._buffer) < head.length and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._head = head
        return head

    def _read_body(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _read_chunked(self) -> bytes | None:
        """Take what chunks have arrived (RFC 9112, 7.1); the whole body once the last one is there."""
        while True:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                return None
            try:
                size = int(bytes(self._buffer[:end]).split(b";")[0], 16)
            except ValueError as error:
                raise BadRequestError(400, "bad chunk size") from error
            if sum(map(len, self._chunks)) + size > BODY_LIMIT:
                raise BadRequestError(413, "request body too large")
            if len(self._buffer) < end + 2 + size + 2:
                return None
            self._chunks.append(bytes(self._buffer[end + 2 : end + 2 + size]))
            del self._buffer[: end + 2 + size + 2]
            if size == 0:
                body = b"".join(self._chunks)
                self._chunks = []
                return body

    def reply(self, reply: Reply) -> bool:
        """Send the answer; False if the caller has gone."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        head, body, date = reply
        if date:
            transport.write(b"%b%d\r\ndate: %b\r\n\r\n%b" % (head.h1, len(body), date, body))
        else:
            transport.write(b"%b%d\r\n\r\n%b" % (head.h1, len(body), body))
        self._done(transport)
        return True

    def _done(self, transport: asyncio.Transport) -> None:
        self._busy = False
        self.touched = monotonic()
        if not self._keep_alive:
            transport.close()
            self._transport = None
        elif self._buffer:
            transport.resume_reading()
            self._advance()

    def stream(self, head: ReplyHead, chunks: Iterator[bytes]) -> None:
        """Answer in chunks, no faster than the caller reads."""
        if self._transport is None:
            return
        first = head.h1.removesuffix(b"content-length: ")
        self._transport.write(first + b"transfer-encoding: chunked\r\n\r\n")
        self._source = chunks
        self._pump()

    def _pump(self) -> None:
        transport, source = self._transport, self._source
        if transport is None or source is None or self._paused:
            return
        chunk = next(source, None)
        if chunk is None:
            self._source = None
            transport.write(b"0\r\n\r\n")
            self._done(transport)
            return
        if chunk:
            transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        asyncio.get_running_loop().call_soon(self._pump)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()

    def drop(self) -> None:
        """Close without an answer."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def refuse(self) -> None:
        """Reset the connection: HTTP/1.1 has no way to say that a request was not processed."""
        self.abort()
