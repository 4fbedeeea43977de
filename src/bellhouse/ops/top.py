"""The on-call board's figures, out of two scrapes: what `bellhouse top` shows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.domain.words import CHANNELS, PRIORITIES
from bellhouse.ops.doctor.samples import Reading

STEPS: Final = ("open", "no_low", "no_normal", "critical_only", "closed")
"""What the steps of back-pressure are called, by their number."""
_BREAKERS: Final = ("closed", "open", "half-open")
_STARTED: Final = "process_started_timestamp_seconds"
_INSTANCE: Final = "instance"

COUNTERS: Final = (
    "notifications_received_total", "notifications_rejected_total", "notifications_sent_total",
    "notifications_delivered_total", "notification_end_to_end_seconds_bucket", "dead_letters_total",
    "provider_verdicts_total", "provider_latency_seconds_bucket", "process_cpu_used_seconds_total",
)  # fmt: skip
"""Whose increases a frame reads."""
GAUGES: Final = (
    "kafka_consumer_lag", "oldest_pending_seconds", "dead_letters", "circuit_breaker_state",
    "provider_silence_seconds", "provider_balance", "ledger_imbalance", "ledger_checked_timestamp_seconds",
    "gauge_read_timestamp_seconds", "ingest_degraded_step", "process_memory_bytes", "dependency_up", "levers_pulled",
    "lane_paused", _STARTED,
)  # fmt: skip
"""Whose values it reads."""


class Alert(msgspec.Struct, frozen=True):
    """An alert that Prometheus holds active; `state` is `pending` or `firing`."""

    name: str
    state: str
    severity: str
    summary: str
    since: str


class PriorityLine(msgspec.Struct, frozen=True):
    """A priority: how many a second come in, how many records wait, and for how long the oldest has (s)."""

    priority: str
    received_per_s: float
    queue: float
    oldest_s: float


class ChannelLine(msgspec.Struct, frozen=True):
    """A channel; `success` is in percent, `p99_s` end to end. Both are None where nothing was sent or confirmed."""

    channel: str
    attempts_per_s: float
    success: float | None
    delivered_per_s: float
    p99_s: float | None
    dead_letters: float
    dead_lettered: float
    """How many deliveries became dead letters within the window."""


class ProviderLine(msgspec.Struct, frozen=True):
    """A provider's breaker on a channel, and its calls.

    `success` is the percentage that was accepted by what the answers meant, `p95_s` how long they took.
    """

    provider: str
    channel: str
    breaker: str
    calls_per_s: float
    success: float | None
    p95_s: float | None
    silence_s: float
    balance: float | None


class ProcessLine(msgspec.Struct, frozen=True):
    """A process; `cores` is how much CPU it uses, `restarts` how often it was seen to begin anew."""

    role: str
    instance: str
    memory_bytes: float
    cores: float
    up_s: float
    restarts: int


class Frame(msgspec.Struct, frozen=True):
    """How everything stands at one moment; rates are a second over the last `window_s`."""

    at: float
    """Seconds since the epoch."""
    window_s: float
    step: str
    ledger_imbalance: float | None
    ledger_age_s: float | None
    figures_age_s: float | None
    """The age of the oldest figure that one process exports for all."""
    rejected_per_s: float
    priorities: tuple[PriorityLine, ...]
    channels: tuple[ChannelLine, ...]
    providers: tuple[ProviderLine, ...]
    processes: tuple[ProcessLine, ...]
    levers: Mapping[str, int]
    """How many levers of each kind are pulled, forced breakers among them; those of which none is are left out."""
    paused: tuple[str, ...]
    """What a pause holds whole: `channel.priority`."""
    down: tuple[str, ...]
    """What a process cannot reach: `role: dependency`."""
    unreachable: tuple[str, ...]
    """Targets that did not answer."""
    alerts: tuple[Alert, ...] | None
    """None where no Prometheus was asked."""


class Starts(msgspec.Struct, frozen=True):
    """When each process began, and how often one was seen to begin anew since the first look."""

    began: Mapping[tuple[str, str], float] = {}
    restarts: Mapping[tuple[str, str], int] = {}

    def after(self, reading: Reading) -> "Starts":
        """With what a further reading tells."""
        began, restarts = dict(self.began), dict(self.restarts)
        for (role, instance), at in _began(reading).items():
            if began.get((role, instance), at) < at:
                restarts[role, instance] = restarts.get((role, instance), 0) + 1
            began[role, instance] = at
        return Starts(began, restarts)


def frame_of(
    reading: Reading,
    now: float,
    starts: Starts,
    unreachable: Sequence[str] = (),
    alerts: Iterable[Alert] | None = None,
) -> Frame:
    """The figures of a reading; `now` is in seconds since the epoch."""
    read_at = [value for _, value in reading.gauges("gauge_read_timestamp_seconds")]
    checked_at = _largest(reading, "ledger_checked_timestamp_seconds").get(())
    step = int(max((value for _, value in reading.gauges("ingest_degraded_step")), default=0))
    return Frame(
        now,
        reading.window_s,
        STEPS[min(step, len(STEPS) - 1)],
        _largest(reading, "ledger_imbalance").get(()),
        None if checked_at is None else max(0.0, now - checked_at),
        max(0.0, now - min(read_at)) if read_at else None,
        _per_s(reading, _grown(reading, "notifications_rejected_total").get((), 0.0)),
        tuple(_priorities(reading)),
        tuple(_channels(reading)),
        tuple(_providers(reading)),
        tuple(_processes(reading, now, starts)),
        {kind: int(count) for (kind,), count in _largest(reading, "levers_pulled", "kind").items() if count},
        tuple(
            f"{channel}.{priority}"
            for (channel, priority), held in _largest(reading, "lane_paused", "channel", "priority").items()
            if held
        ),
        tuple(
            f"{labels.get('role', '')}: {labels.get('dependency', '')}"
            for labels, value in reading.gauges("dependency_up")
            if not value
        ),
        tuple(unreachable),
        None if alerts is None else tuple(sorted(alerts, key=lambda alert: (alert.state, alert.severity, alert.name))),
    )


def _largest(reading: Reading, name: str, *by: str) -> dict[tuple[str, ...], float]:
    """A gauge's largest value for each value of the labels `by`: the same thing may be told by several processes."""
    found: dict[tuple[str, ...], float] = {}
    for labels, value in reading.gauges(name):
        key = tuple(labels.get(label, "") for label in by)
        found[key] = max(value, found.get(key, value))
    return found


def _grown(reading: Reading, name: str, *by: str, **only: str) -> dict[tuple[str, ...], float]:
    """How far a counter went for each value of the labels `by`, among the series with the labels `only`."""
    sums: dict[tuple[str, ...], float] = {}
    for labels, value in reading.grown(name):
        if all(labels.get(label) == word for label, word in only.items()):
            key = tuple(labels.get(label, "") for label in by)
            sums[key] = sums.get(key, 0.0) + value
    return sums


def _per_s(reading: Reading, count: float) -> float:
    return count / reading.window_s if reading.window_s > 0 else 0.0


def _percent(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None


def _priorities(reading: Reading) -> Iterable[PriorityLine]:
    received = _grown(reading, "notifications_received_total", "priority")
    oldest = _largest(reading, "oldest_pending_seconds", "priority")
    queues = dict.fromkeys(PRIORITIES, 0.0)
    for (topic, *_), lag in _largest(reading, "kafka_consumer_lag", "topic", "partition", "consumer_group").items():
        priority = topic.rpartition(".")[2]
        for known in PRIORITIES:
            queues[known] += lag if known == priority else 0
    for known in PRIORITIES:
        rate = _per_s(reading, received.get((known,), 0.0))
        yield PriorityLine(known, rate, queues[known], oldest.get((known,), 0.0))


def _channels(reading: Reading) -> Iterable[ChannelLine]:
    attempts = _grown(reading, "notifications_sent_total", "channel")
    good = _grown(reading, "notifications_sent_total", "channel", status="success")
    delivered = _grown(reading, "notifications_delivered_total", "channel")
    waiting = _largest(reading, "dead_letters", "channel")
    given_up = _grown(reading, "dead_letters_total", "channel")
    for known in CHANNELS:
        key = (known,)
        yield ChannelLine(
            known,
            _per_s(reading, attempts.get(key, 0.0)),
            _percent(good.get(key, 0.0), attempts.get(key, 0.0)),
            _per_s(reading, delivered.get(key, 0.0)),
            reading.quantile("notification_end_to_end_seconds", 0.99, channel=known),
            waiting.get(key, 0.0),
            given_up.get(key, 0.0),
        )


def _providers(reading: Reading) -> Iterable[ProviderLine]:
    breakers = _largest(reading, "circuit_breaker_state", "channel", "provider")
    calls = _grown(reading, "provider_verdicts_total", "provider")
    accepted = _grown(reading, "provider_verdicts_total", "provider", verdict="accepted")
    silence = _largest(reading, "provider_silence_seconds", "provider")
    balances = _largest(reading, "provider_balance", "provider")
    for (channel, provider), state in sorted(breakers.items()):
        key = (provider,)
        total = calls.get(key, 0.0)
        yield ProviderLine(
            provider,
            channel,
            _BREAKERS[int(state)] if 0 <= state < len(_BREAKERS) else str(state),
            _per_s(reading, total),
            _percent(accepted.get(key, 0.0), total),
            reading.quantile("provider_latency_seconds", 0.95, provider=provider),
            silence.get(key, 0.0),
            balances.get(key),
        )


def _processes(reading: Reading, now: float, starts: Starts) -> Iterable[ProcessLine]:
    memory = _largest(reading, "process_memory_bytes", "role", _INSTANCE)
    used = _grown(reading, "process_cpu_used_seconds_total", "role", _INSTANCE)
    for (role, instance), at in sorted(_began(reading).items()):
        key = (role, instance)
        yield ProcessLine(
            role,
            instance,
            memory.get(key, 0.0),
            _per_s(reading, used.get(key, 0.0)),
            max(0.0, now - at),
            starts.restarts.get(key, 0),
        )


def _began(reading: Reading) -> dict[tuple[str, str], float]:
    return {(role, instance): at for (role, instance), at in _largest(reading, _STARTED, "role", _INSTANCE).items()}
