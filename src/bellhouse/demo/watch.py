"""Looks at the platform while it works, through what any operator has: `/metrics`, the breakers and the ledger."""

import re
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.demo.client import Client
from bellhouse.ports.clock import Clock

_SERIES: Final = re.compile(rb"^(\w+)(?:\{(.*)\})? (\S+)$", re.M)
_WINDOW_S: Final = 3.0
"""Over how long rates are taken: a process hands its counters on about once a second."""
_LABEL: Final = re.compile(rb'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = Mapping[str, str]


class Breaker(msgspec.Struct, frozen=True):
    """A breaker as `GET /v1/breakers` shows it."""

    provider: str
    channel: str
    state: str


class _Breakers(msgspec.Struct, frozen=True):
    breakers: list[Breaker]


class Line(msgspec.Struct, frozen=True):
    """A line of the ledger."""

    level: str
    state: str
    counted: int
    recounted: int | None = None


class Check(msgspec.Struct, frozen=True):
    """One of the ledger's equations."""

    name: str
    left: int
    right: int
    holds: bool


class Ledger(msgspec.Struct, frozen=True):
    """The ledger as `GET /v1/ledger` shows it."""

    accepted: int
    planned: int
    imbalance: int
    lines: list[Line]
    checks: list[Check]

    def of(self, level: str, state: str) -> int:
        """How many stand in a state by the running counters."""
        return sum(line.counted for line in self.lines if (line.level, line.state) == (level, state))

    @property
    def moving(self) -> int:
        """What is still on its way by itself: in somebody's hands, or of unknown outcome."""
        return self.of("delivery", "in_flight") + self.of("delivery", "unknown")


class Metrics:
    """The samples of one scrape."""

    def __init__(self, text: bytes) -> None:
        self._series: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        for name, labels, value in _SERIES.findall(text):
            found = {key.decode(): word.decode() for key, word in _LABEL.findall(labels)}
            self._series[name.decode()].append((found, float(value)))

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of a name with these labels."""
        return sum(
            value
            for found, value in self._series.get(name, ())
            if all(found.get(key) == word for key, word in labels.items())
        )

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The same, one sum for each value of `label`."""
        sums: dict[str, float] = defaultdict(float)
        for found, value in self._series.get(name, ()):
            if all(found.get(key) == word for key, word in labels.items()):
                sums[found.get(label, "")] += value
        return dict(sums)


class Reading(msgspec.Struct, frozen=True):
    """How things stood at one moment; rates are a second, over the last seconds."""

    at_s: float
    accepted: int
    sent: Mapping[str, float]
    """Successful attempts so far, by channel."""
    sent_per_s: Mapping[str, float]
    through: Mapping[str, float]
    """Successful attempts a second, by provider."""
    backlog: int
    """Records in the log that no consumer has finished."""
    retries: int
    dead_letters: int
    breakers: Sequence[Breaker]
    ledger: Ledger

    @property
    def behind(self) -> int:
        """How much is on its way: in the log, or before it while the log is away, and in workers' hands."""
        return max(self.backlog, self.ledger.of("notification", "waiting")) + self.ledger.moving


class Watch:
    """Takes one reading after another."""

    def __init__(self, client: Client, clock: Clock, scrape: Callable[[], Awaitable[bytes]] | None = None) -> None:
        """`scrape` answers the metrics of all processes, where the API's own are not those."""
        self._client = client
        self._scrape = scrape or self._of_the_api
        self._clock = clock
        self._began = clock.monotonic()
        self._past: deque[tuple[float, Metrics]] = deque()

    async def look(self) -> Reading:
        """Read everything once. Raises Refusal where the platform does not answer."""
        metrics = Metrics(await self._scrape())
        breakers = await self._client.get("/v1/breakers", _Breakers)
        ledger = await self.ledger()
        now = self._clock.monotonic()
        self._past.append((now, metrics))
        while len(self._past) > 2 and now - self._past[1][0] >= _WINDOW_S:
            self._past.popleft()
        before = self._past[0]
        return Reading(
            at_s=now - self._began,
            accepted=ledger.accepted,
            sent=metrics.by("notifications_sent_total", "channel", status="success"),
            sent_per_s=_rates(before, now, metrics, "channel"),
            through=_rates(before, now, metrics, "provider"),
            backlog=round(metrics.total("kafka_consumer_lag")),
            retries=round(metrics.total("delivery_retries_total")),
            dead_letters=round(metrics.total("dead_letters_total")),
            breakers=breakers.breakers,
            ledger=ledger,
        )

    async def backlog(self) -> int:
        """Records in the log that no consumer has finished."""
        return round(Metrics(await self._scrape()).total("kafka_consumer_lag"))

    async def _of_the_api(self) -> bytes:
        return (await self._client.call("GET", "/metrics")).body

    async def ledger(self, *, recount: bool = False) -> Ledger:
        """The ledger; with `recount` every equation against the rows themselves."""
        return await self._client.get(f"/v1/ledger?recount={'true' if recount else 'false'}", Ledger)


def _rates(before: tuple[float, Metrics], now: float, metrics: Metrics, label: str) -> dict[str, float]:
    since, earlier = before
    if now <= since:
        return {}
    name = "notifications_sent_total"
    past = earlier.by(name, label, status="success")
    present = metrics.by(name, label, status="success")
    return {key: max(0.0, value - past.get(key, 0.0)) / (now - since) for key, value in present.items()}
