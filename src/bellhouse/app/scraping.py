"""Asks running processes, or a Prometheus that scrapes them, for their metrics."""

import http.client
import json
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from bellhouse.adapters.clock import SystemClock
from bellhouse.ops.doctor.samples import Key, Reading, between, parse
from bellhouse.ops.top import COUNTERS, GAUGES, Alert, Frame, Starts, frame_of

WINDOW_S: Final = 60.0
"""Over how long rates are taken, once it has looked for so long."""
_PATIENCE_S: Final = 10.0
_AT_ONCE: Final = 16
_OK: Final = 200
_NO_PROMETHEUS: Final = "it answers, but not as a Prometheus does"


class Unreachable(Exception):
    """Nobody who was asked gave figures; says who, and why."""


class Scraper:
    """Looks at processes again and again, or at what a Prometheus has seen of them."""

    def __init__(self, targets: Sequence[str], prometheus: str | None) -> None:
        """`targets` are addresses of `/metrics`; without any, the Prometheus is asked for the figures too."""
        self._targets = [_with_path(target) for target in targets]
        self._prometheus = None if prometheus is None else prometheus.rstrip("/")
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
        """How everything stands now. Raises Unreachable where nobody answers."""
        reading = self._looked() if self._targets else self._asked()
        self._starts = self._starts.after(reading)
        alerts = None if self._prometheus is None else self._alerts(self._prometheus)
        return frame_of(reading, self._clock.now() / 1000, self._starts, self._unreachable, alerts)

    def _looked(self) -> Reading:
        at = self._clock.monotonic()
        samples: dict[Key, float] = {}
        silent: list[str] = []
        several = len(self._targets) > 1
        with ThreadPoolExecutor(min(_AT_ONCE, len(self._targets))) as pool:
            for target, answer in zip(self._targets, pool.map(_get_or_reason, self._targets), strict=True):
                if isinstance(answer, Unreachable):
                    silent.append(f"{target}: {answer}")
                else:
                    text = answer.decode("utf-8", "replace")
                    samples |= parse(text, urlsplit(target).netloc if several else "")
        if not samples:
            raise Unreachable("; ".join(silent) or "no metrics in the answer")
        self._unreachable = tuple(silent)
        self._seen.append((at, samples))
        while at - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        began, first = self._seen[0]
        return between(first, samples, at - began)

    def _asked(self) -> Reading:
        """What Prometheus has now, and how far counters went in the window by its own reckoning."""
        assert self._prometheus is not None
        url = self._prometheus
        queries = {name: f"increase({name}[{WINDOW_S:.0f}s])" for name in COUNTERS}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            values = pool.submit(_query, url, f'{{__name__=~"{"|".join(GAUGES)}"}}')
            answers = zip(queries, pool.map(lambda expr: _query(url, expr), queries.values()), strict=True)
            increases = {key: value for name, answer in answers for key, value in _samples(answer, name).items()}
        found = _samples(values.result(), "")
        if not found:
            raise Unreachable(f"{url} has no figures of Bellhouse: does it scrape /metrics?")
        return Reading(found, {}, increases, WINDOW_S)

    def _alerts(self, url: str) -> list[Alert]:
        try:
            found = _told(_json(f"{url}/api/v1/alerts"), "alerts")
        except Unreachable as error:
            self._unreachable = (*(one for one in self._unreachable if not one.startswith(url)), f"{url}: {error}")
            return []
        return [_alert(one) for one in found]


def _alert(told: Any) -> Alert:
    labels, notes = told["labels"], told["annotations"]
    return Alert(
        labels["alertname"],
        told["state"],
        labels.get("severity", ""),
        notes.get("summary", ""),
        told.get("activeAt", ""),
    )


def _with_path(target: str) -> str:
    address = target if "://" in target else f"http://{target}"
    try:
        path = urlsplit(address).path
    except ValueError:
        return address  # it is told when it is asked
    return address if path.strip("/") else f"{address.rstrip('/')}/metrics"


def _query(url: str, expr: str) -> Any:
    return _told(_json(f"{url}/api/v1/query?{urlencode({'query': expr})}"), "result")


def _samples(result: Any, name: str) -> dict[Key, float]:
    """The series of an answer; `name` is what they are called where the answer does not say."""
    found: dict[Key, float] = {}
    for one in result:
        labels = {label: word for label, word in one["metric"].items() if label not in ("__name__", "job")}
        found[one["metric"].get("__name__", name), tuple(sorted(labels.items()))] = float(one["value"][1])
    return found


def _json(url: str) -> Any:
    body = _get(url)
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Unreachable(_NO_PROMETHEUS)
    return answer


def _told(answer: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The rows of a Prometheus' answer. Raises Unreachable for what is none."""
    data = answer.get("data")
    rows = data.get(name) if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreachable(_NO_PROMETHEUS)
    return rows


def _get_or_reason(url: str) -> bytes | Unreachable:
    try:
        return _get(url)
    except Unreachable as error:
        return error


def _get(url: str) -> bytes:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Unreachable(f"it is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Unreachable("it is no URL")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(str(error) or type(error).__name__) from None
    finally:
        connection.close()
    if response.status != _OK:
        raise Unreachable(f"it answers {response.status}")
    return body
