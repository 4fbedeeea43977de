"""What a mail costs us: the pipelining client beside aiosmtplib, against the same raw server in a process of its own.

Run `python benchmarks/smtp_client.py [mails] [connections] [reply delay in ms]`; prints CPU microseconds per mail.
"""

import asyncio
import multiprocessing
import os
import sys
import time
from multiprocessing.connection import Connection
from typing import cast

import aiosmtplib
import uvloop

from bellhouse.domain.attempt import Verdict, name_of
from bellhouse.domain.content import EmailContent
from bellhouse.domain.ids import DeliveryId
from bellhouse.ports.provider import Message
from bellhouse.providers.smtp.config import SmtpConfig
from bellhouse.providers.smtp.mime import Mail, mail_writer
from bellhouse.providers.smtp.send import SmtpProvider

_HTML = "<html><body><h1>Hello Zoe</h1>" + "<p>Your order 12345 is on its way and comes tomorrow.</p>\n" * 24
_TEXT = "Hello Zoe,\nyour order 12345 is on its way.\n" * 9


class _Clock:
    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Relay(asyncio.Protocol):
    """Says yes to everything, after a delay that all replies of one read share."""

    delay_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        self.buffer = b""
        self.in_data = False
        self.transport.write(b"220 bench\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        answers = []
        while True:
            end = self.buffer.find(b"\r\n.\r\n" if self.in_data else b"\r\n")
            if end < 0:
                break
            word, self.buffer = self.buffer[:4].upper(), self.buffer[end + (5 if self.in_data else 2) :]
            answers.append(self.answer(word))
        if answers and not self.delay_s:
            self.transport.write(b"".join(answers))
        elif answers:
            asyncio.get_running_loop().call_later(self.delay_s, self.write, b"".join(answers))

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def answer(self, word: bytes) -> bytes:
        if self.in_data:
            self.in_data = False
            return b"250 2.0.0 Ok: queued as 0123456789\r\n"
        if word == b"DATA":
            self.in_data = True
            return b"354 go\r\n"
        if word == b"QUIT":
            return b"221 bye\r\n"
        return (
            b"250-bench\r\n250-SIZE 30000000\r\n250-DSN\r\n250 PIPELINING\r\n"
            if word == b"EHLO"
            else b"250 2.1.0 Ok\r\n"
        )


def _serve(pipe: Connection, delay_s: float) -> None:
    async def main() -> None:
        _Relay.delay_s = delay_s
        server = await asyncio.get_running_loop().create_server(_Relay, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


def _messages(count: int) -> list[Message]:
    content = EmailContent("Your order is on its way", _TEXT, _HTML, "order:1:en")
    return [
        Message(DeliveryId(os.urandom(15) + b"\1"), 1, "email", "normal", f"u{i}@example.com", content, 3600)
        for i in range(count)
    ]


async def _ours(port: int, mails: int, connections: int) -> float:
    config = SmtpConfig("127.0.0.1", "a@example.com", "example.com", port, "none", connections=connections)
    provider = SmtpProvider(config, _Clock())
    await provider.start()
    messages = _messages(mails)
    seen: list[str] = []

    def report(_index: int, verdict: Verdict, _seconds: float) -> None:
        seen.append(name_of(verdict) if name_of(verdict) == "accepted" else str(verdict))

    began, clock = time.process_time(), time.perf_counter()
    for at in range(0, mails, 200):
        await provider.send(messages[at : at + 200], report)
    cost = (time.process_time() - began) / mails * 1e6
    print(f"ours: {mails / (time.perf_counter() - clock):.0f} mails/s")
    await provider.stop()
    assert seen.count("accepted") == mails, [s for s in seen if s != "accepted"][:3]
    return cost


async def _theirs(port: int, mails: int, connections: int) -> float:
    write = mail_writer(SmtpConfig("127.0.0.1", "a@example.com", "example.com", port, "none"))
    messages = iter(_messages(mails))

    async def lane() -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        await client.connect()
        for message in messages:
            mail = write(message, 1_700_000_000)
            assert isinstance(mail, Mail)
            await client.sendmail(mail.sender, [mail.recipient], mail.data[: -len(b".\r\n")])
        await client.quit()

    began = time.process_time()
    await asyncio.gather(*(lane() for _ in range(connections)))
    return (time.process_time() - began) / mails * 1e6


def _assembly(mails: int) -> tuple[float, int]:
    write = mail_writer(SmtpConfig("127.0.0.1", "a@example.com", "example.com"))
    messages = _messages(mails)
    began = time.process_time()
    for message in messages:
        mail = write(message, 1_700_000_000)
    cost = (time.process_time() - began) / mails * 1e6
    assert isinstance(mail, Mail)
    return cost, len(mail.data)


def main() -> None:
    """Measure assembly, our client and aiosmtplib, and print the ratio."""
    mails, connections, delay_ms = [int(a) for a in sys.argv[1:]] + [20_000, 4, 0][len(sys.argv) - 1 :]
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, delay_ms / 1000), daemon=True)
    process.start()
    port: int = here.recv()
    try:
        assembly, size = _assembly(mails)
        ours = uvloop.run(_ours(port, mails, connections))
        theirs = uvloop.run(_theirs(port, mails, connections))
    finally:
        process.terminate()
    print(f"a mail of {size} bytes, {connections} connections, replies after {delay_ms} ms")
    print(f"assembly alone      {assembly:6.1f} us")
    print(f"our client          {ours:6.1f} us, assembly included")
    print(f"aiosmtplib          {theirs:6.1f} us, assembly included, ratio {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
