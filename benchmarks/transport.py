"""What a call over HTTP/2 and TLS costs: CPU and memory of the client process alone, each transport in its own process.

    python benchmarks/transport.py [--calls 60000] [--in-flight 4000] [--batch 500] [--url https://… --ca ca.pem]

Without `--url` a small server in a third process answers each request after 50 to 300 ms. The table's last columns
are ratios to the first row: they hold from machine to machine, the absolutes do not.
"""

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict, deque
from pathlib import Path
from typing import cast

import uvloop
from hpack import Encoder

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.transport.h2 import H2Transport
from bellhouse.adapters.transport.h2 import frames as wire
from bellhouse.adapters.transport.pyreqwest import PyreqwestTransport, TransportConfig
from bellhouse.ports.provider import Exchange, Request, Response, Transport
from bellhouse.testing.certificates import Certificates, make_certificates

KINDS = ("h2", "pyreqwest")
STREAMS = 10_000
WINDOW = 8 * 1_048_576
TICK_S = 0.005
BODY_BYTES = 69


class Answering(asyncio.Protocol):
    """A server's connection that looks at no header: whatever is whole is answered after its latency."""

    def __init__(self) -> None:
        self.rest = b""
        self.begun = False
        self.due: dict[int, list[int]] = defaultdict(list)
        self.encoder = Encoder()
        self.block, self.block_of = b"", 0
        self.received = 0
        self.window = wire.DEFAULT_WINDOW
        self.ready: deque[int] = deque()
        self.wire: asyncio.Transport | None = None
        self.random = random.Random(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = cast(asyncio.Transport, transport)
        greeting = wire.settings({wire.MAX_CONCURRENT_STREAMS: STREAMS, wire.INITIAL_WINDOW_SIZE: WINDOW})
        self.wire.write(greeting + wire.window_update(0, WINDOW))
        asyncio.get_running_loop().call_later(TICK_S, self.tick)

    def connection_lost(self, _: Exception | None) -> None:
        self.wire = None

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        at = 0
        if not self.begun and len(data) >= len(wire.PREFACE):
            self.begun, at = True, len(wire.PREFACE)
        out = []
        now = time.monotonic()
        while len(data) - at >= wire.HEAD_BYTES:
            high, low, kind, flags, stream = wire.HEAD.unpack_from(data, at)
            size = high << 16 | low
            if at + wire.HEAD_BYTES + size > len(data):
                break
            payload = at + wire.HEAD_BYTES
            at = payload + size
            if kind == wire.DATA:
                self.received += size
            if kind in (wire.DATA, wire.HEADERS) and flags & wire.END_STREAM:
                self.due[int((now + self.random.uniform(0.05, 0.3)) / TICK_S)].append(stream)
            elif kind == wire.SETTINGS and not flags:
                out.append(wire.frame(wire.SETTINGS, wire.ACK, 0))
            elif kind == wire.WINDOW_UPDATE and not stream:
                self.window += wire.LONG.unpack_from(data, payload)[0]
            elif kind == wire.PING and not flags:
                out.append(wire.frame(wire.PING, wire.ACK, 0, data[payload:at]))
        self.rest = data[at:]
        if self.received > WINDOW // 2:
            out.append(wire.window_update(0, self.received))
            self.received = 0
        if out and self.wire is not None:
            self.wire.write(b"".join(out))

    def tick(self) -> None:
        """Answer what is due; the header block is indexed but for a new date once a second, as real servers' are."""
        if self.wire is None:
            return
        out = []
        now = int(time.monotonic() / TICK_S)
        for moment in [each for each in self.due if each <= now]:
            self.ready.extend(self.due.pop(moment))
        while self.ready and self.window >= BODY_BYTES:
            self.window -= BODY_BYTES
            stream = self.ready.popleft()
            body = b'{"name": "projects/demo/messages/0:1795000000000000%%%015x"}' % stream
            out.append(wire.frame(wire.HEADERS, wire.END_HEADERS, stream, self.headers(now // 200)))
            out.append(wire.frame(wire.DATA, wire.END_STREAM, stream, body))
        if out:
            self.wire.write(b"".join(out))
        asyncio.get_running_loop().call_later(TICK_S, self.tick)

    def headers(self, second: int) -> bytes:
        if second != self.block_of or not self.block:
            fields = [
                (":status", "200"),
                ("content-type", "application/json; charset=UTF-8"),
                ("vary", "Origin, X-Origin, Referer"),
                ("date", f"Mon, 23 Nov 2026 10:{second // 60 % 60:02}:{second % 60:02} GMT"),
                ("server", "scaffolding on HTTPServer2"),
                ("x-content-type-options", "nosniff"),
            ]
            first = self.encoder.encode(fields)
            self.block, self.block_of = self.encoder.encode(fields), second
            return first
        return self.block


async def serve(certificates: Certificates) -> None:
    """Listen on a free port, print it, stay until killed."""
    server = await asyncio.get_running_loop().create_server(
        Answering, "127.0.0.1", 0, ssl=certificates.server_context("h2")
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def transport(kind: str, url: str, ca: bytes, in_flight: int) -> Transport:
    if kind == "h2":
        return H2Transport(url, SystemClock(), ca_pem=ca)
    return PyreqwestTransport(TransportConfig(url, http2=True, in_flight=in_flight, ca_pem=ca))


def request(headers: dict[str, str], number: int) -> Request:
    """One push, as the FCM provider writes it."""
    message = {
        "token": f"{number:0152x}",
        "notification": {"title": "Your order is on its way", "body": f"Parcel {number} leaves our house today."},
        "data": {"delivery_id": f"{number:036x}", "notification_id": f"{number:036x}", "attempt": "1"},
        "android": {"priority": "high", "ttl": "3600s"},
    }
    return Request("POST", "/v1/projects/demo/messages:send", headers, json.dumps({"message": message}).encode())


async def measure(kind: str, url: str, ca: bytes, calls: int, in_flight: int, batch: int) -> None:
    """One transport, with `in_flight / batch` exchanges at a time; prints one JSON object."""
    client = transport(kind, url, ca, in_flight)
    headers = {"authorization": "Bearer " + "a" * 220, "content-type": "application/json"}
    requests = [request(headers, number) for number in range(batch)]
    outcomes: Counter[str] = Counter()
    took: list[float] = []

    def report(_: int, outcome: Exchange, seconds: float) -> None:
        outcomes[str(outcome.status) if isinstance(outcome, Response) else outcome.code] += 1
        took.append(seconds)

    async def work(rounds: int) -> None:
        for _ in range(rounds):
            await client.exchange(requests, report, 30.0)

    workers = max(1, in_flight // batch)
    await asyncio.gather(*(work(1) for _ in range(workers)))
    outcomes.clear()
    took.clear()
    before = resident_mb("VmRSS")
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(max(1, calls // batch // workers)) for _ in range(workers)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    done = outcomes.total()
    took.sort()
    figures = {
        "us": cpu / done * 1e6,
        "rate": done / wall,
        "rss": resident_mb("VmHWM"),
        "base": before,
        "p50": took[done // 2] * 1e3,
        "p99": took[done * 99 // 100] * 1e3,
        "outcomes": dict(outcomes),
    }
    print(json.dumps(figures))
    await client.close()


def resident_mb(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def compare(options: argparse.Namespace) -> None:
    """Run each kind in a process of its own and print the table."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        ca, url = options.ca or Path(folder, "ca.pem"), options.url
        if url is None:
            server = stack.enter_context(subprocess.Popen(command("serve", "--ca", ca), stdout=subprocess.PIPE))
            stack.callback(server.terminate)
            assert server.stdout is not None
            url = f"https://localhost:{int(server.stdout.readline())}"
        load = ("--calls", options.calls, "--in-flight", options.in_flight, "--batch", options.batch)
        rows = {
            kind: json.loads(
                subprocess.check_output(command("measure", "--kind", kind, "--url", url, "--ca", ca, *load))
            )
            for kind in options.kinds.split(",")
        }
    print(f"{options.calls} calls, {options.in_flight} in flight, batches of {options.batch}")
    print(
        f"{'transport':<12}{'CPU µs/call':>12}{'calls/s':>9}{'peak MB':>9}{'p50 ms':>8}{'p99 ms':>8}"
        f"{'× CPU':>8}{'× MB':>7}  outcomes"
    )
    first = next(iter(rows.values()))
    for kind, row in rows.items():
        print(
            f"{kind:<12}{row['us']:>12.1f}{row['rate']:>9.0f}{row['rss']:>9.0f}{row['p50']:>8.0f}{row['p99']:>8.0f}"
            f"{row['us'] / first['us']:>8.1f}{row['rss'] / first['rss']:>7.1f}  {row['outcomes']}"
        )


def command(*words: object) -> list[str]:
    return [sys.executable, __file__, *map(str, words)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", nargs="?", choices=("compare", "serve", "measure"), default="compare")
    parser.add_argument("--kind", choices=KINDS, default="h2")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--url")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--calls", type=int, default=60_000)
    parser.add_argument("--in-flight", type=int, default=4_000)
    parser.add_argument("--batch", type=int, default=500)
    options = parser.parse_args()
    match options.act:
        case "serve":
            certificates = make_certificates()
            options.ca.write_bytes(certificates.ca_pem)
            uvloop.run(serve(certificates))
        case "measure":
            arguments = (options.url, options.ca.read_bytes(), options.calls, options.in_flight, options.batch)
            uvloop.run(measure(options.kind, *arguments))
        case _:
            compare(options)


if __name__ == "__main__":
    main()
