"""The steady light load of a drill: people, types and templates of a small tenant, and some notifications a second."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count, cycle
from math import inf
from typing import Any, Final

import msgspec

from bellhouse.demo.client import Client, Refusal
from bellhouse.ports.clock import Clock

TEMPLATE: Final = "drill"
NEWS: Final = "news"
"""The template of the type of the same name alone: one that may be bad without harm to the others."""
PEOPLE: Final = 400
_BATCH: Final = 6
_EVERY_S: Final = 0.25
_CHUNK: Final = 400

_WORDS: Final = {
    "push": {"title": "Hello {{ who }}", "body": "Number {{ n }}"},
    "email": {"subject": "Hello {{ who }}", "text": "Number {{ n }}", "html": "<p>Number {{ n }}</p>"},
    "sms": {"text": "{{ who }}: number {{ n }}"},
    "in_app": {"title": "Hello {{ who }}", "body": "Number {{ n }}"},
}
_DATA: Final = {"who": "Ada", "n": 7}
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "alert": ("security", "critical"),
    "order": ("transactional", "high"),
    "news": ("product", "normal"),
    "promo": ("marketing", "low"),
}
_MIX: Final = (
    ("order", "push"), ("order", "email"), ("order", "sms"), ("news", "push"), ("news", "email"), ("news", "sms"),
    ("alert", "push"), ("order", "in_app"), ("news", "sms"), ("alert", "sms"), ("order", "email"),
)  # fmt: skip
"""Every channel with several deliveries a second, every priority that somebody waits for."""


def person(number: int, provider: str = "fcm") -> dict[str, Any]:
    """A recipient with a contact point of each kind."""
    return {
        "user_id": f"person-{number}",
        "preferences": {"consent": {"marketing": {"given": True, "source": "drill"}}},
        "contacts": [
            {"channel": "push", "address": f"token-{number:05d}-{'x' * 130}", "providers": [provider]},
            {"channel": "email", "address": f"person{number}@example.com"},
            {"channel": "sms", "address": f"+336{20_000_000 + number}"},
        ],
    }


def template(*, bad: bool = False) -> dict[str, Any]:
    """The template of all types; a bad version asks for what nobody gives."""
    if not bad:
        return {"locales": {"en": _WORDS}, "sample": _DATA}
    words = {
        channel: {part: f"{text} {{{{ code }}}}" for part, text in said.items()} for channel, said in _WORDS.items()
    }
    return {"locales": {"en": words}, "sample": {**_DATA, "code": "A1"}}


async def define(client: Client) -> None:
    """Store template, types and people. Raises Refusal."""
    for name in (TEMPLATE, NEWS):
        await client.put(f"/v1/templates/{name}", template())
    for name, (category, priority) in _KINDS.items():
        body = {
            "category": category,
            "priority": priority,
            "channels": list(_WORDS),
            "template": NEWS if name == NEWS else TEMPLATE,
        }
        await client.put(f"/v1/types/{name}", body)
    await register(client)


async def register(client: Client, provider: str = "fcm") -> None:
    """Store everybody with all contact points, those that have died too, and tokens of `provider`. Raises Refusal."""
    everyone = [person(number, provider) for number in range(PEOPLE)]
    for start in range(0, PEOPLE, _CHUNK):
        await client.post("/v1/recipients/batch", {"recipients": everyone[start : start + _CHUNK]}, object)


class Load:
    """Asks for notifications until it is stopped; what is refused or not answered it does not ask for again."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._mix = cycle(_MIX)
        self._who = count()
        self._running: asyncio.Task[None] | None = None
        self.asked = 0

    def start(self) -> None:
        """Begin; lawful once."""
        self._running = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it; lawful before it began, and twice."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    async def flood(
        self, kind: str, channel: str, how_many: int, client: Client | None = None, per_second: float = inf
    ) -> None:
        """Ask for many, at once or no faster than `per_second`. Raises Refusal."""
        asked = client or self._client
        began = self._clock.monotonic()
        for start in range(0, how_many, 1_000):
            await self._clock.sleep(began + start / per_second - self._clock.monotonic())
            some = [self._body(kind, channel) for _ in range(min(1_000, how_many - start))]
            await asked.post("/v1/notifications/batch", {"notifications": some}, object)

    async def _keep(self) -> None:
        while True:
            some = list(self._some())
            with suppress(Refusal):
                await self._client.ask(
                    "POST", "/v1/notifications/batch", msgspec.json.encode({"notifications": some}), repeatable=False
                )
                self.asked += len(some)
            await self._clock.sleep(_EVERY_S)

    def _some(self) -> Iterator[dict[str, Any]]:
        for _ in range(_BATCH):
            yield self._body(*next(self._mix))

    def _body(self, kind: str, channel: str) -> dict[str, Any]:
        who = next(self._who) % PEOPLE
        return {"user_id": f"person-{who}", "type": kind, "channels": [channel], "data": _DATA}
