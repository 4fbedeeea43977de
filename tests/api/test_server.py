"""The server on a real socket: slow, huge, broken and too many, each answered in words and with bounded memory."""

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from bellhouse.app.server import HttpServer
from bellhouse.testing.clock import ManualClock
from bellhouse.web.limits import Limits
from tests.api.face import ASKED, Face

DEADLINE_S = 20.0


@dataclass
class Served:
    """A running server and its clock."""

    face: Face
    server: HttpServer
    clock: ManualClock
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def head(self, length: int | None, path: str = "/v1/notifications", extra: str = "") -> bytes:
        size = "" if length is None else f"Content-Length: {length}\r\n"
        return (
            f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {self.face.token}\r\n"
            f"Content-Type: application/json\r\n{size}{extra}\r\n"
        ).encode()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """The next answer on a connection: its status and its JSON."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)).decode()
    length = int(next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("content-length")))
    body = await asyncio.wait_for(reader.readexactly(length), DEADLINE_S)
    return int(head.split(" ")[1]), json.loads(body)


async def closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
    except ConnectionResetError:
        return True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def limits() -> Limits:
    return Limits(connections=8, request_timeout_s=5, header_bytes=4_096)


@pytest.fixture
async def served(face: Face, limits: Limits) -> AsyncIterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0))
    clock = ManualClock()
    server = HttpServer(face.app, limits, listener, clock, 1.0)
    await server.start()
    running = asyncio.create_task(server.run())
    yield Served(face, server, clock, listener.getsockname()[1])
    server.drain()
    await asyncio.wait_for(running, DEADLINE_S)
    await server.stop()


async def test_requests_on_one_connection_are_answered_in_order(served: Served) -> None:
    reader, writer = await served.connect()
    body = msgspec.json.encode(ASKED)
    writer.write((served.head(len(body)) + body) * 2 + served.head(2) + b"{}")
    assert [(await answer_of(reader))[0] for _ in range(3)] == [202, 202, 422]
    writer.close()


@pytest.mark.parametrize("part", ["nothing", "half a head", "a head", "half a body", "a chunk"])
async def test_a_request_that_does_not_arrive_is_ended_in_words(served: Served, part: str) -> None:
    reader, writer = await served.connect()
    sent = {
        "nothing": b"",
        "half a head": served.head(10)[:40],
        "a head": served.head(10),
        "half a body": served.head(10) + b"{",
        "a chunk": served.head(None, extra="Transfer-Encoding: chunked\r\n") + b"1\r\n{\r\n",
    }
    writer.write(sent[part])
    await writer.drain()
    await until(lambda: len(served.server._server.server_state.connections) == 1)
    await asyncio.sleep(0.05)
    await served.clock.advance(4)
    assert len(served.server._server.server_state.connections) == 1
    await served.clock.advance(3)
    assert (await answer_of(reader))[1]["code"] == "request_timeout"
    assert await closed(reader)
    writer.close()


async def test_a_connection_between_requests_is_not_hurried(served: Served) -> None:
    reader, writer = await served.connect()
    body = msgspec.json.encode(ASKED)
    writer.write(served.head(len(body)) + body)
    assert (await answer_of(reader))[0] == 202
    await served.clock.advance(30)
    writer.write(served.head(len(body)) + body)
    assert (await answer_of(reader))[0] == 202
    writer.close()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/v1/notifications", "/v1/notifications/batch", "/v1/recipients/batch"])
async def test_a_body_of_100_megabytes_is_refused_and_never_held(served: Served, path: str, chunked: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reader, writer = await served.connect()
    size, piece = 100_000_000, b" " * 100_000
    extra = "Transfer-Encoding: chunked\r\n" if chunked else ""
    writer.write(served.head(None if chunked else size, path, extra))

    async def pour() -> None:
        try:
            for _ in range(size // len(piece)):
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                await writer.drain()
        except ConnectionError:
            return

    pouring = asyncio.create_task(pour())
    status, problem = await answer_of(reader)
    assert (status, problem["code"]) == (413, "body_too_large")
    await asyncio.wait_for(pouring, DEADLINE_S)
    writer.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


async def test_a_head_without_end_is_refused(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"GET / HTTP/1.1\r\n")
    for number in range(10_000):
        writer.write(b"x-%d: %b\r\n" % (number, b"y" * 100))
    status, problem = await answer_of(reader)
    assert (status, problem["code"]) == (400, "bad_request")
    writer.close()


async def test_what_is_no_http_is_answered_as_a_problem(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"\x16\x03\x01\x02\x00 this is TLS\r\n\r\n")
    status, problem = await answer_of(reader)
    assert (status, problem["code"]) == (400, "bad_request")
    writer.close()


async def test_connections_beyond_the_limit_are_refused_and_the_held_ones_work(served: Served) -> None:
    held = [await served.connect() for _ in range(8)]
    await until(lambda: len(served.server._server.server_state.connections) == 8)
    for _ in range(20):
        reader, writer = await served.connect()
        status, problem = await answer_of(reader)
        assert (status, problem["code"]) == (503, "too_many_connections")
        assert await closed(reader)
        writer.close()
    body = msgspec.json.encode(ASKED)
    reader, writer = held[3]
    writer.write(served.head(len(body)) + body)
    assert (await answer_of(reader))[0] == 202
    for _, writer in held:
        writer.close()
    await until(lambda: not served.server._server.server_state.connections)
    reader, writer = await served.connect()
    writer.write(served.head(len(body)) + body)
    assert (await answer_of(reader))[0] == 202
    writer.close()


async def test_a_drain_finishes_what_is_under_way(served: Served) -> None:
    reader, writer = await served.connect()
    body = msgspec.json.encode({"notifications": [ASKED] * 1_000})
    writer.write(served.head(len(body), "/v1/notifications/batch") + body)
    await until(lambda: bool(served.server._server.server_state.tasks))
    served.server.drain()
    status, answer = await answer_of(reader)
    assert (status, len(answer["results"])) == (202, 1_000)
    writer.close()
