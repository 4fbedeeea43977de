"""What each provider costs us beside the network: CPU microseconds per message for check, encoding and verdict.

Run `python benchmarks/providers.py [messages]`; the transport answers at once with the provider's own success.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bellhouse.adapters.clock import SystemClock
from bellhouse.domain.attempt import Verdict
from bellhouse.domain.content import Content, EmailContent, PushContent, SmsContent
from bellhouse.domain.ids import DeliveryId
from bellhouse.domain.words import Channel
from bellhouse.ports.provider import Exchange, Message, Provider, Request, Response
from bellhouse.providers.fcm.config import FcmConfig
from bellhouse.providers.fcm.send import FcmProvider
from bellhouse.providers.log.send import LogProvider
from bellhouse.providers.sendgrid.config import SendGridConfig
from bellhouse.providers.sendgrid.send import SendGridProvider
from bellhouse.providers.twilio.config import TwilioConfig
from bellhouse.providers.twilio.send import TwilioProvider
from bellhouse.providers.vonage.config import VonageConfig
from bellhouse.providers.vonage.send import VonageProvider
from bellhouse.security.signatures import ReceiptKey

_BATCH = 500
_PUSH = PushContent("Your order is on its way", "Order 12345 left the warehouse and will arrive tomorrow.")
_MAIL = EmailContent("Your order", "It is on its way.\n" * 20, "<p>It is on its way.</p>\n" * 60)
_SMS = SmsContent("Your code is 123456")


class _Answers:
    """A transport that answers everything alike, at once."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self._response = Response(status, {}, body)

    async def exchange(
        self, requests: Sequence[Request], report: Callable[[int, Exchange, float], None], timeout_s: float
    ) -> None:
        assert timeout_s > 0
        for index in range(len(requests)):
            report(index, self._response, 0.1)

    async def close(self) -> None:
        """Nothing to close."""


def _providers() -> dict[str, tuple[Provider, Channel, str, Content]]:
    clock = SystemClock()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    token = _Answers(b'{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}')
    name = _Answers(b'{"name":"projects/p/messages/0:1500415314455276%31bd1c9631bd1c96"}')
    sid = _Answers(b'{"sid":"SM1","status":"queued","num_segments":"1","price":null,"error_code":null}', 201)
    part = _Answers(b'{"message-count":"1","messages":[{"message-id":"0A","status":"0","message-price":"0.03"}]}')
    fcm = FcmConfig("p", "e@x", key.decode(), receipt_secret=b"x" * 32)
    back = "https://bell.example/callbacks/x"
    return {
        "log": (LogProvider(), "push", "t" * 160, _PUSH),
        "fcm": (FcmProvider(fcm, name, token, clock), "push", "t" * 160, _PUSH),
        "sendgrid": (
            SendGridProvider(SendGridConfig("SG", "a@b.example"), _Answers(b"", 202), clock),
            "email",
            "zoe@example.com",
            _MAIL,
        ),
        "twilio": (
            TwilioProvider(TwilioConfig("AC1", "t", "+15005550006", callback_url=back), sid, clock),
            "sms",
            "+447700900123",
            _SMS,
        ),
        "vonage": (
            VonageProvider(VonageConfig("k", "s", "Bell", callback_url=back), part, clock),
            "sms",
            "+447700900123",
            _SMS,
        ),
    }


async def _measure(name: str, provider: Provider, batch: list[Message], rounds: int) -> None:
    def report(_index: int, _verdict: Verdict, _seconds: float) -> None:
        """Whoever is told does nothing."""

    await provider.start()
    began = time.process_time()
    for _ in range(rounds):
        for message in batch:
            provider.check(message)
    checked = time.process_time()
    for _ in range(rounds):
        await provider.send(batch, report)
    sent = time.process_time()
    each = 1e6 / (rounds * len(batch))
    print(f"{name:10} check {(checked - began) * each:5.2f} us   send {(sent - checked) * each:6.2f} us")


def main() -> None:
    """Measure every provider, and the receipt token alone."""
    rounds = max(1, int(sys.argv[1]) // _BATCH if len(sys.argv) > 1 else 100)
    for name, (provider, channel, address, content) in _providers().items():
        batch = [
            Message(DeliveryId(os.urandom(15) + b"\1"), 1, channel, "high", address, content, 3600)
            for _ in range(_BATCH)
        ]
        asyncio.run(_measure(name, provider, batch, rounds))
    token, delivery = ReceiptKey(b"x" * 32).token, os.urandom(16)
    began = time.process_time()
    for _ in range(rounds * _BATCH):
        token(delivery, 1)
    print(f"receipt token {(time.process_time() - began) / (rounds * _BATCH) * 1e6:.2f} us")


if __name__ == "__main__":
    main()
