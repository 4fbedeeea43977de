"""A transport that answers from a script, and a send that holds a provider to the port's promise."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bellhouse.domain.attempt import Verdict
from bellhouse.domain.content import Content, EmailContent, PushContent, SmsContent
from bellhouse.domain.ids import delivery_id, new_notification_ids
from bellhouse.ports.provider import CallbackRequest, Exchange, Message, NoAnswer, NotSent, Provider, Request, Response
from bellhouse.testing.clock import START

NOW = START
RESET = NoAnswer("connection reset", "no_answer")
REFUSED = NotSent("connection refused", "connect")

DELIVERY = delivery_id(new_notification_ids(NOW, 1)[0], 1)


class Script:
    """A Transport: answers every request by calling `answer`, and keeps what it was asked."""

    def __init__(self, answer: Callable[[Request], Exchange] | Exchange) -> None:
        self._answer = answer if callable(answer) else lambda _request: answer
        self.asked: list[Request] = []
        self.closed = False

    async def exchange(
        self, requests: Sequence[Request], report: Callable[[int, Exchange, float], None], timeout_s: float
    ) -> None:
        for index, request in enumerate(requests):
            self.asked.append(request)
            report(index, self._answer(request), 0.25)

    async def close(self) -> None:
        self.closed = True


def answer(status: int, body: Any = b"", **headers: str) -> Response:
    """An answer; a body that is not bytes is written as JSON, `_` in header names is a hyphen."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


HTML_502 = answer(502, b"<!DOCTYPE html><title>Error 502</title>", content_type="text/html; charset=UTF-8")

PUSH = PushContent("Your order", "is on its way")
SMS = SmsContent("Your code is 123456")
MAIL = EmailContent("Your order", "It is on its way.\n", "<p>It is on its way.</p>\n", "order:1:en")


def push(address: str = "token-1", **changes: Any) -> Message:
    return _message(PUSH, "push", address, changes)


def sms(address: str = "+447700900123", **changes: Any) -> Message:
    return _message(SMS, "sms", address, changes)


def mail(address: str = "zoe@example.com", **changes: Any) -> Message:
    return _message(MAIL, "email", address, changes)


def _message(content: Content, channel: Any, address: str, changes: dict[str, Any]) -> Message:
    made = Message(DELIVERY, 1, channel, "high", address, content, 3600)
    return msgspec.structs.replace(made, **changes)


def numbered(message: Message, count: int) -> list[Message]:
    """Copies of a message for different deliveries."""
    ids = new_notification_ids(NOW, count)
    return [msgspec.structs.replace(message, delivery_id=delivery_id(identifier, 1)) for identifier in ids]


async def sent(provider: Provider, *batch: Message) -> list[Verdict]:
    """Send, and hold the provider to its promise: each message is reported once, before `send` returns."""
    seen: dict[int, Verdict] = {}

    def report(index: int, verdict: Verdict, seconds: float) -> None:
        assert index not in seen, f"message {index} was reported twice"
        assert seconds >= 0
        seen[index] = verdict

    await provider.send(batch, report)
    assert sorted(seen) == list(range(len(batch))), "a message was not reported"
    return [seen[index] for index in range(len(batch))]


def callback(
    body: bytes = b"", url: str = "https://bell.example/callbacks/x", method: str = "POST", **headers: str
) -> CallbackRequest:
    """A callback as it comes in; `_` in header names is a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CallbackRequest(method, url, named, body, NOW)


@cache
def private_key() -> str:
    """An RSA key in PEM, made once: it takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
