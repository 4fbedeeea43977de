"""The tenant of the tests: four types that differ by category, one template for all channels, recipients on demand."""

from itertools import count
from typing import Any

from tests.acceptance.client import Client

KINDS = {
    "alert": {"category": "security", "priority": "critical"},
    "order": {"category": "transactional", "priority": "high"},
    "news": {"category": "product", "priority": "normal"},
    "promo": {"category": "marketing", "priority": "low"},
}
CHANNELS = ["push", "email", "sms", "in_app"]

_WORDS = {
    "push": {"title": "Hello {{ who }}", "body": "Number {{ n }}"},
    "email": {"subject": "Hello {{ who }}", "text": "Number {{ n }}", "html": "<p>Number {{ n }}</p>"},
    "sms": {"text": "{{ who }}: number {{ n }}"},
    "in_app": {"title": "Hello {{ who }}", "body": "Number {{ n }}"},
}
DATA = {"who": "Ada", "n": 7}

_numbers = count(1)


def define(client: Client) -> None:
    """Store the template and the types."""
    client.put("/v1/templates/words", {"locales": {"en": _WORDS}, "sample": DATA})
    for name, kind in KINDS.items():
        client.put(f"/v1/types/{name}", {**kind, "channels": CHANNELS, "template": "words"})
    client.put(
        "/v1/types/first",
        {"category": "transactional", "priority": "high", "channels": CHANNELS, "mode": "first", "template": "words"},
    )


class Person:
    """A recipient with one contact point of each kind, all of them nobody else's."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.id = f"person-{number}"
        self.token = f"token-{number:04d}-{'x' * 130}"
        self.email = f"person{number}@example.com"
        self.phone = f"+336{20_000_000 + number}"

    @property
    def contacts(self) -> list[dict[str, Any]]:
        """All contact points, as the API takes them."""
        return [
            {"channel": "push", "address": self.token, "providers": ["fcm"]},
            {"channel": "email", "address": self.email},
            {"channel": "sms", "address": self.phone},
        ]


def person(client: Client, **fields: object) -> Person:
    """Store a new recipient; `fields` go into her record."""
    made = Person()
    client.put(f"/v1/recipients/{made.id}", {"contacts": made.contacts, **fields})
    return made


def of(story: Any, channel: str) -> Any:
    """The one delivery of a story on a channel."""
    (delivery,) = [one for one in story["deliveries"] if one["channel"] == channel]
    return delivery
