"""The circuit breaker of one provider account on one channel: a state machine that is told and asked, nothing more.

    closed ── a run of failures ──► open ── the wait is over ──► half-open ── the probe succeeds ──► closed
                                     ▲                               │
                                     └────── the probe fails ────────┘

It opens after a run of failures that are the provider's fault; at volume only when they are a share of the recent
calls too, since at 17,000 calls a second of which a tenth fail, a run of five comes every few seconds. It knows one
process's calls; its row is shared by compare-and-set (`row`, `restore`), so that one probe goes out among all.

One that was opened because its provider confirms nothing (`silence`) is not closed by a probe that is accepted: the
provider accepts everything. It waits longer between probes, and closes when the provider is heard.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final, Literal

import msgspec

from bellhouse.domain.words import Channel
from bellhouse.ports.store.providers import BreakerReason, BreakerRow, BreakerState, Forced

FAILURES: Final = 5
FAILED_SHARE: Final = 0.2
VOLUME: Final = 100
"""Calls within the window from which the share counts."""
WINDOW_MS: Final = 10_000
OPEN_MS: Final = 30_000
PROBE_TIMEOUT_MS: Final = 15_000
RAMP_MS: Final = 10_000
RAMP_FLOOR: Final = 0.05
SILENT_WAITS: Final = 10
"""How many times longer a silent provider waits for each probe: what it accepts may be lost."""

_BUCKETS: Final = 10

Gate = Literal["yes", "probe", "no"]


class BreakerSettings(msgspec.Struct, frozen=True):
    """When a breaker opens, and how it comes back."""

    failures: int = FAILURES
    """Consecutive failures that open it."""
    share: float = FAILED_SHARE
    """The share of the recent calls that must have failed as well, at volume."""
    volume: int = VOLUME
    window_ms: int = WINDOW_MS
    """What is recent."""
    open_ms: int = OPEN_MS
    """How long it waits before a probe; longer than any call may take, so that what was in flight has ended."""
    probe_timeout_ms: int = PROBE_TIMEOUT_MS
    """When a probe without an outcome is lost, and another may go."""
    ramp_ms: int = RAMP_MS
    """Over how long what had waited is released after it closes."""


class Transition(msgspec.Struct, frozen=True):
    """The breaker has changed its state: share its row, log it."""

    old: BreakerState
    new: BreakerState
    failures: int
    """Consecutive failures when it happened."""


class Breaker:
    """One breaker. All times are ms since the epoch; a clock that is set back shortens a wait, never lengthens it."""

    __slots__ = (
        "_recent",
        "_settings",
        "changed_at",
        "channel",
        "failures",
        "forced",
        "owner",
        "probe_owner",
        "provider",
        "reason",
        "state",
        "unpublished",
        "version",
    )

    def __init__(
        self, provider: str, channel: Channel, settings: BreakerSettings | None = None, owner: str = "me"
    ) -> None:
        """`owner` tells this process from the others, and from itself before a restart."""
        self._settings = settings or BreakerSettings()
        self._recent = _Recent(self._settings.window_ms)
        self.provider = provider
        self.channel = channel
        self.owner = owner
        self.version = 0
        """The version of the shared row that this state comes from."""
        self.unpublished = False
        """Whether it has changed since."""
        self.state: BreakerState = "closed"
        self.forced: Forced = "none"
        self.reason: BreakerReason = "failures"
        """Why it is not closed."""
        self.changed_at = 0
        self.failures = 0
        self.probe_owner = ""

    def allow(self, now: int) -> Gate:
        """Whether a call may go out: `yes`, `no`, or `probe`: exactly one.

        A `probe` has made it half-open: share the row first, and send only where that succeeded. The next outcome
        that is recorded here is the probe's.
        """
        if self.forced != "none":
            return "yes" if self.forced == "closed" else "no"
        if self.state == "closed":
            return "yes"
        if not self.wants_probe(now):
            return "no"
        self._change("half_open", now)
        self.probe_owner = self.owner
        return "probe"

    def wants_probe(self, now: int) -> bool:
        """Whether `allow` would answer `probe`: its wait is over, or the last probe is lost."""
        if self.forced != "none" or self.state == "closed":
            return False
        wait = self._settings.open_ms if self.state == "open" else self._settings.probe_timeout_ms
        if self.reason == "silent" and self.state == "open":
            wait *= SILENT_WAITS
        return self._elapsed(now) >= wait

    def record(self, outcomes: Iterable[bool], now: int) -> Transition | None:
        """Take in outcomes in their order: True for an answer that shows the provider alive, False for its fault.

        Returns the last transition that they made.
        """
        last: Transition | None = None
        for ok, run in groupby(outcomes):
            count = sum(1 for _ in run)
            last = (self.succeeded(now, count) if ok else self.failed(now, count)) or last
        return last

    def succeeded(self, now: int, count: int = 1) -> Transition | None:
        """Take in `count` successes in a row."""
        if self.state == "closed":
            self.failures = 0
            self._recent.add(now, count, 0)
            return None
        if not self._is_probing():
            return None
        return self._change("open" if self.reason == "silent" else "closed", now)

    def failed(self, now: int, count: int = 1) -> Transition | None:
        """Take in `count` failures in a row that are the provider's fault."""
        if self.state == "closed":
            self.failures += count
            self._recent.add(now, count, count)
            return self._change("open", now) if self.forced == "none" and self._is_broken(now) else None
        return self._change("open", now) if self._is_probing() else None

    def share(self, now: int) -> float:
        """The part of the usual pace at which what had waited may go: 0 while it is not closed, then a ramp to 1."""
        if self.forced == "open" or self.state != "closed":
            return 0.0
        if self.changed_at == 0:
            return 1.0
        return min(1.0, max(RAMP_FLOOR, self._elapsed(now) / max(1, self._settings.ramp_ms)))

    def force(self, forced: Forced, now: int) -> Transition | None:
        """An operator's override: `open`, `closed`, or `none`, which also closes it and forgets what it had counted."""
        self.forced = forced
        self.reason = "failures"
        self.unpublished = True
        return self._change("open" if forced == "open" else "closed", now)

    def row(self) -> BreakerRow:
        """What to share by compare-and-set against `version`; give it to `published` where that succeeded."""
        return BreakerRow(
            self.provider,
            self.channel,
            self.state,
            self.forced,
            self.changed_at,
            self.failures,
            self.probe_owner,
            self.version + 1,
            self.reason,
        )

    def published(self, row: BreakerRow) -> None:
        """The compare-and-set of `row` succeeded; what has changed here meanwhile is still to be shared."""
        self.version = row.version
        self.unpublished = (row.state, row.forced, row.changed_at) != (self.state, self.forced, self.changed_at)

    def restore(self, row: BreakerRow | None) -> Transition | None:
        """Take over the shared row: after a lost compare-and-set, another process's change, an operator's act.

        None is a row that does not exist (any more), which closes it. A version that is known changes nothing.
        """
        if self.version == (row.version if row else 0):
            return None
        row = row or BreakerRow(self.provider, self.channel)
        old, differs = self.state, (row.state, row.changed_at) != (self.state, self.changed_at)
        self.state, self.forced, self.changed_at = row.state, row.forced, row.changed_at
        self.probe_owner, self.version, self.unpublished = row.probe_owner, row.version, False
        self.reason = row.reason
        if differs:
            self.failures = 0 if row.state == "closed" else row.failures
            self._recent.clear()
        return Transition(old, row.state, row.failures) if old != row.state else None

    def _is_probing(self) -> bool:
        return self.forced == "none" and self.state == "half_open" and self.probe_owner == self.owner

    def _is_broken(self, now: int) -> bool:
        if self.failures < self._settings.failures:
            return False
        calls, failed = self._recent.counts(now)
        return calls < self._settings.volume or failed >= self._settings.share * calls

    def _change(self, new: BreakerState, now: int) -> Transition | None:
        old, failures = self.state, self.failures
        self.state, self.changed_at, self.probe_owner, self.unpublished = new, now, "", True
        if new == "closed":
            self.failures = 0
            self.reason = "failures"
            self._recent.clear()
        return Transition(old, new, failures) if old != new else None

    def _elapsed(self, now: int) -> int:
        self.changed_at = min(self.changed_at, now)
        return now - self.changed_at


class _Recent:
    """Calls and failures of the last while, in buckets of a tenth of it."""

    __slots__ = ("_buckets", "_width")

    def __init__(self, window_ms: int) -> None:
        self._width = max(1, window_ms // _BUCKETS)
        self._buckets: list[list[int]] = []
        self.clear()

    def clear(self) -> None:
        self._buckets = [[-1, 0, 0] for _ in range(_BUCKETS)]

    def add(self, now: int, calls: int, failed: int) -> None:
        number = now // self._width
        bucket = self._buckets[number % _BUCKETS]
        if bucket[0] != number:
            bucket[:] = [number, 0, 0]
        bucket[1] += calls
        bucket[2] += failed

    def counts(self, now: int) -> tuple[int, int]:
        newest = now // self._width
        recent = [bucket for bucket in self._buckets if newest - _BUCKETS < bucket[0] <= newest]
        return sum(bucket[1] for bucket in recent), sum(bucket[2] for bucket in recent)
