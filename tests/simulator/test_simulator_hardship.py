"""Bad input, floods, restarts: the simulator survives what it does to others."""

import contextlib
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bellhouse.engines.ports import free_ports

from .outside import DEADLINE_S, Outside, call, eventually, running


def exchange(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while more := sock.recv(65_536):
                answer += more
        return answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: -5\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n", b"413"),
        (b"GET /" + b"a" * 70_000, b"431"),
        (b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n", b"404"),
        (b"PUT /dials/%ff HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}", b"404"),
        (b"GET /receipts?since=x HTTP/1.1\r\nhost: x\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request_is_refused_in_words(outside: Outside, data, status):
    assert exchange(outside.ready["port"], data).split(b" ")[1] == status
    assert call(outside.ready["url"], "GET", "/healthz").json() == {"status": "ok"}


def test_a_chunked_body_is_read(outside: Outside):
    text = b'{"outage": "503"}'
    body = b"".join(b"%x\r\n%b\r\n" % (1, text[at : at + 1]) for at in range(len(text))) + b"0\r\n\r\n"
    head = b"PUT /dials/fcm HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    assert b"200 OK" in exchange(outside.ready["port"], head + body)
    assert outside.client.dials()["fcm"]["outage"] == "503"


def test_calls_written_at_once_are_answered_in_order(outside: Outside):
    one = b"GET /dials/%b HTTP/1.1\r\nhost: x\r\n%b\r\n"
    data = one % (b"fcm", b"") + one % (b"nobody", b"") + one % (b"smtp", b"connection: close\r\n")
    answer = exchange(outside.ready["port"], data)
    assert [part.split(b" ")[1] for part in answer.split(b"HTTP/1.1")[1:] for part in [b"x" + part]] == [
        b"200",
        b"404",
        b"200",
    ]


def test_a_call_that_comes_byte_by_byte_is_a_call(outside: Outside):
    with socket.create_connection(("127.0.0.1", outside.ready["port"]), timeout=DEADLINE_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"PUT /dials/fcm HTTP/1.1\r\nhost: x\r\ncontent-length: 17\r\n\r\n" + b'{"outage": "503"}':
            sock.sendall(bytes([byte]))
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_noise_on_any_port_harms_nobody(outside: Outside):
    dice = random.Random(7)
    ports = [outside.ready[name] for name in ("port", "tls_port", "smtp_port")]
    ports += outside.ready["provider_ports"].values()
    for port in ports:
        for size in (1, 100, 20_000):
            exchange(port, dice.randbytes(size) + b"\r\n\r\n")
    exchange(ports[0], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + dice.randbytes(5000))
    assert outside.push().status == 200
    assert outside.process.poll() is None


def test_a_flood_of_connections_is_cut_and_the_rest_served():
    with running("--max-connections", "20") as outside:
        with contextlib.ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(socket.create_connection(("127.0.0.1", outside.ready["smtp_port"])))
            assert outside.vonage().status == 200
        eventually(lambda: b"220" in exchange(outside.ready["smtp_port"], b"QUIT\r\n"))


def test_a_pause_between_head_and_body_is_answered_with_100(outside: Outside):
    with socket.create_connection(("127.0.0.1", outside.ready["port"]), timeout=DEADLINE_S) as sock:
        sock.sendall(b"PUT /dials/fcm HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_the_same_directory_gives_the_same_credentials(tmp_path: Path):
    def secret_part(known: dict) -> list[str]:
        return [
            known["fcm"]["service_account"]["private_key"],
            known["twilio"]["auth_token"],
            known["sendgrid"]["api_key"],
            known["smtp"]["password"],
            known["ca_pem"],
        ]

    with running("--dir", str(tmp_path)) as outside:
        first = secret_part(outside.known)
    with running("--dir", str(tmp_path)) as outside:
        assert secret_part(outside.known) == first
    with running() as outside:
        assert not set(secret_part(outside.known)) & set(first)
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o077 == 0


def test_fixed_ports_follow_from_the_first():
    base = free_ports(7)
    with running("--port", str(base)) as outside:
        assert outside.ready["port"] == base
        assert list(outside.ready["provider_ports"].values()) == [base + 1, base + 2, base + 3, base + 4]
        assert (outside.ready["tls_port"], outside.ready["smtp_port"]) == (base + 5, base + 6)
        again = subprocess.run(
            [sys.executable, "-m", "bellhouse.simulator", "--port", str(base)],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    assert again.returncode == 1
    assert f"cannot listen on 127.0.0.1:{base}" in again.stderr
    assert "Traceback" not in again.stderr


def test_it_stops_when_it_is_told():
    with running() as outside:
        outside.process.terminate()
        assert outside.process.wait(DEADLINE_S) == 0


def test_it_needs_nothing_else_of_the_product():
    code = "import bellhouse.simulator.world, sys; print([m for m in sys.modules if m.startswith('bellhouse.')])"
    environment = {name: value for name, value in os.environ.items() if name != "BELLHOUSE_SETTINGS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert all(name.startswith("'bellhouse.simulator") for name in done.stdout.strip("[]\n").split(", "))
