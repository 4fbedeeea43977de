"""What no peer can do: make a request be reported twice or never, or make reading raise; and HPACK against a second."""

import asyncio

from hpack import Decoder as OtherDecoder
from hpack import Encoder as OtherEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.transport.h2 import H2Transport
from bellhouse.adapters.transport.h2 import frames as wire
from bellhouse.adapters.transport.h2.decoder import Decoder
from bellhouse.adapters.transport.h2.encoder import Encoder, Form
from bellhouse.ports.provider import NoAnswer, NotSent
from bellhouse.testing.h2_peer import Arrived, H2Server, Peer
from bellhouse.testing.transport_suite import certificates, outcomes, requests
from tests.transport.server_side import Bench

BLOCKS = st.sampled_from(
    [b"\x88", b"\x88\x5c\x014", b"\x89", b"\x08\x03103", b"\x40\x01a\x01b", b"\xbe", b"\x20\x88", b"\x8d\x0f\x0d\x013"]
)
STREAMS = st.sampled_from([0, 1, 1, 1, 3, 3, 5, 5, 7, 2, 99])
PAYLOADS = st.one_of(
    BLOCKS,
    st.binary(max_size=40),
    st.builds(wire.TWO_LONGS.pack, st.integers(0, 7), st.integers(0, 14)),
    st.builds(wire.LONG.pack, st.one_of(st.integers(0, 14), st.integers(0, 2**32 - 1))),
    st.builds(
        wire.SETTING.pack, st.integers(0, 7), st.one_of(st.integers(0, 3), st.integers(0, 70_000), st.just(2**32 - 1))
    ),
)
RANDOM_FRAMES = st.builds(wire.frame, st.integers(0, 11), st.sampled_from([0, 1, 4, 5, 8, 9, 0x2D]), STREAMS, PAYLOADS)
LIKELY_FRAMES = st.one_of(
    st.builds(wire.frame, st.just(wire.HEADERS), st.sampled_from([4, 4, 5, 0]), st.sampled_from([1, 3, 5, 7]), BLOCKS),
    st.builds(wire.frame, st.just(wire.CONTINUATION), st.sampled_from([4, 0]), st.sampled_from([1, 3, 5]), BLOCKS),
    st.builds(
        wire.frame, st.just(wire.DATA), st.sampled_from([0, 1]), st.sampled_from([1, 3, 5, 7]), st.binary(max_size=9)
    ),
    st.builds(wire.reset, st.sampled_from([1, 3, 5, 7]), st.integers(0, 14)),
    st.builds(wire.window_update, st.sampled_from([0, 1, 3, 5]), st.integers(0, 100_000)),
    st.builds(
        lambda last, code: wire.frame(wire.GOAWAY, 0, 0, wire.TWO_LONGS.pack(last, code)),
        st.sampled_from([0, 1, 3, 2**31 - 1]),
        st.integers(0, 14),
    ),
    st.builds(lambda key, value: wire.settings({key: value}), st.integers(1, 6), st.sampled_from([0, 1, 5, 20_000])),
)
CHUNKS = st.lists(
    st.one_of(LIKELY_FRAMES, LIKELY_FRAMES, RANDOM_FRAMES, st.binary(max_size=60), st.just(b"expire"), st.just(b"ask")),
    max_size=30,
)


@settings(max_examples=500, deadline=None)
@given(CHUNKS, st.integers(1, 50))
def test_whatever_a_peer_writes_each_request_is_reported_once_when_the_connection_ends(chunks, cut):
    bench = Bench(settings={wire.INITIAL_WINDOW_SIZE: 10, wire.MAX_CONCURRENT_STREAMS: 3})
    bench.ask(b"a", b"", b"a body longer than its window", b"d", b"e")
    for chunk in chunks:
        bench.now += 1
        if chunk == b"ask":
            bench.ask(b"more", timeout_s=3)
        elif chunk == b"expire":
            bench.session.expire(bench.now)
        else:
            bench.give(chunk[:cut])
            bench.give(chunk[cut:])
        bench.taken()
    written = bench._count - sum(not call.settled for call in bench.queue)
    bench.session.lost("end", NoAnswer("end", "reset"), bench.now)
    assert len(bench.outcomes) == written
    assert bench.session.in_flight == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(LIKELY_FRAMES, RANDOM_FRAMES, st.binary(max_size=200)), max_size=12), st.booleans())
def test_whatever_a_server_writes_an_exchange_ends_with_one_outcome_each(chunks, cut):
    def answer(peer: Peer, request: Arrived) -> None:
        if request.stream == 5 and len(peer.server.peers) == 1:
            peer.write(b"".join(chunks))
            if cut and peer.wire is not None:
                peer.wire.close()

    async def run() -> None:
        async with H2Server(certificates(), answer) as server:
            transport = H2Transport(server.url, SystemClock(), ca_pem=server.certificates.ca_pem)
            await outcomes(transport, requests(4), timeout_s=0.15)
            await transport.close()

    asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=100))
def test_a_server_that_greets_with_noise_is_told_nothing(noise):
    def greet(peer: Peer) -> None:
        if peer.wire is not None:
            peer.wire.write(noise)
            peer.wire.close()

    async def run() -> None:
        async with H2Server(certificates()) as server:
            server.greet = greet
            transport = H2Transport(server.url, SystemClock(), ca_pem=server.certificates.ca_pem)
            answers = await outcomes(transport, requests(2), timeout_s=2)
            await transport.close()
            assert {type(each) for each in answers} == {NotSent}
            assert server.requests == []

    if noise[3:4] != bytes([wire.SETTINGS]):
        asyncio.run(run())


NAMES = st.sampled_from([b"x-a", b"x-b", b"authorization", b"content-type", b"accept", b":method"])
VALUES = st.sampled_from([b"", b"1", b"POST", b"v" * 60, b"w" * 300, b"\xff\x00", b"u" * 5_000])
FORMS = st.lists(st.tuples(NAMES, VALUES), max_size=5).map(lambda fields: Form(tuple(fields)))
PATHS = st.sampled_from([b"/", b"/a", b"/" + b"p" * 200, b"/index.html"])
STEPS = st.lists(st.one_of(st.tuples(PATHS, FORMS), st.sampled_from([0, 60, 500, 4_096, 65_536])), max_size=40)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_what_our_encoder_writes_another_decoder_reads(steps):
    ours, other = Encoder(), OtherDecoder()
    for step in steps:
        if isinstance(step, int):
            ours.resize(step)
            other.max_allowed_table_size = step
            continue
        path, form = step
        for _ in range(3):
            read = other.decode(ours.packed(path, form).block, raw=True)
            assert [tuple(field) for field in read] == [(b":path", path), *form.fields]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from(["x-a", "x-b", "date", "via"]), st.text("ab~\xe9", max_size=90), max_size=4
            ),
            st.booleans(),
            st.sampled_from([None, 0, 50, 300, 4_096]),
        ),
        max_size=40,
    )
)
def test_what_another_encoder_writes_our_decoder_reads(steps):
    ours, other = Decoder(), OtherEncoder()
    for fields, huffman, size in steps:
        if size is not None:
            other.header_table_size = size
        listed = [(":status", "200"), *((name, value.encode("latin-1")) for name, value in fields.items())]
        for _ in range(2):
            head = ours.decode(bytes(other.encode(listed, huffman=huffman)))
            assert (head.status, dict(head.headers)) == (200, fields)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=80))
def test_no_header_block_makes_the_decoder_raise_anything_but_a_fault(block):
    decoder = Decoder()
    for _ in range(2):
        try:
            decoder.decode(block)
        except wire.Fault:
            decoder = Decoder()
