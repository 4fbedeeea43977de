"""Reads Prometheus' text format, and takes two readings for what happened between them."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]

_LINE: Final = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\S+)?$")
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_UNESCAPED: Final = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
_ESCAPE: Final = re.compile(r'\\[\\"n]')


def parse(text: str, instance: str = "") -> dict[Key, float]:
    """Every sample of an exposition. A line that is none is left out; `instance` tells several targets apart."""
    found: dict[Key, float] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        labels = [
            (name, _ESCAPE.sub(lambda one: _UNESCAPED[one[0]], said)) for name, said in _LABEL.findall(match[2] or "")
        ]
        if instance:
            labels.append(("instance", instance))
        found[match[1], tuple(sorted(labels))] = value
    return found


class Reading(msgspec.Struct, frozen=True):
    """What metrics say: their values at the end of a window, and how far counters went within it."""

    values: Mapping[Key, float] = {}
    before: Mapping[Key, float] = {}
    """The values at the window's beginning; empty where only increases are known."""
    increases: Mapping[Key, float] = {}
    window_s: float = 0.0
    restarts_s: float = 0.0
    """Over what time starts of processes are counted."""

    def gauges(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """The series of a gauge at the end, those that say nothing apart."""
        return ((dict(key[1]), value) for key, value in self.values.items() if key[0] == name and math.isfinite(value))

    def gauge(self, name: str) -> float | None:
        """The largest value of a gauge; None where it has no series."""
        return max((value for _, value in self.gauges(name)), default=None)

    def grown(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """How far each series of a counter went."""
        return ((dict(key[1]), value) for key, value in self.increases.items() if key[0] == name and value > 0)

    def sums(self, name: str, *labels: str) -> dict[str, float]:
        """The same added up by some labels, whose values are put together with a blank."""
        sums: dict[str, float] = {}
        for found, value in self.grown(name):
            word = " ".join(found.get(label, "") for label in labels)
            sums[word] = sums.get(word, 0.0) + value
        return sums

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """A quantile of a histogram over the window, as Prometheus computes it; None where nothing was observed."""
        buckets: dict[float, float] = {}
        wanted_name = f"{name}_bucket"
        for key, value in self.increases.items():
            # Those that did not grow are kept: the one below says where the next one begins.
            found = dict(key[1]) if key[0] == wanted_name else {}
            if found and all(found.get(label) == wanted for label, wanted in labels.items()):
                bound = float(found.get("le", "inf"))
                buckets[bound] = buckets.get(bound, 0.0) + value
        return _quantile(sorted(buckets.items()), share)


def between(first: Mapping[Key, float], last: Mapping[Key, float], window_s: float) -> Reading:
    """The reading of two scrapes. A counter that went back began anew; one that is new had been 0."""
    increases = {}
    for key, value in last.items():
        before = first.get(key, 0.0)
        increases[key] = value - before if value >= before else value
    return Reading(last, first, increases, window_s, window_s)


def _quantile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    cumulative = list(buckets)
    if not cumulative or cumulative[-1][1] <= 0:
        return None
    rank, low, below = share * cumulative[-1][1], 0.0, 0.0
    for bound, count in cumulative:
        if count >= rank:
            if math.isinf(bound):
                return low
            return low + (bound - low) * ((rank - below) / (count - below) if count > below else 1.0)
        low, below = bound, count
    return low
