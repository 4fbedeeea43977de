"""Writes a snapshot in Prometheus' text exposition format 0.0.4.

OpenMetrics is not offered: it drops the `_total` of a counter's family name, and `dead_letters_total` would collide
with the gauge `dead_letters`, which the format forbids. Prometheus asks for this format where there is no other.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from bellhouse.observability.catalogue import BY_NAME, METRICS, Metric
from bellhouse.observability.families import Distribution, Labels
from bellhouse.observability.metrics import Snapshot

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


def render(snapshot: Snapshot) -> bytes:
    """The body of `/metrics`: every metric of the catalogue, also those that have no series yet."""
    return "".join(_lines(snapshot)).encode()


def _lines(snapshot: Snapshot) -> Iterator[str]:
    for metric in METRICS:
        name = metric.name
        yield f"# HELP {name} {metric.help.translate(_HELP_ESCAPES)}\n# TYPE {name} {metric.kind}\n"
        if metric.kind == "histogram":
            yield from _histogram(metric, snapshot.histograms.get(name, ()))
        else:
            table = snapshot.counters if metric.kind == "counter" else snapshot.gauges
            for labels, value in table.get(name, ()):
                inner = _inner(metric.name, labels)
                yield f"{name}{{{inner}}} {_number(value)}\n" if inner else f"{name} {_number(value)}\n"


def _histogram(metric: Metric, series: Sequence[tuple[Labels, Distribution]]) -> Iterator[str]:
    bounds = (*map(_number, metric.buckets), "+Inf")
    for labels, distribution in series:
        inner = _inner(metric.name, labels)
        before, braces = (f"{inner},", f"{{{inner}}}") if inner else ("", "")
        count = 0
        for bound, more in zip(bounds, distribution.counts, strict=True):
            count += more
            yield f'{metric.name}_bucket{{{before}le="{bound}"}} {count}\n'
        yield f"{metric.name}_sum{braces} {_number(distribution.total)}\n{metric.name}_count{braces} {count}\n"


@lru_cache(maxsize=32768)
def _inner(metric: str, labels: Labels) -> str:
    """The text between the braces, which is the same at every scrape."""
    pairs = zip(BY_NAME[metric].labels, labels, strict=True)
    return ",".join(f'{label.name}="{value.translate(_ESCAPES)}"' for label, value in pairs)


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
