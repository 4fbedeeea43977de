"""What goes wrong during the day, and when: the simulator's dials turned along a timeline, and every `kill -9`."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Literal, Protocol, assert_never

import msgspec

from bellhouse.ports.clock import Clock
from bellhouse.simulator.client import SimulatorClient

Dials = Mapping[str, object]


class Fault(msgspec.Struct, frozen=True):
    """One disturbance: from `start` to `end`, as shares of the day."""

    name: str
    what: str
    """In a sentence, for whoever looks on."""
    start: float
    end: float
    provider: str = ""
    """Whose dials are turned; empty for what is not the outside world's."""
    dials: Dials = {}
    act: Literal["dials", "kill", "restart"] = "dials"
    whom: str = ""
    """The role whose process is killed, or the engine that is killed and started again."""


USUAL: Final[Mapping[str, Dials]] = {
    "fcm": {
        "latency": {"kind": "lognormal", "median_ms": 60, "sigma": 0.4, "min_ms": 15, "max_ms": 400},
        "dead_token_share": 0.02,
        "callback_delay_ms": {"min": 100, "max": 1_500},
        "callback_failures": {"silent": 0.03},
        "callback_duplicates": 0.02,
    },
    "sendgrid": {
        "latency": {"kind": "lognormal", "median_ms": 90, "sigma": 0.4, "min_ms": 30, "max_ms": 600},
        "callback_delay_ms": {"min": 200, "max": 2_000},
        "callback_failures": {"bounce": 0.006, "blocked": 0.004, "deferred": 0.02, "spamreport": 0.0005},
    },
    "smtp": {"latency": {"kind": "uniform", "min_ms": 5, "max_ms": 25}},
    "twilio": {
        "latency": {"kind": "lognormal", "median_ms": 120, "sigma": 0.4, "min_ms": 40, "max_ms": 800},
        "callback_delay_ms": {"min": 200, "max": 2_000},
        "callback_failures": {"undelivered": 0.015},
        "errors": {"21610": 0.004},
    },
    "vonage": {
        "latency": {"kind": "lognormal", "median_ms": 140, "sigma": 0.4, "min_ms": 50, "max_ms": 900},
        "callback_delay_ms": {"min": 200, "max": 2_000},
    },
}
"""The world as it is on any day: nobody is quick, some tokens are dead, some mail bounces, some push is never seen."""

TIMELINE: Final[Sequence[Fault]] = (
    Fault(
        "email outage",
        "sendgrid answers 503 to everything: its breaker opens and smtp takes over",
        0.30,
        0.46,
        "sendgrid",
        {"outage": "503"},
    ),
    Fault(
        "sms throttled",
        "twilio takes 20 messages a second and says when to come back",
        0.48,
        0.54,
        "twilio",
        {"throttle": {"rate_per_second": 20, "retry_after_s": 1, "burst": 20}},
    ),
    Fault(
        "lost answers",
        "fcm takes pushes and the answers are lost: nobody knows whether they were sent",
        0.56,
        0.62,
        "fcm",
        {"lost_answers": 0.04, "lost_answer_mode": "close"},
    ),
    Fault(
        "kill -9",
        "the process that delivers is killed in the middle of its work",
        0.66,
        0.67,
        act="kill",
        whom="bulk",
    ),
    Fault(
        "callbacks in disorder",
        "push receipts come late, doubled and in the wrong order",
        0.70,
        0.80,
        "fcm",
        {"callback_delay_ms": {"min": 500, "max": 5_000}, "callback_duplicates": 0.3, "callback_disorder": 0.5},
    ),
    Fault(
        "push failing",
        "fcm fails one call of three with 500: some deliveries use up their attempts",
        0.82,
        0.97,
        "fcm",
        {"errors": {"internal": 0.33}},
    ),
)
"""In the order of their beginnings; no two at once turn the same dial."""

_KILLED: Final = (
    ("relay", "what carries accepted notifications into the log is killed", 0.33),
    ("router", "what decides who gets what is killed", 0.44),
    ("push worker", "what delivers push is killed in the middle of its work", 0.66),
    ("scheduler", "what brings back what waits is killed", 0.86),
)
_RESTARTED: Final = (
    ("kafka", "broker restart", "Kafka is killed and started again: what is accepted waits in PostgreSQL", 0.38),
    ("valkey", "cache loss", "Valkey is killed and comes back empty: rates and breakers begin anew", 0.50),
    ("postgres", "database restart", "PostgreSQL is killed and started again: callers are asked to come back", 0.74),
)

CLUSTER_TIMELINE: Final[Sequence[Fault]] = (
    *(fault for fault in TIMELINE if fault.act == "dials"),
    *(Fault(f"kill -9 {role}", what, at, at + 0.01, act="kill", whom=role) for role, what, at in _KILLED),
    *(Fault(name, what, at, at + 0.01, act="restart", whom=engine) for engine, name, what, at in _RESTARTED),
)
"""The same of the outside world; inside, a kill of every kind of worker, and of all that they stand on."""


class Victim(Protocol):
    """What the faults of the inside are done to (`processes.Platform`)."""

    def kill(self, role: str) -> int: ...
    def restart(self, engine: str) -> None: ...


class Noted(msgspec.Struct, frozen=True):
    """A fault as it happened: milliseconds since the play's start."""

    name: str
    what: str
    from_ms: int
    to_ms: int


class Disturber:
    """Turns the dials when their time comes, and back again."""

    def __init__(
        self,
        world: SimulatorClient,
        victim: Victim,
        clock: Clock,
        timeline: Sequence[Fault] = TIMELINE,
        length_ms: int = 0,
    ) -> None:
        """`length_ms` is how long the day should take: where it takes longer, a fault does not; 0 leaves it open."""
        self._length_ms = length_ms
        self._world = world
        self._victim = victim
        self._clock = clock
        self._timeline = timeline
        self._going: dict[str, tuple[Fault, int]] = {}
        self._done: set[str] = set()
        self._beside = ThreadPoolExecutor(thread_name_prefix="restarting")
        self._restarting: dict[str, Future[None]] = {}
        """What takes its time; the day goes on meanwhile."""
        self._since = 0
        self.noted: list[Noted] = []

    def usual(self) -> None:
        """Turn every dial to where it is on any day."""
        for provider, dials in USUAL.items():
            self._world.put_dials(provider, **dials)

    def heal(self) -> None:
        """End every fault that is still going; waits for what is being started again."""
        for fault in self.current:
            self._end(fault, self._since)

    @property
    def current(self) -> list[Fault]:
        """What goes wrong right now."""
        return [fault for fault, _ in self._going.values()]

    def step(self, share: float, since_ms: int) -> None:
        """Begin and end what is due at `share` of the day, `since_ms` after the play began."""
        self._since = since_ms
        for fault in self._timeline:
            if fault.name in self._going:
                if self._is_over(fault, share, since_ms):
                    self._end(fault, since_ms)
            elif fault.start <= share and fault.name not in self._done:
                self._begin(fault, since_ms)

    def _is_over(self, fault: Fault, share: float, since_ms: int) -> bool:
        if fault.name in self._restarting:
            return self._restarting[fault.name].done()
        if share >= fault.end:
            return True
        lasts = (fault.end - fault.start) * self._length_ms
        return bool(lasts) and since_ms - self._going[fault.name][1] >= lasts

    def _begin(self, fault: Fault, since_ms: int) -> None:
        self._going[fault.name] = (fault, since_ms)
        self._done.add(fault.name)
        match fault.act:
            case "kill":
                self._victim.kill(fault.whom)
            case "restart":
                self._restarting[fault.name] = self._beside.submit(self._victim.restart, fault.whom)
            case "dials":
                self._world.put_dials(fault.provider, **fault.dials)
            case _:
                assert_never(fault.act)

    def _end(self, fault: Fault, since_ms: int) -> None:
        _, began = self._going.pop(fault.name)
        if fault.name in self._restarting:
            self._restarting.pop(fault.name).result()
        self.noted.append(Noted(fault.name, fault.what, began, since_ms))
        if fault.act == "dials":
            usual = USUAL.get(fault.provider, {})
            self._world.put_dials(fault.provider, **{name: usual.get(name) for name in fault.dials})
