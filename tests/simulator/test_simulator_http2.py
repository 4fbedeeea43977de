"""HTTP/2 over TLS, seen by an independent implementation (h2)."""

import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Iterator

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from .outside import DEADLINE_S, Outside, fcm_message


class H2Client:
    """A blocking HTTP/2 client for one connection."""

    def __init__(self, sock: socket.socket, outside: Outside, window: int | None = None) -> None:
        self.sock = sock
        self.outside = outside
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.connection.initiate_connection()
        if window is not None:
            self.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.events: list[h2.events.Event] = []
        self.grants_window = True
        self.flush()

    def flush(self) -> None:
        self.sock.sendall(self.connection.data_to_send())

    def begin(
        self, body: bytes | None = None, path: str | None = None, token: str = "t", trailers: bool = False
    ) -> int:
        stream = self.connection.get_next_available_stream_id()
        if body is None:
            body = json.dumps({"message": fcm_message(token=token)}).encode()
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", path or self.outside.fcm_path),
            ("authorization", self.outside.bearer()),
            ("content-length", str(len(body))),
        ]
        self.connection.send_headers(stream, headers)
        for at in range(0, len(body), 16_000):
            self.connection.send_data(stream, body[at : at + 16_000])
        if trailers:
            self.connection.send_headers(stream, [("x-checksum", "1")], end_stream=True)
        else:
            self.connection.end_stream(stream)
        return stream

    def pump(self) -> bool:
        data = self.sock.recv(65_536)
        if not data:
            return False
        for event in self.connection.receive_data(data):
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived) and self.grants_window and event.flow_controlled_length:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        with contextlib.suppress(ConnectionError):
            self.flush()
        return True

    def wait(self, kind: type, count: int = 1) -> list:
        def found() -> list:
            return [event for event in self.events if isinstance(event, kind)]

        while len(found()) < count:
            assert self.pump(), f"closed before {count} {kind.__name__}"
        return found()

    def status(self, stream: int) -> int:
        response = next(event for event in self.wait(h2.events.ResponseReceived, 1) if event.stream_id == stream)
        return int(dict(response.headers)[b":status"])

    def body(self, stream: int) -> bytes:
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, h2.events.DataReceived) and event.stream_id == stream
        )


@contextlib.contextmanager
def connected(outside: Outside, window: int | None = None) -> Iterator[H2Client]:
    context = ssl.create_default_context(cadata=outside.known["ca_pem"])
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", outside.ready["tls_port"]), timeout=DEADLINE_S)
    with context.wrap_socket(plain, server_hostname="localhost") as sock:
        assert sock.selected_alpn_protocol() == "h2"
        yield H2Client(sock, outside, window)


def frames_in(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The whole frames in `data`, as (type, flags, stream, payload)."""
    while len(data) >= 9:
        high, low, kind, flags, stream = struct.unpack_from(">BHBBL", data)
        size = high << 16 | low
        if len(data) < 9 + size:
            return
        yield kind, flags, stream, data[9 : 9 + size]
        data = data[9 + size :]


def ended_streams(data: bytes) -> list[int]:
    return [stream for kind, flags, stream, _ in frames_in(data) if kind == 0 and flags & 1]


def test_many_streams_are_answered_at_once(outside: Outside):
    outside.client.put_dials("fcm", latency={"kind": "uniform", "min_ms": 1, "max_ms": 40}, dead_tokens=["dead"])
    with connected(outside) as client:
        streams = [client.begin(token="dead" if n % 10 == 0 else "t") for n in range(90)]
        client.flush()
        ended = [event.stream_id for event in client.wait(h2.events.StreamEnded, 90)]
        assert sorted(ended) == streams
        assert ended != streams
        assert client.status(streams[0]) == 404
        assert client.status(streams[1]) == 200
        assert b"UNREGISTERED" in client.body(streams[0])
    assert outside.client.summary()["providers"]["fcm"] == {"accepted": 81, "token_invalid": 9}


def test_it_announces_a_thousand_streams(outside: Outside):
    with connected(outside) as client:
        client.wait(h2.events.RemoteSettingsChanged)
        assert client.connection.remote_settings.max_concurrent_streams == 1000


def test_a_body_of_many_frames_and_trailers_is_one_call(outside: Outside):
    mail = {
        "from": {"email": "a@example.com"},
        "subject": "s",
        "content": [{"type": "text/plain", "value": "x" * 50_000}],
        "personalizations": [{"to": [{"email": "b@example.com"}]}],
    }
    with connected(outside) as client:
        stream = client.begin(json.dumps(mail).encode(), "/v3/mail/send", trailers=True)
        client.flush()
        client.wait(h2.events.StreamEnded)
        assert client.status(stream) == 401
        assert client.begin() > stream
        client.flush()
        client.wait(h2.events.StreamEnded, 2)


def test_an_answer_waits_for_the_clients_window(outside: Outside):
    with connected(outside, window=10) as client:
        stream = client.begin()
        client.flush()
        client.wait(h2.events.StreamEnded)
        body = json.loads(client.body(stream))
        assert body["name"].startswith("projects/")
        sizes = [len(event.data) for event in client.events if isinstance(event, h2.events.DataReceived)]
        assert max(sizes) <= 10


def test_a_lost_answer_breaks_its_stream_and_no_other(outside: Outside):
    outside.client.put_dials("fcm", lost_answers=1)
    with connected(outside) as client:
        lost = client.begin()
        client.flush()
        (reset,) = client.wait(h2.events.StreamReset)
        assert (reset.stream_id, int(reset.error_code)) == (lost, 2)
        outside.client.put_dials("fcm", lost_answers=0)
        client.begin()
        client.flush()
        client.wait(h2.events.StreamEnded)
    assert outside.verdicts() == ["accepted_answer_lost", "accepted"]


def test_a_connection_is_told_to_go_after_its_calls(outside: Outside):
    outside.client.put_dials("fcm", calls_per_connection=3)
    with connected(outside) as client:
        for _ in range(5):
            client.begin()
        client.flush()
        received = b""
        while len(ended_streams(received)) < 3:
            more = client.sock.recv(65_536)
            assert more
            received += more
        assert ended_streams(received) == [1, 3, 5]
        (goaway,) = [payload for kind, _, _, payload in frames_in(received) if kind == 7]
        assert struct.unpack(">LL", goaway[:8]) == (5, 0)
    assert outside.verdicts() == ["accepted"] * 3


def test_a_stream_the_client_gave_up_lost_its_answer(outside: Outside):
    outside.bearer()
    outside.client.put_dials("fcm", latency={"min_ms": 60})
    with connected(outside) as client:
        stream = client.begin()
        client.begin(token="other")
        client.connection.reset_stream(stream, 8)
        client.flush()
        client.wait(h2.events.StreamEnded)
    assert outside.verdicts() == ["accepted_answer_lost", "accepted"]


def test_a_ping_is_answered(outside: Outside):
    with connected(outside) as client:
        client.connection.ping(b"12345678")
        client.flush()
        (answer,) = client.wait(h2.events.PingAckReceived)
        assert answer.ping_data == b"12345678"


def test_a_client_that_knows_beforehand_needs_no_tls(outside: Outside):
    with socket.create_connection(("127.0.0.1", outside.ready["port"]), timeout=DEADLINE_S) as sock:
        client = H2Client(sock, outside)
        client.begin()
        client.flush()
        client.wait(h2.events.StreamEnded)


def test_a_refusing_provider_states_that_nothing_was_processed(outside: Outside):
    with socket.create_connection(("127.0.0.1", outside.ready["port"]), timeout=DEADLINE_S) as sock:
        client = H2Client(sock, outside)
        outside.bearer()
        outside.client.put_dials("fcm", outage="refuse")
        client.begin()
        client.flush()
        (reset,) = client.wait(h2.events.StreamReset)
        assert int(reset.error_code) == 7


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">BHBBL", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"x" * 9 + b"GET / HTTP/1.1\r\n\r\n", 6),
        (frame(0, 1, 1, b"data on an idle stream"), 1),
        (frame(1, 5, 2, b"\x82"), 1),
        (frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 9),
        (frame(1, 1, 1, b"\x82") + frame(6, 0, 0, b"12345678"), 1),
        (frame(9, 4, 1, b"\x82"), 1),
        (frame(5, 4, 1, b"\x82"), 1),
        (frame(6, 0, 0, b"short"), 6),
        (frame(4, 0, 0, b"short"), 6),
        (frame(1, 0, 1, b"\x82") + frame(9, 0, 1, b"x" * 16_000) * 6, 11),
    ],
)
def test_a_peer_that_breaks_the_protocol_is_told_to_go(outside: Outside, frames, code):
    with socket.create_connection(("127.0.0.1", outside.ready["port"]), timeout=DEADLINE_S) as sock:
        client = H2Client(sock, outside)
        sock.sendall(frames)
        (goaway,) = client.wait(h2.events.ConnectionTerminated)
        assert int(goaway.error_code) == code
    assert outside.push().status == 200


def test_a_head_that_is_no_request_costs_its_stream_only(outside: Outside):
    with socket.create_connection(("127.0.0.1", outside.ready["port"]), timeout=DEADLINE_S) as sock:
        client = H2Client(sock, outside)
        stream = client.connection.get_next_available_stream_id()
        client.connection.config.validate_outbound_headers = False
        client.connection.send_headers(stream, [(":method", "POST")], end_stream=True)
        client.flush()
        (reset,) = client.wait(h2.events.StreamReset)
        assert int(reset.error_code) == 1
        client.begin()
        client.flush()
        client.wait(h2.events.StreamEnded)
