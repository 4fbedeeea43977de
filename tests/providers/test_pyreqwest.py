"""What pyreqwest's errors mean over HTTP/1.1, where its exception classes cannot be trusted."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bellhouse.adapters.transport.pyreqwest import PyreqwestTransport, TransportConfig
from bellhouse.ports.provider import Exchange, NoAnswer, NotSent, Request, Response

from .relay import listening

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def exchanged(base_url: str, count: int = 1, timeout_s: float = 2.0, **config: object) -> list[Exchange]:
    """So many POSTs, and what became of each, in their order."""
    transport = PyreqwestTransport(TransportConfig(base_url, **config))  # type: ignore[arg-type]  # fields by name
    seen: dict[int, Exchange] = {}

    def report(index: int, outcome: Exchange, seconds: float) -> None:
        assert index not in seen
        assert seconds >= 0
        seen[index] = outcome

    requests = [Request("POST", f"/v1/send?n={index}", {"x-number": str(index)}, b"body") for index in range(count)]
    try:
        await transport.exchange(requests, report, timeout_s)
    finally:
        await transport.close()
    return [seen[index] for index in range(count)]


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(4)


def saying(answer: bytes, *, hang: bool = False) -> Serve:
    """A server that reads one request, says `answer`, and hangs or hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(answer)
        await writer.drain()
        if hang:
            await asyncio.Event().wait()

    return serve


@pytest.mark.parametrize(
    ("answer", "hang", "code"),
    [
        (b"", False, "no_answer"),
        (b"", True, "timeout"),
        (b"nonsense\r\n\r\n", False, "no_answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", False, "no_answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", True, "timeout"),
    ],
)
async def test_a_request_that_was_written_and_not_answered_is_never_called_not_sent(
    answer: bytes, hang: bool, code: str
) -> None:
    async with listening(saying(answer, hang=hang)) as port:
        (outcome,) = await exchanged(f"http://127.0.0.1:{port}", timeout_s=0.4)
    assert isinstance(outcome, NoAnswer)
    assert outcome.code == code


async def test_where_nobody_listens_nothing_was_sent() -> None:
    async with listening(saying(b"")) as port:
        pass
    (outcome,) = await exchanged(f"http://127.0.0.1:{port}")
    assert isinstance(outcome, NotSent)
    assert outcome.code == "connect"


async def test_tls_to_a_server_without_it_sends_nothing() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(serve) as port:
        (outcome,) = await exchanged(f"https://127.0.0.1:{port}")
    assert isinstance(outcome, NotSent)


async def test_a_handshake_that_does_not_end_sends_nothing() -> None:
    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with listening(serve) as port:
        (outcome,) = await exchanged(f"https://127.0.0.1:{port}", connect_timeout_s=0.2)
    assert isinstance(outcome, NotSent)


async def test_a_call_that_never_had_its_turn_was_not_sent() -> None:
    async with listening(saying(b"", hang=True)) as port:
        transport = PyreqwestTransport(TransportConfig(f"http://127.0.0.1:{port}", in_flight=1, pool_wait_s=0.1))
        outcomes: list[Exchange] = []
        request = Request("POST", "/", {}, b"body")
        calls = (transport.exchange([request], lambda _i, outcome, _s: outcomes.append(outcome), 0.5) for _ in "ab")
        await asyncio.gather(*calls)
        await transport.close()
    assert {type(outcome) for outcome in outcomes} == {NotSent, NoAnswer}
    assert next(each for each in outcomes if isinstance(each, NotSent)).code == "pool"


async def test_connections_are_kept_and_each_answer_finds_its_request() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            head = await _request(reader)
            number = head.lower().partition(b"x-number: ")[2].partition(b"\r\n")[0]
            writer.write(b"HTTP/1.1 202 Accepted\r\nX-Message-Id: %b\r\ncontent-length: 0\r\n\r\n" % number)

    async with listening(serve) as port:
        outcomes = await exchanged(f"http://127.0.0.1:{port}/base", 50, in_flight=4)
    assert all(isinstance(outcome, Response) for outcome in outcomes)
    assert [each.headers["x-message-id"] for each in outcomes if isinstance(each, Response)] == [
        str(index) for index in range(50)
    ]
    assert connections <= 4


@pytest.mark.parametrize(
    "config", [TransportConfig("https://h.example", ca_pem=b"nonsense"), TransportConfig("h.example")]
)
def test_a_base_url_or_authority_that_is_none_is_an_error(config: TransportConfig) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PyreqwestTransport(config)
