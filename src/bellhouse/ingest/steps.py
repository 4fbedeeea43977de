"""The step that ingest stands on: looked at a few times a second, told to the metrics and the log, kept by the door."""

import math
from collections.abc import Callable
from typing import Final

from bellhouse.domain.words import Priority
from bellhouse.ingest.degrade import (
    CLOSED,
    NONE,
    STEPS,
    Pressure,
    Signals,
    Standing,
    Step,
    Volume,
    Waiting,
    come_back_s,
    stand,
    strongest,
    takes,
)
from bellhouse.ports.clock import Clock
from bellhouse.ports.service import Beat
from bellhouse.ports.telemetry import Logbook, Telemetry
from bellhouse.web.limits import Limits
from bellhouse.web.problems import Problem

_LOOK_S: Final = 0.25


class Waits:
    """How long callers wait for their commit, as the group commit tells. Moments are the monotonic clock's."""

    __slots__ = ("_longest", "_since")

    def __init__(self) -> None:
        self._since = math.inf
        self._longest = 0.0

    def began(self, since: float) -> None:
        """A commit has begun; its oldest caller waits since then, and everybody else for less."""
        self._since = since

    def ended(self, now: float) -> None:
        """It has ended, well or not."""
        self._longest = max(self._longest, now - self._since)
        self._since = math.inf

    def longest(self, now: float) -> float:
        """The longest wait (s) that has ended since this was last asked, or goes on."""
        longest, self._longest = max(self._longest, now - self._since), 0.0
        return longest


class Steps:
    """Which step it is, and why. `number` costs the hot path one comparison: it is 0 as long as all is taken."""

    def __init__(self, limits: Limits, clock: Clock, telemetry: Telemetry, logbook: Logbook) -> None:
        self.number = 0
        self.waits = Waits()
        self._limits = limits
        self._clock = clock
        self._telemetry = telemetry
        self._logbook = logbook
        self._standing = Standing()
        self._pressure = NONE

    @property
    def name(self) -> Step:
        return STEPS[self.number]

    @property
    def closed(self) -> bool:
        """Whether nothing at all is taken."""
        return self.number == CLOSED

    @property
    def why(self) -> str:
        """The signal that is nearest to its limit, in words."""
        return f"{self._pressure.signal}: {self._pressure.words}"

    def look(self, waiting: Waiting, volume: Volume | None) -> None:
        """Look at every signal, and go up or down."""
        now = self._clock.monotonic()
        self._pressure = strongest(Signals(waiting, self.waits.longest(now), volume), self._limits)
        self._standing = stand(self._standing, self._pressure.share, now)
        if self._standing.step != self.number:
            self._change(self._standing.step, self._pressure)

    def refusal(self, priority: Priority) -> Problem | None:
        """What a notification of this priority is answered; None where it is taken."""
        return None if takes(self.number, priority) else self._refuse(priority)

    def refusal_of_all(self) -> Problem:
        """What everybody is answered where nothing is taken."""
        return self._refuse("critical")

    def _refuse(self, priority: Priority) -> Problem:
        wait_s = come_back_s(self.number, priority)
        detail = f"The step is {self.name}, which takes no {priority}; come back in {wait_s} s at the earliest."
        return Problem("degraded", detail, retry_after_s=wait_s)

    def _change(self, number: int, pressure: Pressure) -> None:
        old, self.number = self.name, number
        self._telemetry.degraded(number)
        up = number > STEPS.index(old)
        self._logbook.note(
            "warning" if up else "info",
            "Ingest accepts less" if up else "Ingest accepts more again",
            old_state=old,
            new_state=self.name,
            step=number,
            reason=f"{pressure.signal}: {pressure.words}",
        )


class Lookout(Beat):
    """Lets the steps look at the signals four times a second. Service."""

    def __init__(
        self, steps: Steps, waiting: Callable[[], Waiting], volume: Callable[[], Volume | None], clock: Clock
    ) -> None:
        """`waiting` and `volume` answer at once."""
        super().__init__("lookout", _LOOK_S, clock)
        self._steps = steps
        self._waiting = waiting
        self._volume = volume

    async def beat(self) -> None:
        self._steps.look(self._waiting(), self._volume())
