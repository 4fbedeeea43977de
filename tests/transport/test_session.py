"""One HTTP/2 connection: what it writes, what it makes of what comes, and what it says of each request."""

import pytest

from bellhouse.adapters.transport.h2 import frames as wire
from bellhouse.adapters.transport.h2.session import BODY_LIMIT, CONNECTION_WINDOW
from bellhouse.ports.provider import NoAnswer, NotSent, Response
from tests.transport.server_side import Bench, body_of, codes, streams

OK = (":status", "200")


def answer_of(bench: Bench, index: int) -> Response:
    outcome = bench.outcomes[index]
    assert isinstance(outcome, Response)
    return outcome


def test_nothing_is_written_before_the_peer_has_told_its_limits():
    bench = Bench(greet=False)
    bench.ask(b"a")
    assert streams(bench.taken()) == []
    bench.give(wire.settings({wire.MAX_CONCURRENT_STREAMS: 1}))
    assert streams(bench.taken()) == [1]


def test_a_peer_that_does_not_begin_with_settings_is_left():
    bench = Bench(greet=False)
    bench.give(wire.frame(wire.PING, 0, 0, bytes(8)))
    assert codes(bench.taken(), wire.GOAWAY) == [wire.PROTOCOL_ERROR]
    assert bench.session.dead


def test_the_limit_of_streams_is_kept_and_the_rest_waits():
    bench = Bench(settings={wire.MAX_CONCURRENT_STREAMS: 2})
    bench.ask(b"a", b"b", b"c")
    assert streams(bench.taken()) == [1, 3]
    assert bench.session.full
    bench.give(bench.ok(3))
    assert streams(bench.taken()) == [5]
    bench.give(wire.settings({wire.MAX_CONCURRENT_STREAMS: 0}), bench.ok(1))
    bench.ask(b"d")
    assert streams(bench.taken()) == []


def test_repeated_headers_become_single_bytes():
    bench = Bench()
    bench.ask(*[b"x"] * 5, headers={"authorization": "Bearer " + "t" * 300, "content-type": "application/json"})
    blocks = [payload for kind, _, _, payload in bench.taken() if kind == wire.HEADERS]
    assert [dict(bench.decoder.decode(block))["authorization"] for block in blocks] == ["Bearer " + "t" * 300] * 5
    assert len(blocks[-1]) == 7


def test_headers_longer_than_a_frame_go_on_in_continuations():
    bench = Bench()
    bench.ask(b"body", headers={"x-long": "v" * 40_000})
    frames = bench.taken()
    assert [kind for kind, *_ in frames] == [wire.HEADERS, wire.CONTINUATION, wire.CONTINUATION, wire.DATA]
    assert [flags for _, flags, *_ in frames] == [0, 0, wire.END_HEADERS, wire.END_STREAM]
    assert dict(bench.decoder.decode(b"".join(frame[3] for frame in frames[:3])))["x-long"] == "v" * 40_000


def test_a_request_without_a_body_ends_with_its_headers():
    bench = Bench()
    bench.ask(b"")
    assert [(kind, flags) for kind, flags, *_ in bench.taken()] == [(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM)]


def test_a_smaller_header_table_is_obeyed_and_a_larger_one_too():
    bench = Bench()
    for size in (0, 100, 65_536, 4_096):
        bench.give(wire.settings({wire.HEADER_TABLE_SIZE: size}))
        bench.decoder.max_allowed_table_size = size
        bench.ask(*[b"x"] * 4, headers={"authorization": f"Bearer {size}", "x-a": "1"})
        for kind, _, _, payload in bench.taken():
            if kind == wire.HEADERS:
                assert dict(bench.decoder.decode(payload))["authorization"] == f"Bearer {size}"


def test_a_body_waits_for_the_windows_and_none_is_overrun():
    bench = Bench(settings={wire.INITIAL_WINDOW_SIZE: 10})
    body = bytes(range(25))
    (index,) = bench.ask(body)
    frames = bench.taken()
    assert body_of(frames, 1) == body[:10]
    bench.give(wire.window_update(1, 5))
    assert body_of(bench.taken(), 1) == body[10:15]
    bench.give(wire.settings({wire.INITIAL_WINDOW_SIZE: 14}))
    assert body_of(bench.taken(), 1) == body[15:19]
    bench.give(wire.settings({wire.INITIAL_WINDOW_SIZE: 0}))
    bench.give(wire.window_update(1, 10))
    assert body_of(bench.taken(), 1) == b""
    bench.give(wire.window_update(1, 10))
    last = bench.taken()
    assert body_of(last, 1) == body[19:]
    assert last[-1][1] == wire.END_STREAM
    bench.give(bench.ok(1))
    assert answer_of(bench, index).body == b"fine"


def test_a_body_that_waits_for_the_connection_is_not_overtaken():
    bench = Bench(settings={wire.INITIAL_WINDOW_SIZE: 200_000})
    bench.ask(b"a" * 60_000, b"b" * 10_000, b"c")
    frames = bench.taken()
    assert streams(frames) == [1, 3]
    assert len(body_of(frames, 1)) + len(body_of(frames, 3)) == wire.DEFAULT_WINDOW
    bench.give(wire.window_update(0, 4_464))
    assert len(body_of(bench.taken(), 3)) == 4_464
    bench.give(wire.window_update(0, 100))
    frames = bench.taken()
    assert (body_of(frames, 3), streams(frames), body_of(frames, 5)) == (b"b", [5], b"c")


def test_frames_are_no_larger_than_the_peer_takes():
    bench = Bench(settings={wire.MAX_FRAME_SIZE: 20_000, wire.INITIAL_WINDOW_SIZE: 100_000})
    bench.ask(b"a" * 50_000)
    sizes = [len(payload) for kind, _, _, payload in bench.taken() if kind == wire.DATA]
    assert sizes == [20_000, 20_000, 10_000]


def test_an_answer_in_pieces_is_put_together():
    bench = Bench()
    (index,) = bench.ask(b"a")
    block = bench.encoder.encode([OK, ("Content-Type".lower(), "text/plain"), ("vary", "a"), ("vary", "b")])
    stream = b"".join(
        (
            bench.headers(1, (":status", "103"), ("link", "</x>")),
            wire.frame(wire.HEADERS, wire.PADDED | wire.PRIORITISED, 1, b"\x02" + bytes(5) + block[:3] + bytes(2)),
            wire.frame(wire.CONTINUATION, 0, 1, block[3:7]),
            wire.frame(wire.CONTINUATION, wire.END_HEADERS, 1, block[7:]),
            wire.frame(wire.DATA, wire.PADDED, 1, b"\x03one" + bytes(3)),
            wire.frame(wire.DATA, 0, 1, b" two"),
            wire.frame(77, 255, 1, b"a frame of a kind unknown"),
            bench.headers(1, ("x-sum", "1"), flags=wire.END_HEADERS | wire.END_STREAM),
        )
    )
    for byte in stream:
        bench.give(bytes([byte]))
    answer = answer_of(bench, index)
    assert (answer.status, answer.body) == (200, b"one two")
    assert dict(answer.headers) == {"content-type": "text/plain", "vary": "a, b"}


def test_headers_are_understood_while_the_table_moves():
    bench = Bench()
    indexes = bench.ask(*[b"x"] * 60)
    for number, index in enumerate(indexes):
        name = f"id-{number // 3}"
        if number == 30:
            bench.encoder.header_table_size = 200
        fields = [OK, ("date", "today"), ("x-id", name), ("x-pad", "p" * (number * 7 % 90))]
        bench.give(bench.headers(2 * index + 1, *fields, flags=wire.END_HEADERS | wire.END_STREAM))
        assert answer_of(bench, index).headers["x-id"] == name
        assert answer_of(bench, index).headers["x-pad"] == "p" * (number * 7 % 90)


def test_goaway_tells_what_was_not_processed_and_the_rest_may_still_be_answered():
    bench = Bench(settings={wire.MAX_CONCURRENT_STREAMS: 3})
    first, second, third, queued = bench.ask(b"a", b"b", b"c", b"d")
    bench.taken()
    debug = b'{"reason": "Shutdown"}'
    bench.give(wire.frame(wire.GOAWAY, 0, 0, wire.TWO_LONGS.pack(3, wire.NO_ERROR) + debug))
    assert set(bench.outcomes) == {third}
    outcome = bench.outcomes[third]
    assert isinstance(outcome, NotSent)
    assert outcome.code == "goaway"
    assert "Shutdown" in outcome.reason
    assert not bench.session.usable
    bench.give(bench.ok(1))
    assert answer_of(bench, first).status == 200
    bench.session.lost("gone", NoAnswer("gone", "reset"), bench.now)
    assert isinstance(bench.outcomes[second], NoAnswer)
    assert queued not in bench.outcomes
    assert len(bench.queue) == 1


def test_a_graceful_goaway_ends_no_request():
    bench = Bench()
    (index,) = bench.ask(b"a")
    bench.give(wire.frame(wire.GOAWAY, 0, 0, wire.TWO_LONGS.pack(wire.MAX_STREAM_ID, wire.NO_ERROR)))
    bench.give(bench.ok(1))
    assert answer_of(bench, index).status == 200


@pytest.mark.parametrize(
    ("code", "kind", "name"),
    [
        (wire.REFUSED_STREAM, NotSent, "refused"),
        (wire.CANCEL, NoAnswer, "reset"),
        (wire.NO_ERROR, NoAnswer, "reset"),
        (0xD, NoAnswer, "reset"),
        (0xFFFF, NoAnswer, "reset"),
    ],
)
def test_only_a_refused_stream_was_not_sent(code, kind, name):
    bench = Bench()
    (index,) = bench.ask(b"a")
    bench.give(wire.reset(1, code))
    outcome = bench.outcomes[index]
    assert isinstance(outcome, kind)
    assert outcome.code == name


def test_a_stream_refused_after_its_headers_has_no_answer():
    bench = Bench()
    (index,) = bench.ask(b"a")
    bench.give(bench.headers(1, OK), wire.reset(1, wire.REFUSED_STREAM))
    assert isinstance(bench.outcomes[index], NoAnswer)


def test_a_reset_after_the_answer_changes_nothing():
    bench = Bench()
    (index,) = bench.ask(b"a" * 100_000)
    bench.taken()
    bench.give(bench.ok(1), wire.reset(1, wire.NO_ERROR))
    assert answer_of(bench, index).status == 200
    assert codes(bench.taken(), wire.RST_STREAM) == [wire.CANCEL]


def test_a_timeout_cancels_the_stream_and_a_late_answer_is_ignored():
    bench = Bench()
    early, late = *bench.ask(b"a", timeout_s=1), *bench.ask(b"b", timeout_s=5)
    bench.taken()
    bench.now = 2.5
    bench.session.expire(bench.now)
    assert bench.outcomes == {early: NoAnswer("no answer in time")}
    frames = bench.taken()
    assert codes(frames, wire.RST_STREAM) == [wire.CANCEL]
    bench.give(bench.ok(1), bench.ok(3))
    assert answer_of(bench, late).status == 200


def test_a_peer_that_was_silent_all_the_while_gets_a_ping_and_no_more_requests_until_it_speaks():
    bench = Bench()
    bench.ask(b"a", timeout_s=1)
    bench.now = 3.0
    bench.session.expire(bench.now)
    assert wire.PING in [kind for kind, *_ in bench.taken()]
    assert not bench.session.usable
    bench.give(wire.frame(wire.PING, wire.ACK, 0, b"bellhous"))
    assert bench.session.usable


def test_an_abandoned_batch_is_cancelled_without_a_report():
    bench = Bench()
    bench.ask(b"a")
    batch = next(iter(bench.session._streams.values())).batch
    bench.taken()
    bench.session.abandon(batch)
    assert codes(bench.taken(), wire.RST_STREAM) == [wire.CANCEL]
    bench.give(bench.ok(1))
    assert bench.outcomes == {}


def test_a_body_beyond_the_limit_is_refused_and_one_at_the_limit_is_not():
    bench = Bench()
    large, fits, announced = bench.ask(b"a", b"b", b"c")
    bench.give(
        bench.headers(1, OK), bench.headers(3, OK), bench.headers(5, OK, ("content-length", str(BODY_LIMIT + 1)))
    )
    piece = bytes(16_384)
    for _ in range(BODY_LIMIT // len(piece)):
        bench.give(wire.frame(wire.DATA, 0, 1, piece), wire.frame(wire.DATA, 0, 3, piece))
    assert large not in bench.outcomes
    bench.give(wire.frame(wire.DATA, 0, 1, b"x"), wire.frame(wire.DATA, wire.END_STREAM, 3))
    for index in (large, announced):
        outcome = bench.outcomes[index]
        assert isinstance(outcome, NoAnswer)
        assert outcome.code == "too_large"
    assert len(answer_of(bench, fits).body) == BODY_LIMIT


def test_the_connections_window_is_given_back_as_answers_are_read_whole():
    bench = Bench()
    piece, given, received = bytes(16_384), 0, 0
    for number in range(100):
        bench.ask(b"x")
        bench.give(bench.headers(2 * number + 1, OK))
        for _ in range(32):
            bench.give(wire.frame(wire.DATA, 0, 2 * number + 1, piece))
            received += len(piece)
            assert received - given <= CONNECTION_WINDOW
        bench.give(wire.frame(wire.DATA, wire.END_STREAM, 2 * number + 1))
        given += sum(codes([frame for frame in bench.taken() if frame[2] == 0], wire.WINDOW_UPDATE))
    assert len(bench.outcomes) == 100
    assert received - given < CONNECTION_WINDOW // 2


def test_a_peer_that_overruns_the_connections_window_is_left():
    bench = Bench(max_streams=5_000)
    bench.ask(*[b"x"] * 20)
    bench.taken()
    for stream in range(1, 41, 2):
        bench.give(bench.headers(stream, OK), *[wire.frame(wire.DATA, 0, stream, bytes(16_384))] * 60)
    assert codes(bench.taken(), wire.GOAWAY) == [wire.FLOW_CONTROL_ERROR]
    assert len(bench.outcomes) == 20


@pytest.mark.parametrize(
    "fields",
    [
        (("x-a", "1"),),
        ((":status", "20"),),
        ((":status", "abc"),),
        ((":status", "200"), (":status", "200")),
        (("x-a", "1"), (":status", "200")),
        ((":status", "101"),),
        ((":path", "/"),),
        ((":status", "200"), ("X-Upper", "1")),
        ((":status", "200"), ("content-length", "many")),
        ((":status", "200"), ("content-length", "3")),
    ],
)
def test_a_malformed_answer_is_no_answer_and_costs_only_its_stream(fields):
    bench = Bench()
    bad, good = bench.ask(b"a", b"b")
    bench.taken()
    bench.give(bench.headers(1, *fields), wire.frame(wire.DATA, wire.END_STREAM, 1, b"body"), bench.ok(3))
    outcome = bench.outcomes[bad]
    assert isinstance(outcome, NoAnswer)
    assert outcome.code == "protocol"
    assert answer_of(bench, good).status == 200
    assert codes(bench.taken(), wire.RST_STREAM) == [wire.PROTOCOL_ERROR]


def test_data_before_headers_and_unended_trailers_are_malformed():
    bench = Bench()
    first, second = bench.ask(b"a", b"b")
    bench.give(wire.frame(wire.DATA, 0, 1, b"x"), bench.headers(3, OK), bench.headers(3, ("x-a", "1")))
    assert {type(bench.outcomes[index]) for index in (first, second)} == {NoAnswer}


@pytest.mark.parametrize(
    "frame",
    [
        wire.frame(wire.DATA, 0, 0, b"x"),
        wire.frame(wire.DATA, 0, 2, b"x"),
        wire.frame(wire.DATA, 0, 99, b"x"),
        wire.frame(wire.DATA, wire.PADDED, 1, b"\x05abc"),
        wire.frame(wire.DATA, wire.PADDED, 1, b""),
        wire.frame(wire.HEADERS, wire.END_HEADERS, 0, b""),
        wire.frame(wire.HEADERS, wire.END_HEADERS, 99, b""),
        wire.frame(wire.HEADERS, wire.END_HEADERS, 1, b"\x80"),
        wire.frame(wire.HEADERS, wire.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
        wire.frame(wire.HEADERS, wire.END_HEADERS, 1, b"\xbe"),
        wire.frame(wire.HEADERS, wire.END_HEADERS, 1, b"\x88\x20"),
        wire.frame(wire.HEADERS, wire.END_HEADERS, 1, b"\x3f\xff\xff\x03"),
        wire.frame(wire.HEADERS, wire.END_HEADERS, 1, b"\x40\x05ab"),
        wire.frame(wire.HEADERS, wire.END_HEADERS | wire.PRIORITISED, 1, b"abc"),
        wire.frame(wire.HEADERS, 0, 1, b"\x88") + wire.frame(wire.PING, 0, 0, bytes(8)),
        wire.frame(wire.HEADERS, 0, 1, b"\x88") + wire.frame(wire.CONTINUATION, 0, 3, b"") * 2,
        wire.frame(wire.HEADERS, 0, 1, b"\x88") + wire.frame(wire.CONTINUATION, 0, 1, b"") * 100,
        wire.frame(wire.CONTINUATION, wire.END_HEADERS, 1, b"\x88"),
        wire.frame(wire.RST_STREAM, 0, 1, b"abc"),
        wire.frame(wire.RST_STREAM, 0, 0, bytes(4)),
        wire.frame(wire.SETTINGS, 0, 1),
        wire.frame(wire.SETTINGS, 0, 0, b"abc"),
        wire.frame(wire.SETTINGS, wire.ACK, 0, bytes(6)),
        wire.settings({wire.ENABLE_PUSH: 1}),
        wire.settings({wire.INITIAL_WINDOW_SIZE: 2**31}),
        wire.settings({wire.MAX_FRAME_SIZE: 1}),
        wire.frame(wire.PUSH_PROMISE, wire.END_HEADERS, 1, bytes(4)),
        wire.frame(wire.PING, 0, 1, bytes(8)),
        wire.frame(wire.PING, 0, 0, b"short"),
        wire.frame(wire.GOAWAY, 0, 0, b"short"),
        wire.frame(wire.GOAWAY, 0, 1, bytes(8)),
        wire.window_update(0, 0),
        wire.window_update(0, 2**31 - 1),
        wire.window_update(0, 5)[:-4] + b"ab",
        wire.frame(wire.DATA, 0, 1, bytes(16_385)),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_a_peer_that_breaks_the_protocol_is_left_and_every_request_is_unanswered(frame):
    bench = Bench()
    bench.ask(b"a", b"b")
    bench.taken()
    bench.give(frame, bytes(20))
    assert bench.session.dead
    assert [outcome.code for outcome in bench.outcomes.values()] == ["protocol", "protocol"]
    assert len(codes(bench.taken(), wire.GOAWAY)) == 1


def test_a_header_list_that_unfolds_beyond_all_bounds_is_refused():
    bench = Bench()
    bench.ask(b"a")
    bench.give(bench.headers(1, OK, ("x-bomb", "b" * 4_000)))
    bench.ask(b"b")
    bench.give(wire.frame(wire.HEADERS, wire.END_HEADERS, 3, b"\xbe" * 10_000))
    assert bench.session.dead == "header list too large"


def test_a_ping_is_answered_and_settings_are_acknowledged():
    bench = Bench()
    bench.give(wire.frame(wire.PING, 0, 0, b"12345678"), wire.settings({99: 1}))
    assert bench.taken() == [(wire.PING, wire.ACK, 0, b"12345678"), (wire.SETTINGS, wire.ACK, 0, b"")]


def test_a_connection_whose_ids_are_used_up_takes_no_more():
    bench = Bench()
    bench.session._next_id = wire.MAX_STREAM_ID - 2
    bench.ask(b"a", b"b", b"c")
    assert streams(bench.taken()) == [wire.MAX_STREAM_ID - 2, wire.MAX_STREAM_ID]
    assert bench.session.draining
    assert len(bench.queue) == 1
    bench.give(bench.ok(wire.MAX_STREAM_ID), bench.ok(wire.MAX_STREAM_ID - 2))
    assert len(bench.outcomes) == 2


def test_an_overlarge_stream_window_costs_only_that_stream():
    bench = Bench(settings={wire.INITIAL_WINDOW_SIZE: 1})
    bad, good = bench.ask(b"long", b"b")
    bench.give(wire.window_update(1, 2**31 - 1), wire.window_update(1, 1), bench.ok(3))
    assert isinstance(bench.outcomes[bad], NoAnswer)
    assert answer_of(bench, good).status == 200


def test_after_the_loss_of_a_connection_nothing_is_reported_again():
    bench = Bench()
    bench.ask(b"a", b"b")
    bench.session.lost("gone", NoAnswer("gone", "reset"), bench.now)
    bench.session.lost("again", NoAnswer("again", "reset"), bench.now)
    bench.give(bench.ok(1))
    assert list(bench.outcomes.values()) == [NoAnswer("gone", "reset")] * 2
