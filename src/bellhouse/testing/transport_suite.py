"""What every HTTP transport must do, as tests to inherit: one class, run on each implementation over TLS and h2."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache

from h2.errors import ErrorCodes

from bellhouse.ports.provider import Exchange, NoAnswer, NotSent, Request, Response, Transport
from bellhouse.testing.certificates import make_certificates
from bellhouse.testing.h2_peer import Answer, Arrived, H2Server, Peer, answer_ok

PATIENCE_S = 10.0

certificates = cache(make_certificates)


def requests(count: int, *, path: str = "/send", body: Callable[[int], bytes] | None = None) -> list[Request]:
    """Requests with the headers of a provider; the body says which one it is."""
    headers = {"authorization": "Bearer abc", "content-type": "application/json"}
    return [Request("POST", path, headers, body(i) if body else b'{"number": %d}' % i) for i in range(count)]


async def outcomes(transport: Transport, sent: Sequence[Request], timeout_s: float = PATIENCE_S) -> list[Exchange]:
    """Exchange, and check the port's promise: each request is reported once, with a duration, before it returns."""
    seen: dict[int, Exchange] = {}

    def report(index: int, outcome: Exchange, seconds: float) -> None:
        assert index not in seen, f"request {index} was reported twice"
        assert 0 <= seconds <= timeout_s + 2
        seen[index] = outcome

    await transport.exchange(sent, report, timeout_s)
    assert sorted(seen) == list(range(len(sent))), "a request was not reported"
    return [seen[index] for index in range(len(sent))]


class TransportSuite(ABC):
    """Inherit it in a test module as `class TestX(TransportSuite)` and say how a transport is opened."""

    @abstractmethod
    def open(self, url: str, ca_pem: bytes) -> Transport:
        """A transport to `url` that speaks h2 and trusts `ca_pem`."""

    @asynccontextmanager
    async def to(self, answer: Answer = answer_ok) -> AsyncIterator[tuple[Transport, H2Server]]:
        """A transport and its server."""
        async with H2Server(certificates(), answer) as server:
            transport = self.open(server.url, server.certificates.ca_pem)
            try:
                yield transport, server
            finally:
                await transport.close()

    async def test_each_request_gets_its_own_answer_in_whatever_order_they_come(self) -> None:
        waiting: list[tuple[Peer, Arrived]] = []

        def answer(peer: Peer, request: Arrived) -> None:
            waiting.append((peer, request))
            if len(waiting) == 50:
                for each, arrived in reversed(waiting):
                    answer_ok(each, arrived)
                    each.flush()

        async with self.to(answer) as (transport, _):
            sent = requests(50)
            answers = await outcomes(transport, sent)
        assert [each.body for each in answers if isinstance(each, Response)] == [each.body for each in sent]

    async def test_a_request_arrives_as_it_was_given(self) -> None:
        async with self.to() as (transport, server):
            headers = {"Authorization": "Bearer abc", "x-thing": "1"}
            await outcomes(transport, [Request("PUT", "/v1/a?b=c%20d", headers, b"body")])
        (arrived,) = server.requests
        assert (arrived.headers[":method"], arrived.path, bytes(arrived.body)) == ("PUT", "/v1/a?b=c%20d", b"body")
        assert (arrived.headers["authorization"], arrived.headers["x-thing"]) == ("Bearer abc", "1")

    async def test_an_answer_is_read_whole_whatever_its_status(self) -> None:
        def answer(peer: Peer, request: Arrived) -> None:
            peer.respond(request.stream, 503, b"later", **{"Retry-After".lower(): "7"})

        async with self.to(answer) as (transport, _):
            (got,) = await outcomes(transport, requests(1))
        assert isinstance(got, Response)
        assert (got.status, got.headers["retry-after"], got.body) == (503, "7", b"later")

    async def test_a_redirect_is_an_answer_and_is_not_followed(self) -> None:
        def answer(peer: Peer, request: Arrived) -> None:
            peer.respond(request.stream, 302, location="/elsewhere")

        async with self.to(answer) as (transport, server):
            (got,) = await outcomes(transport, requests(1))
        assert isinstance(got, Response)
        assert got.status == 302
        assert len(server.requests) == 1

    async def test_large_bodies_pass_both_ways(self) -> None:
        async with self.to() as (transport, _):
            sent = requests(3, body=lambda i: bytes([65 + i]) * 300_000)
            answers = await outcomes(transport, sent)
        assert [each.body for each in answers if isinstance(each, Response)] == [each.body for each in sent]

    async def test_many_requests_in_flight_all_arrive_once(self) -> None:
        async with self.to() as (transport, server):
            answers = await outcomes(transport, requests(600))
        assert all(isinstance(each, Response) for each in answers)
        assert set(Counter(bytes(each.body) for each in server.requests).values()) == {1}
        assert len(server.requests) == 600

    async def test_a_refused_stream_was_not_sent(self) -> None:
        async with self.to(_reset(ErrorCodes.REFUSED_STREAM)) as (transport, _):
            (got,) = await outcomes(transport, requests(1))
        assert isinstance(got, NotSent)

    async def test_a_stream_that_is_reset_otherwise_has_no_answer_and_is_not_repeated(self) -> None:
        for code in (ErrorCodes.CANCEL, ErrorCodes.INTERNAL_ERROR):
            async with self.to(_reset(code)) as (transport, server):
                (got,) = await outcomes(transport, requests(1))
            assert isinstance(got, NoAnswer)
            assert len(server.requests) == 1

    async def test_goaway_below_a_stream_means_it_was_not_sent(self) -> None:
        def answer(peer: Peer, _: Arrived) -> None:
            peer.h2.close_connection(last_stream_id=0)
            peer.flush()
            peer.drop()

        async with self.to(answer) as (transport, _):
            (got,) = await outcomes(transport, requests(1))
        assert isinstance(got, NotSent)

    async def test_a_connection_cut_after_the_request_leaves_it_unanswered_and_is_not_repeated(self) -> None:
        async with self.to(lambda peer, _: peer.drop()) as (transport, server):
            (got,) = await outcomes(transport, requests(1))
        assert isinstance(got, NoAnswer)
        assert len(server.requests) == 1

    async def test_silence_is_no_answer_after_the_timeout(self) -> None:
        async with self.to(lambda _peer, _: None) as (transport, _):
            answers = await outcomes(transport, requests(3), timeout_s=0.3)
        assert {type(each) for each in answers} == {NoAnswer}
        assert {each.code for each in answers if isinstance(each, NoAnswer)} == {"timeout"}

    async def test_the_next_exchange_finds_a_new_connection(self) -> None:
        def answer(peer: Peer, request: Arrived) -> None:
            if len(peer.server.peers) == 1:
                peer.drop()
            else:
                answer_ok(peer, request)

        async with self.to(answer) as (transport, _):
            first = await outcomes(transport, requests(1))
            second = await outcomes(transport, requests(1))
        assert isinstance(first[0], NoAnswer)
        assert isinstance(second[0], Response)

    async def test_where_nobody_listens_nothing_is_sent(self) -> None:
        async with H2Server(certificates()) as server:
            url = server.url
        transport = self.open(url, certificates().ca_pem)
        (got,) = await outcomes(transport, requests(1))
        await transport.close()
        assert isinstance(got, NotSent)
        assert got.code == "connect"

    async def test_a_server_of_an_unknown_authority_is_told_nothing(self) -> None:
        async with H2Server(certificates()) as server:
            transport = self.open(server.url, make_certificates().ca_pem)
            (got,) = await outcomes(transport, requests(1))
            await transport.close()
            assert isinstance(got, NotSent)
            assert got.code == "connect"
            assert server.requests == []

    async def test_a_server_of_another_name_is_told_nothing(self) -> None:
        other = make_certificates("elsewhere.example")
        async with H2Server(other) as server:
            transport = self.open(server.url, other.ca_pem)
            (got,) = await outcomes(transport, requests(1))
            await transport.close()
            assert isinstance(got, NotSent)
            assert server.requests == []

    async def test_a_header_that_may_not_be_written_is_not_sent_and_harms_no_other(self) -> None:
        bad = Request("POST", "/send", {"x-thing": "a\r\nb: c"}, b"")
        async with self.to() as (transport, _):
            answers = await outcomes(transport, [bad, *requests(1)])
        assert isinstance(answers[0], NotSent)
        assert isinstance(answers[1], Response)

    async def test_an_empty_batch_is_done_at_once(self) -> None:
        async with self.to() as (transport, _):
            assert await outcomes(transport, []) == []

    async def test_closing_twice_is_lawful(self) -> None:
        async with self.to() as (transport, _):
            await outcomes(transport, requests(1))
            await transport.close()
            await transport.close()


def _reset(code: ErrorCodes) -> Answer:
    def answer(peer: Peer, request: Arrived) -> None:
        peer.h2.reset_stream(request.stream, code)

    return answer
