"""The generated day: who does what when, the same for the same seed.

A shop with a wallet, from midnight to midnight. People sign in, order, pay, mention one another; what belongs
together comes together (an order is confirmed, then shipped, then announced at the door), a caller that got no answer
asks again under the same key, and a few requests are wrong.
"""

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from typing import Final

import msgspec

from bellhouse.demo.kinds import KINDS
from bellhouse.demo.people import Person, people
from bellhouse.demo.script import Asked, Day, EventLine, RecipientLine, TemplateLine, TypeLine
from bellhouse.demo.wording import templates
from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.words import Channel, Priority

MIDNIGHT: Final = datetime(2026, 11, 23, tzinfo=UTC)
DAY_S: Final = 86_400

_Made = tuple[float, Asked]
"""The second of the day, and what is asked for then."""

_REPEATED: Final = 0.012
_MISDIRECTED: Final = 0.001
_KEY_MISUSED: Final = 0.0002


def generate(seed: int = 7, recipients: int = 5_000, events: int = 50_000) -> Day:
    """The day of `recipients` people and exactly `events` events."""
    rng = random.Random(seed)
    everyone = people(rng, recipients)
    made = _events(rng, everyone, events)
    return Day(
        types=tuple(TypeLine(kind.name, _type_body(kind)) for kind in KINDS),
        templates=tuple(TemplateLine(name, body) for name, body in templates(_channels()).items()),
        recipients=tuple(RecipientLine(p.user_id, p.body) for p in everyone),
        events=tuple(EventLine(_text(second), asked) for second, asked in made),
    )


def _type_body(kind: NotificationType) -> dict[str, object]:
    body = msgspec.json.decode(msgspec.json.encode(kind), type=dict[str, object])
    del body["name"]
    return body


def _channels() -> dict[str, tuple[str, ...]]:
    """Each type's channels; security may be sent by any that reaches, so it has words for all."""
    everywhere = ("push", "email", "sms", "in_app")
    return {kind.name: everywhere if kind.category == "security" else kind.channels for kind in KINDS}


def _text(second: float) -> str:
    at = MIDNIGHT + timedelta(milliseconds=round(second * 1000))
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _events(rng: random.Random, everyone: Sequence[Person], count: int) -> list[_Made]:
    repeated, misdirected, misused = (max(1, round(count * share)) for share in (_REPEATED, _MISDIRECTED, _KEY_MISUSED))
    made = list(islice(_lives(rng, everyone), count - repeated - misdirected - misused))
    keyed = [event for event in made if event[1].idempotency_key and event[0] < DAY_S - 600]
    again = [(second + rng.choice((0.4, 2.0, 30.0, 300.0)), asked) for second, asked in rng.sample(keyed, repeated)]
    wrong = [_misused(second, asked) for second, asked in rng.sample(keyed, misused)]
    lost = [_misdirected(rng, second, asked) for second, asked in rng.sample(made, misdirected)]
    return sorted(made + again + wrong + lost, key=lambda event: event[0])


def _misused(second: float, asked: Asked) -> _Made:
    """The same key for another body: to be refused."""
    return second + 590.0, msgspec.structs.replace(asked, data={**asked.data, "note": "changed"})


def _misdirected(rng: random.Random, second: float, asked: Asked) -> _Made:
    """Somebody whom nobody knows: to be refused."""
    stranger = f"visitor-{rng.randrange(10**6):06d}"
    return second, msgspec.structs.replace(asked, user_id=stranger, idempotency_key=None)


class _Town:
    """What the day's happenings draw from: people, some of them much busier than others, and the hours."""

    def __init__(self, rng: random.Random, everyone: Sequence[Person]) -> None:
        self.rng = rng
        self._everyone = everyone
        self._busy = list(accumulate(rng.lognormvariate(0, 0.9) for _ in everyone))
        self._minutes = list(accumulate(_bustle(minute / 60) for minute in range(DAY_S // 60)))
        self._serial = 0

    def someone(self) -> Person:
        return self._everyone[bisect_left(self._busy, self.rng.random() * self._busy[-1])]

    def time(self) -> float:
        """A second of the day, more likely in the morning, at noon and in the evening."""
        return (bisect_left(self._minutes, self.rng.random() * self._minutes[-1]) + self.rng.random()) * 60

    def key(self, kind: str) -> str:
        self._serial += 1
        return f"{kind}-{self._serial:06d}"

    def amount(self) -> str:
        return f"€ {self.rng.lognormvariate(3.4, 0.8):.2f}"


def _bustle(hour: float) -> float:
    """How busy the product is at an hour: three peaks over a quiet ground."""
    return 0.12 + sum(
        height * math.exp(-(((hour - peak) / width) ** 2))
        for peak, width, height in ((8.5, 1.4, 1.0), (12.5, 1.2, 0.8), (20.0, 2.2, 1.3))
    )


def _lives(rng: random.Random, everyone: Sequence[Person]) -> Iterator[_Made]:
    """Everything that happens, endlessly; what would fall behind midnight does not happen."""
    town = _Town(rng, everyone)
    happenings = list(_HAPPENINGS)
    weights = list(accumulate(_HAPPENINGS[happening] for happening in happenings))
    while True:
        happening = happenings[bisect_left(weights, rng.random() * weights[-1])]
        for event in happening(town):
            if event[0] < DAY_S:
                yield event


def _signing_in(town: _Town) -> Iterator[_Made]:
    rng, who, at = town.rng, town.someone(), town.time()
    name, place = _first(who), rng.choice(("Lyon, FR", "Porto, PT", "Boston, US", "Pune, IN", "Osaka, JP", "Lagos, NG"))
    if rng.random() < 0.7:
        code = f"{rng.randrange(10**6):06d}"
        yield at, Asked(who.user_id, "otp_code", {"code": code}, idempotency_key=town.key("otp"))
    device = f"{rng.choice(('Firefox', 'Chrome', 'Safari'))} on {rng.choice(('Linux', 'Windows', 'macOS', 'Android'))}"
    data: dict[str, object] = {"name": name, "device": device, "place": place}
    yield at + rng.uniform(5, 60), Asked(who.user_id, "login_alert", data, idempotency_key=town.key("login"))
    if rng.random() < 0.08:
        data = {"name": name, "place": place}
        yield at + rng.uniform(60, 400), Asked(who.user_id, "password_changed", data, idempotency_key=town.key("pass"))


def _ordering(town: _Town) -> Iterator[_Made]:
    """Declined sometimes, then confirmed, then shipped, then announced, each announcement in place of the last."""
    rng, who, at, order = town.rng, town.someone(), town.time(), f"B-{town.rng.randrange(10**6):06d}"
    amount = town.amount()
    items = f"{rng.randint(1, 4)} × {rng.choice(_GOODS)}"
    if rng.random() < 0.09:
        declined: dict[str, object] = {"amount": amount, "order": order}
        yield at, Asked(who.user_id, "payment_failed", declined, idempotency_key=f"declined-{order}-1")
        at += rng.uniform(40, 300)
    data: dict[str, object] = {"name": _first(who), "order": order, "items": items, "amount": amount}
    yield at, Asked(who.user_id, "order_confirmed", data, idempotency_key=f"confirmed-{order}")
    at += rng.uniform(1.5, 7) * 3600
    shipped: dict[str, object] = {"order": order, "items": items}
    yield at, Asked(who.user_id, "order_shipped", shipped, idempotency_key=f"shipped-{order}")
    door = at + rng.uniform(2, 6) * 3600
    for number in range(rng.choice((1, 2, 2, 3))):
        at += rng.uniform(0.2, 0.8) * (door - at)
        eta: dict[str, object] = {"order": order, "eta": _text(min(door, DAY_S - 1))[11:16]}
        key = f"eta-{order}-{number}"
        yield at, Asked(who.user_id, "delivery_eta", eta, collapse_key=f"eta:{order}", idempotency_key=key)


def _paying(town: _Town) -> Iterator[_Made]:
    who, other = town.someone(), town.someone()
    data: dict[str, object] = {"sender": _first(other), "amount": town.amount()}
    yield town.time(), Asked(who.user_id, "payment_received", data, idempotency_key=town.key("transfer"))


def _talking(town: _Town) -> Iterator[_Made]:
    """A thread in which one is mentioned up to four times; only the newest is worth a push."""
    rng, who, at = town.rng, town.someone(), town.time()
    thread = f"thread:{rng.randrange(10**6)}:{who.user_id}"
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        data: dict[str, object] = {"sender": _first(town.someone()), "text": rng.choice(_REMARKS)}
        yield at, Asked(who.user_id, "comment_mention", data, collapse_key=thread)
        at += rng.expovariate(1 / 240)


def _befriending(town: _Town) -> Iterator[_Made]:
    data: dict[str, object] = {"sender": _first(town.someone())}
    yield town.time(), Asked(town.someone().user_id, "friend_request", data)


def _accounting(town: _Town) -> Iterator[_Made]:
    """Statements are made in the night and sent in the morning."""
    at, who = town.rng.uniform(2 * 3600, 4 * 3600), town.someone()
    data: dict[str, object] = {"name": _first(who), "month": "October"}
    send_at = _text(town.rng.uniform(7 * 3600, 9 * 3600))
    yield at, Asked(who.user_id, "statement_ready", data, send_at=send_at, idempotency_key=town.key("statement"))


def _digesting(town: _Town) -> Iterator[_Made]:
    at, who = town.rng.uniform(15 * 3600, 17 * 3600), town.someone()
    data: dict[str, object] = {"name": _first(who), "count": town.rng.randint(2, 40)}
    send_at = _text(at + 3600) if town.rng.random() < 0.3 else None
    yield at, Asked(who.user_id, "weekly_digest", data, send_at=send_at, idempotency_key=town.key("digest"))


def _advertising(town: _Town) -> Iterator[_Made]:
    """Two waves, over before the day is."""
    rng, who = town.rng, town.someone()
    start = rng.choice((10.0, 17.5)) * 3600
    data: dict[str, object] = {"name": _first(who), "offer": rng.choice(("10 % off", "20 % off", "Free delivery"))}
    channels: list[Channel] | None = ["push"] if rng.random() < 0.1 else None
    expires_at = _text(start + 6 * 3600)
    yield start + rng.uniform(0, 1800), Asked(who.user_id, "promo", data, channels=channels, expires_at=expires_at)


def _dropping_prices(town: _Town) -> Iterator[_Made]:
    rng, at = town.rng, town.time()
    price = rng.lognormvariate(3.6, 0.6)
    item = rng.choice(_GOODS)
    data: dict[str, object] = {"item": item, "price": f"€ {price:.2f}", "before": f"€ {price * 1.3:.2f}"}
    priority: Priority | None = "normal" if rng.random() < 0.1 else None
    until, who = _text(at + 14_400), town.someone()
    yield at, Asked(who.user_id, "price_drop", data, priority=priority, expires_at=until)


def _first(person: Person) -> str:
    return person.name.partition(" ")[0]


_GOODS: Final = (
    "Ceramic mug",
    "Desk lamp",
    "Wool blanket",
    "Notebook",
    "Olive oil",
    "Tea pot",
    "Rain coat",
    "Chess set",
)
_REMARKS: Final = (
    "Have you seen this?",
    "Thanks!",
    "I agree with you.",
    "What about Thursday?",
    "Look at the photos :)",
)

_HAPPENINGS: Final[dict[Callable[[_Town], Iterator[_Made]], int]] = {
    _ordering: 65,
    _paying: 55,
    _talking: 36,
    _signing_in: 23,
    _befriending: 25,
    _accounting: 15,
    _digesting: 25,
    _advertising: 62,
    _dropping_prices: 19,
}
"""What can happen, and how often in proportion."""
