"""Asks running processes, or a Prometheus that scrapes them, for their metrics."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bellhouse.adapters.clock import SystemClock
from bellhouse.app.asking import Unanswered, host_of, metrics_address, metrics_of, prometheus_alerts, prometheus_results
from bellhouse.ops.doctor.samples import Key, Reading, between, parse
from bellhouse.ops.top import COUNTERS, GAUGES, Alert, Frame, Starts, frame_of

WINDOW_S: Final = 60.0
"""Over how long rates are taken, once it has looked for so long."""


class Scraper:
    """Looks at processes again and again, or at what a Prometheus has seen of them."""

    def __init__(self, targets: Sequence[str], prometheus: str | None) -> None:
        """`targets` are addresses of `/metrics`; without any, the Prometheus is asked for the figures too."""
        self._targets = [metrics_address(target) for target in targets]
        self._prometheus = prometheus
        self._clock = SystemClock()
        self._seen: deque[tuple[float, Mapping[Key, float]]] = deque()
        self._starts = Starts()
        self._unreachable: tuple[str, ...] = ()

    @property
    def needs_two_looks(self) -> bool:
        """Whether rates need a second look: a Prometheus knows what was before."""
        return bool(self._targets)

    def pause(self, seconds: float) -> None:
        """Wait so long."""
        self._clock.pause(seconds)

    def look(self) -> Frame:
        """How everything stands now. Raises Unanswered where nobody answers."""
        reading = self._looked() if self._targets else self._asked()
        self._starts = self._starts.after(reading)
        alerts = None if self._prometheus is None else self._alerts(self._prometheus)
        return frame_of(reading, self._clock.now() / 1000, self._starts, self._unreachable, alerts)

    def _looked(self) -> Reading:
        at = self._clock.monotonic()
        samples: dict[Key, float] = {}
        silent: list[str] = []
        several = len(self._targets) > 1
        for target, answer in metrics_of(self._targets):
            if isinstance(answer, Unanswered):
                silent.append(f"{target}: {answer}")
            else:
                samples |= parse(answer, host_of(target) if several else "")
        if not samples:
            raise Unanswered("; ".join(silent) or "no metrics in the answer")
        self._unreachable = tuple(silent)
        self._seen.append((at, samples))
        while at - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        began, first = self._seen[0]
        return between(first, samples, at - began)

    def _asked(self) -> Reading:
        """What Prometheus has now, and how far counters went in the window by its own reckoning."""
        assert self._prometheus is not None
        rises = [f"increase({name}[{WINDOW_S:.0f}s])" for name in COUNTERS]
        values, *answers = prometheus_results(self._prometheus, [f'{{__name__=~"{"|".join(GAUGES)}"}}', *rises])
        named = zip(COUNTERS, answers, strict=True)
        increases = {key: value for name, answer in named for key, value in _samples(answer, name).items()}
        found = _samples(values, "")
        if not found:
            raise Unanswered(f"{self._prometheus} has no figures of Bellhouse: does it scrape /metrics?")
        return Reading(found, {}, increases, WINDOW_S)

    def _alerts(self, url: str) -> list[Alert]:
        try:
            found = prometheus_alerts(url)
        except Unanswered as error:
            self._unreachable = (*(one for one in self._unreachable if not one.startswith(url)), f"{url}: {error}")
            return []
        return [_alert(one) for one in found]


def _alert(told: Mapping[str, Any]) -> Alert:
    labels, notes = told["labels"], told["annotations"]
    return Alert(
        labels["alertname"],
        told["state"],
        labels.get("severity", ""),
        notes.get("summary", ""),
        told.get("activeAt", ""),
    )


def _samples(result: Iterable[Mapping[str, Any]], name: str) -> dict[Key, float]:
    """The series of an answer; `name` is what they are called where the answer does not say."""
    found: dict[Key, float] = {}
    for one in result:
        labels = {label: word for label, word in one["metric"].items() if label not in ("__name__", "job")}
        found[one["metric"].get("__name__", name), tuple(sorted(labels.items()))] = float(one["value"][1])
    return found
