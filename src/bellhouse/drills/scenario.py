"""What a drill is: what breaks, which alert must fire, which cause must be found, and how it is put right."""

from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec

from bellhouse.drills.stage import Stage
from bellhouse.monitoring import alerts
from bellhouse.monitoring.alert import Severity
from bellhouse.monitoring.rules import expression_of
from bellhouse.monitoring.timescale import milliseconds, with_durations
from bellhouse.ops.doctor.causes import CauseName

Mode = Literal["embedded", "cluster"]
Act = Callable[[Stage], Awaitable[None]]

UNSCALED_S: Final = 15.0
"""What a promise is given besides its scaled time: gauges that all share are read every five seconds whatever the
scale is, counters are handed on every second, and a breaker or a provider's timeout takes its own time."""


class Scenario(msgspec.Struct, frozen=True):
    """One drill."""

    name: str
    family: str
    breaks: str
    """What is broken, in a sentence."""
    alert: str
    """The alert that must fire."""
    severity: Severity
    cause: CauseName
    """What the doctor must name first; `Healthy` where nothing is to be done."""
    lever: str
    """What is pulled or mended, in words."""
    break_: Act
    mend: Act
    prepare: Act | None = None
    """What must be there before, and breaks nothing."""
    mode: Mode = "embedded"
    quiet: bool = False
    """Whether nobody may be woken by it."""
    rest_s: float = 0.0
    """How long (s) it takes until what it leaves behind in the newest rows misleads nobody in the next drill."""
    late_s: float = 0.0
    """What its alert's own threshold adds to the promise, such as the age that is too old (s, at the drill's scale)."""

    @property
    def slug(self) -> str:
        """The runbook that its alert names."""
        return alerts.named(self.alert)[0].slug

    def promised_s(self, scale: float) -> float:
        """Within what time of the injection the alert must fire: its `for`, the longest window that it looks at, and
        what does not scale."""
        found = [one for one in alerts.named(self.alert) if one.severity == self.severity]
        windows: list[int] = [0]

        def note(duration: str) -> str:
            windows.append(milliseconds(duration))
            return duration

        with_durations(expression_of(found[0]), note)
        wait = milliseconds(found[0].for_) + max(windows)
        return wait * scale / 1000 + self.late_s + UNSCALED_S
