"""The steps of degraded mode: which one the signals of strain ask for, and when it is left again. Pure."""

from collections.abc import Iterator
from typing import Final, Literal, get_args

import msgspec

from bellhouse.domain.words import PRIORITIES, Priority
from bellhouse.web.limits import Limits

Step = Literal["open", "no_low", "no_normal", "critical_only", "closed"]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
"""By their numbers: each refuses one priority more, the least urgent first."""
CLOSED: Final = len(STEPS) - 1

Signal = Literal["backlog", "outbox", "disk", "commit_wait"]

RISES: Final = (0.60, 0.75, 0.90, 1.00)
"""The share of a signal's limit from which on a step is taken, the first step's first."""
SLACK: Final = 0.10
"""How far below its share a signal must be before the step can be left."""
HOLD_S: Final = 5.0
"""How long it must have been there; then one step is left, and the next after as long again."""

DISK_SHARE: Final = 0.05
"""Of a volume so small that this is less than the reserve, this share is the reserve."""
_SHORT_OF_CLOSING: Final = 0.99


class Volume(msgspec.Struct, frozen=True, gc=False):
    """The volume of the data folder, in bytes."""

    free: int
    size: int


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """How many records wait, about."""

    backlog: int = 0
    """In all."""
    outbox: int = 0
    """Of those, in the outbox: committed, and not in the log yet."""


class Signals(msgspec.Struct, frozen=True, gc=False):
    """What tells that more comes in than can be kept."""

    waiting: Waiting = Waiting()
    commit_wait_s: float = 0.0
    """How long callers wait for their commit."""
    volume: Volume | None = None
    """None where the store is not a file of ours."""


class Pressure(msgspec.Struct, frozen=True, gc=False):
    """How near a signal is to its limit; 1 is at it."""

    signal: Signal
    share: float
    words: str

    @property
    def step(self) -> int:
        """The number of the step that it asks for."""
        return step_at(self.share)


NONE: Final = Pressure("backlog", 0.0, "")


class Standing(msgspec.Struct, frozen=True, gc=False):
    """The step that is stood on."""

    step: int = 0
    calm_since: float | None = None
    """Since when (s, monotonic) nothing asks for it any more; None while something does."""


def step_at(share: float) -> int:
    """The number of the step that this share of a limit asks for."""
    return sum(share >= rise for rise in RISES)


def strongest(signals: Signals, limits: Limits) -> Pressure:
    """The signal that is nearest to its limit."""
    return max(_pressures(signals, limits), key=lambda pressure: pressure.share, default=NONE)


def stand(before: Standing, share: float, now: float) -> Standing:
    """The step after a look at the strongest pressure: up at once, down one step for every HOLD_S of calm."""
    asked = step_at(share)
    if asked > before.step:
        return Standing(asked)
    if not _calm(before.step, share):
        return Standing(before.step)
    if before.calm_since is None:
        return Standing(before.step, now)
    if now - before.calm_since < HOLD_S:
        return before
    below = before.step - 1
    return Standing(below, now if _calm(below, share) else None)


def _calm(step: int, share: float) -> bool:
    """Whether this share is low enough to leave a step."""
    return step > 0 and share <= RISES[step - 1] - SLACK


def takes(step: int, priority: Priority) -> bool:
    """Whether a step accepts notifications of this priority."""
    return step <= _last_step_of(priority)


def come_back_s(step: int, priority: Priority) -> int:
    """The least time (s) until a priority that this step refuses can be accepted."""
    return round(HOLD_S) * (step - _last_step_of(priority))


def _last_step_of(priority: Priority) -> int:
    return CLOSED - 1 - PRIORITIES.index(priority)


def _pressures(signals: Signals, limits: Limits) -> Iterator[Pressure]:
    waiting, wait_s = signals.waiting, signals.commit_wait_s
    yield Pressure(
        "backlog", waiting.backlog / limits.backlog, f"{waiting.backlog:,} records wait, {limits.backlog:,} are kept"
    )
    yield Pressure(
        "outbox",
        waiting.outbox / limits.outbox,
        f"{waiting.outbox:,} records wait for the log in the outbox, {limits.outbox:,} are kept",
    )
    # A slow store is no reason to turn critical away: it shall have what there is of it.
    yield Pressure(
        "commit_wait",
        min(_SHORT_OF_CLOSING, wait_s / limits.commit_wait_s),
        f"callers wait {wait_s:.1f} s for their commit, {limits.commit_wait_s:g} s is too long",
    )
    reserve = _reserve(signals.volume, limits)
    if signals.volume is not None and reserve:
        free = signals.volume.free
        words = f"{_mib(free)} are free on the volume of the data folder, the last {_mib(reserve)} are kept free"
        yield Pressure("disk", reserve / max(1, free), words)


def _reserve(volume: Volume | None, limits: Limits) -> float:
    return 0 if volume is None else min(limits.disk_reserve_bytes, volume.size * DISK_SHARE)


def _mib(size: float) -> str:
    return f"{size / 1_048_576:,.1f} MiB"
