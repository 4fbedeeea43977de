"""The HTTP/2 transport over TLS: connections, queue, deadlines, and what becomes of requests when a connection ends."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
import uvloop
from h2.settings import SettingCodes

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.transport.h2 import H2Transport
from bellhouse.adapters.transport.h2 import frames as wire
from bellhouse.ports.provider import Exchange, NoAnswer, NotSent, Request, Response
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.h2_peer import Arrived, H2Server, Peer, answer_ok
from bellhouse.testing.transport_suite import certificates, outcomes, requests


def connect(server: H2Server, clock: SystemClock | ManualClock | None = None, **options: object) -> H2Transport:
    return H2Transport(server.url, clock or SystemClock(), ca_pem=server.certificates.ca_pem, **options)


def kinds(answers: list[Exchange]) -> Counter[str]:
    return Counter(str(each.status) if isinstance(each, Response) else each.code for each in answers)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


def silent(peer: Peer, request: Arrived) -> None:
    """No answer."""


def fall_silent(peer: Peer) -> None:
    """Accept the connection and never say a word."""
    peer.data_received = lambda _: None  # type: ignore[method-assign]  # a peer that reads nothing


async def test_more_connections_are_opened_up_to_the_bound_when_the_streams_of_one_are_used_up():
    async with H2Server(certificates(), silent, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 5}) as server:
        transport = connect(server, connections=3)
        task = asyncio.create_task(outcomes(transport, requests(40)))
        await until(lambda: len(server.requests) == 15)
        assert len(server.peers) == 3
        server.answer = answer_ok
        for peer in server.peers:
            for request in list(peer.arrived.values()):
                answer_ok(peer, request)
            peer.flush()
        assert kinds(await task) == {"200": 40}
        assert len(server.peers) == 3
        await transport.close()


async def test_what_found_no_stream_in_time_was_not_sent():
    async with H2Server(certificates(), silent, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2}) as server:
        transport = connect(server, connections=1)
        answers = await outcomes(transport, requests(5), timeout_s=0.3)
        assert kinds(answers) == {"timeout": 2, "pool": 3}
        await transport.close()


async def test_what_the_queue_has_no_room_for_is_not_sent():
    async with H2Server(certificates()) as server:
        transport = connect(server, queue_limit=10)
        assert kinds(await outcomes(transport, requests(25))) == {"200": 10, "pool": 15}
        await transport.close()


async def test_goaway_in_the_middle_leaves_the_queue_to_a_new_connection():
    def answer(peer: Peer, request: Arrived) -> None:
        if peer is not peer.server.peers[0]:
            answer_ok(peer, request)
        elif request.stream == 9:
            answer_ok(peer, peer.arrived[1])
            peer.write(wire.frame(wire.GOAWAY, 0, 0, wire.TWO_LONGS.pack(5, wire.NO_ERROR)))
            answer_ok(peer, peer.arrived[3])
            peer.flush()
            peer.drop()

    async with H2Server(certificates(), answer, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 5}) as server:
        transport = connect(server, connections=1)
        answers = await outcomes(transport, requests(8))
        first = {int(bytes(each.body).split(b":")[1].strip(b" }")) for each in server.peers[0].arrived.values()}
        assert first == {0, 1, 2, 3, 4}
        assert isinstance(answers[2], NoAnswer)
        assert {type(each) for each in answers[3:5]} == {NotSent}
        assert {type(each) for each in answers[5:]} == {Response}
        await transport.close()


async def test_small_windows_of_the_server_only_slow_the_bodies():
    limits = {SettingCodes.INITIAL_WINDOW_SIZE: 50, SettingCodes.MAX_CONCURRENT_STREAMS: 10}
    async with H2Server(certificates(), settings=limits) as server:
        transport = connect(server)
        sent = requests(30, body=lambda i: bytes([i]) * 700)
        answers = await outcomes(transport, sent)
        assert [each.body for each in answers if isinstance(each, Response)] == [each.body for each in sent]
        assert server.errors == 0
        await transport.close()


async def test_large_answers_to_many_requests_keep_within_our_windows():
    def answer(peer: Peer, request: Arrived) -> None:
        peer.respond(request.stream, 200, bytes(900_000))

    async with H2Server(certificates(), answer) as server:
        transport = connect(server)
        answers = await outcomes(transport, requests(30))
        assert [len(each.body) for each in answers if isinstance(each, Response)] == [900_000] * 30
        await transport.close()


async def test_an_answer_larger_than_the_limit_is_no_answer():
    def answer(peer: Peer, request: Arrived) -> None:
        peer.respond(request.stream, 200, bytes(1_500_000))

    async with H2Server(certificates(), answer) as server:
        transport = connect(server)
        assert kinds(await outcomes(transport, requests(2))) == {"too_large": 2}
        await until(lambda: server.peers[0].resets)
        await transport.close()


async def test_a_cut_connection_leaves_unanswered_what_was_written_and_sends_the_rest_anew():
    def answer(peer: Peer, request: Arrived) -> None:
        if peer is not peer.server.peers[0]:
            answer_ok(peer, request)
        elif request.stream == 5:
            answer_ok(peer, peer.arrived[1])
            peer.flush()
            assert peer.wire is not None
            peer.wire.close()

    async with H2Server(certificates(), answer, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 3}) as server:
        transport = connect(server, connections=1)
        answers = await outcomes(transport, requests(6))
        unanswered = {index for index, each in enumerate(answers) if isinstance(each, NoAnswer)}
        assert unanswered >= {1, 2}
        assert all(isinstance(each, Response) for index, each in enumerate(answers) if index not in unanswered)
        bodies = Counter(bytes(each.body) for each in server.requests)
        assert set(bodies.values()) == {1}
        await transport.close()


async def test_a_server_without_http2_is_told_nothing():
    async with H2Server(certificates(), alpn=("http/1.1",)) as server:
        transport = connect(server)
        assert kinds(await outcomes(transport, requests(2))) == {"connect": 2}
        assert server.requests == []
        await transport.close()


async def test_a_server_that_never_greets_is_no_connection():
    async with H2Server(certificates()) as server:
        server.greet = fall_silent
        transport = connect(server, connect_timeout_s=0.1)
        assert kinds(await outcomes(transport, requests(2))) == {"connect": 2}
        await transport.close()


async def test_a_cancelled_exchange_reports_no_more_and_harms_no_other():
    reported: list[int] = []
    async with H2Server(certificates(), silent, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2}) as server:
        transport = connect(server, connections=1)
        task = asyncio.create_task(transport.exchange(requests(4), lambda index, *_: reported.append(index), 10))
        await until(lambda: len(server.requests) == 2)
        server.answer = answer_ok
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert kinds(await outcomes(transport, requests(3))) == {"200": 3}
        assert sorted(server.peers[0].resets) == [1, 3]
        assert len(server.requests) == 5
        assert reported == []
        await transport.close()


async def test_closing_ends_open_exchanges_and_later_ones_are_not_sent():
    async with H2Server(certificates(), silent, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2}) as server:
        transport = connect(server, connections=1)
        task = asyncio.create_task(outcomes(transport, requests(3)))
        await until(lambda: len(server.requests) == 2)
        await asyncio.gather(transport.close(), transport.close())
        answers = await task
        assert [type(each) for each in answers] == [NoAnswer, NoAnswer, NotSent]
        assert kinds(answers) == {"closed": 3}
        assert kinds(await outcomes(transport, requests(1))) == {"closed": 1}


async def test_closing_while_connecting_leaves_nothing_open():
    async with H2Server(certificates()) as server:
        server.greet = fall_silent
        transport = connect(server)
        task = asyncio.create_task(outcomes(transport, requests(1)))
        await until(lambda: server.peers)
        await transport.close()
        assert kinds(await task) == {"closed": 1}
        await until(lambda: server.lost == 1)


async def test_what_a_report_raises_is_raised_after_all_are_reported():
    seen: list[int] = []

    def report(index: int, *_: object) -> None:
        seen.append(index)
        raise LookupError(index)

    async with H2Server(certificates()) as server:
        transport = connect(server)
        with pytest.raises(LookupError):
            await transport.exchange(requests(3), report, 5)
        assert sorted(seen) == [0, 1, 2]
        assert kinds(await outcomes(transport, requests(1))) == {"200": 1}
        await transport.close()


async def test_the_path_of_the_base_url_comes_before_that_of_the_request():
    async with H2Server(certificates()) as server:
        server.url += "/base/"
        transport = connect(server)
        await outcomes(transport, [Request("POST", "/x?y", {}, b""), Request("POST", "no slash", {}, b"")])
        assert [each.path for each in server.requests] == ["/base/x?y"]
        await transport.close()


@pytest.mark.parametrize("url", ["http://localhost:1", "localhost", "https://"])
async def test_a_url_that_is_not_https_is_refused(url):
    with pytest.raises(ValueError, match="https"):
        H2Transport(url, SystemClock())


async def test_a_silent_connection_is_pinged_and_then_dropped():
    clock = ManualClock()
    async with H2Server(certificates()) as server:
        transport = connect(server, clock, ping_s=20)
        await outcomes(transport, requests(1))
        pings: list[bytes] = []
        peer = server.peers[0]
        peer.data_received = pings.append  # type: ignore[method-assign]  # a peer that no longer answers
        assert peer.wire is not None
        await until(lambda: clock.sleeping)
        await clock.advance(21)
        await clock.advance(20)
        await until(lambda: pings)
        assert wire.frame(wire.PING, 0, 0, b"bellhous") in b"".join(pings)
        await clock.advance(20)
        await until(lambda: server.lost == 1)
        assert kinds(await outcomes(transport, requests(1))) == {"200": 1}
        await transport.close()


async def test_a_living_connection_is_kept():
    clock = ManualClock()
    async with H2Server(certificates()) as server:
        transport = connect(server, clock, ping_s=20)
        await outcomes(transport, requests(1))
        for _ in range(5):
            heard = transport._lines[0].session
            await clock.advance(20)
            await until(lambda: not heard.pinged)  # noqa: B023  # awaited within the turn
        assert (len(server.peers), server.lost) == (1, 0)
        await transport.close()


async def test_after_failures_the_next_attempt_waits_and_a_request_waits_with_it():
    clock = ManualClock()
    async with H2Server(certificates()) as server:
        server.greet = Peer.drop
        transport = connect(server, clock)
        assert kinds(await outcomes(transport, requests(1))) == {"connect": 1}
        for failures in range(1, 5):
            task = asyncio.create_task(outcomes(transport, requests(1), timeout_s=100))
            await until(lambda: clock.sleeping == 2)
            assert len(server.peers) == failures
            await clock.advance(0.1 * 2 ** (failures - 1))
            assert kinds(await task) == {"connect": 1}
            assert len(server.peers) == failures + 1
            await clock.advance(0.1)
        await transport.close()


async def test_a_second_connection_that_fails_is_not_tried_at_every_answer_of_the_first():
    clock = ManualClock()

    def greet(peer: Peer) -> None:
        if len(peer.server.peers) == 1:
            peer.flush()
        else:
            peer.drop()

    async with H2Server(certificates(), settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1}) as server:
        server.greet = greet
        transport = connect(server, clock)
        assert kinds(await outcomes(transport, requests(40))) == {"200": 40}
        assert len(server.peers) <= 3
        await transport.close()


async def test_exchanges_that_begin_together_are_written_together():
    async with H2Server(certificates()) as server:
        transport = connect(server)
        await outcomes(transport, requests(1))
        reads: list[bytes] = []
        peer = server.peers[0]
        peer.data_received = reads.append  # type: ignore[method-assign]  # only counted
        tasks = [asyncio.create_task(outcomes(transport, requests(1), timeout_s=0.2)) for _ in range(50)]
        await asyncio.gather(*tasks)
        assert reads[0].count(b'{"number": 0}') == 50
        await transport.close()


async def test_a_peer_that_does_not_read_gets_no_more_requests_than_it_can_hold():
    limits = {SettingCodes.INITIAL_WINDOW_SIZE: 2**30, SettingCodes.MAX_CONCURRENT_STREAMS: 10_000}
    async with H2Server(certificates(), settings=limits) as server:
        transport = connect(server, connections=1)
        await outcomes(transport, requests(1))
        peer = server.peers[0]
        peer.h2.increment_flow_control_window(2**30)
        peer.flush()
        assert peer.wire is not None
        peer.wire.pause_reading()
        answers = await outcomes(transport, requests(600, body=lambda _: bytes(100_000)), timeout_s=0.5)
        assert kinds(answers)["pool"] > 300
        assert kinds(answers)["timeout"] > 0
        await transport.close()


def test_it_runs_on_uvloop_too():
    async def run() -> Counter[str]:
        async with H2Server(certificates()) as server:
            transport = connect(server)
            try:
                return kinds(await outcomes(transport, requests(3_000)))
            finally:
                await transport.close()

    assert uvloop.run(run()) == {"200": 3_000}
