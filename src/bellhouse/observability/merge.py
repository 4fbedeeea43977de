"""One `/metrics` for all processes of an installation: each shares a snapshot, and whoever is asked adds them up."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bellhouse.observability.catalogue import BY_NAME
from bellhouse.observability.exposition import render
from bellhouse.observability.families import Distribution, Labels
from bellhouse.observability.metrics import Metrics, Snapshot
from bellhouse.observability.ticks import ticks
from bellhouse.ports.clock import Clock
from bellhouse.ports.telemetry import Logbook

SUFFIX: Final = ".metrics"
INTERVAL_S: Final = 1.0
STALE_MS: Final = 15_000
"""A snapshot older than this speaks of a process that has died: its gauges are no longer true."""
FORGOTTEN_MS: Final = 3_600_000
"""So long one still shows when a dead process was last seen."""

_SEEN: Final = "process_seen_timestamp_seconds"
_ROLE: Final = re.compile(r"[a-z0-9_-]{1,60}")
_V = TypeVar("_V")
Table = dict[str, list[tuple[Labels, _V]]]


def merge(live: Snapshot, others: Iterable[Snapshot], now: int) -> Snapshot:
    """What all processes export together.

    Counters and histograms are summed, those of dead processes too. A process's own gauges stand beside one
    another; a shared one is taken whole from the newest snapshot that has it. Series of a name or shape that the
    catalogue does not know are left out.
    """
    all_of_them = [_known(one) for one in (live, *others)]
    return Snapshot(
        live.role,
        now,
        _summed((one.counters for one in all_of_them), lambda one, other: one + other),
        _gauges(all_of_them, now),
        _summed((one.histograms for one in all_of_them), _added),
    )


class MetricsExchange:
    """The service that saves this process's snapshot every second and answers `/metrics` for all.

    `start` takes up the counts of the process that had this role before, so that what Prometheus sees never goes
    back when one is killed and started again: it would take that for a reset of everything, and see a spike.
    """

    name = "metrics"

    def __init__(self, metrics: Metrics, directory: Path, clock: Clock, logbook: Logbook) -> None:
        """`directory` is shared by all processes of the installation, and by no other installation."""
        if not _ROLE.fullmatch(metrics.role):
            raise ValueError(f"role {metrics.role!r} must be lower-case letters, digits, '-' and '_'")
        self._metrics = metrics
        self._directory = directory
        self._file = directory / f"{metrics.role}{SUFFIX}"
        self._clock = clock
        self._logbook = logbook
        self._stop = asyncio.Event()
        self._failing = False

    async def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        if (base := _read(self._file)) is not None:
            self._metrics.restore(base)

    async def run(self) -> None:
        async for _ in ticks(self._clock, INTERVAL_S, self._stop):
            self.save()

    def drain(self) -> None:
        self._stop.set()

    async def stop(self) -> None:
        """Save for the last time: what was counted while everything drained is kept."""
        self._stop.set()
        self.save()

    def save(self) -> Snapshot:
        """Write the snapshot for the other processes and for our own next life; a full disk is noted, no more.

        It is not synced: a rename outlives the process, and a machine that lost power may start from zero.
        """
        snapshot = self._metrics.snapshot(self._clock.now())
        temporary = self._file.with_suffix(".tmp")
        try:
            temporary.write_bytes(msgspec.msgpack.encode(snapshot))
            temporary.replace(self._file)
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._logbook.note("warning", "Metrics snapshot could not be written", error=str(error))
            self._failing = True
        return snapshot

    def exposition(self) -> bytes:
        """The body of `/metrics`.

        Our own snapshot is saved first: no scrape may have seen a count that our next life would not know of.
        """
        live = self.save()
        files = [path for path in sorted(self._directory.glob(f"*{SUFFIX}")) if path != self._file]
        others = [one for path in files if (one := _read(path)) is not None]
        return render(merge(live, others, self._clock.now()))


def _read(path: Path) -> Snapshot | None:
    """A process's snapshot; None where there is none, or none that can be read."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)
    except (OSError, msgspec.DecodeError):
        return None


def _known(snapshot: Snapshot) -> Snapshot:
    def fit(table: Mapping[str, Sequence[tuple[Labels, _V]]]) -> Table[_V]:
        known = {name: BY_NAME[name] for name in table if name in BY_NAME}
        return {
            name: [one for one in table[name] if len(one[0]) == len(metric.labels)] for name, metric in known.items()
        }

    histograms = {
        name: [one for one in series if len(one[1].counts) == len(BY_NAME[name].buckets) + 1]
        for name, series in fit(snapshot.histograms).items()
    }
    return Snapshot(snapshot.role, snapshot.at, fit(snapshot.counters), fit(snapshot.gauges), histograms)


def _summed(tables: Iterable[Mapping[str, Sequence[tuple[Labels, _V]]]], plus: Callable[[_V, _V], _V]) -> Table[_V]:
    sums: dict[str, dict[Labels, _V]] = {}
    for table in tables:
        for name, series in table.items():
            known = sums.setdefault(name, {})
            for labels, value in series:
                known[labels] = plus(known[labels], value) if labels in known else value
    return {name: list(series.items()) for name, series in sums.items()}


def _added(one: Distribution, other: Distribution) -> Distribution:
    counts = [mine + theirs for mine, theirs in zip(one.counts, other.counts, strict=True)]
    return Distribution(counts, one.total + other.total)


def _gauges(snapshots: Sequence[Snapshot], now: int) -> Table[float]:
    """Oldest first, so that the newest has the last word on what is shared."""
    merged: dict[str, dict[Labels, float]] = {}
    for snapshot in sorted(snapshots, key=lambda one: one.at):
        age = abs(now - snapshot.at)
        for name, series in snapshot.gauges.items():
            if age > (FORGOTTEN_MS if name == _SEEN else STALE_MS):
                continue
            if BY_NAME[name].owner == "exporter":
                merged[name] = dict(series)
            else:
                merged.setdefault(name, {}).update(series)
    return {name: list(series.items()) for name, series in merged.items()}
