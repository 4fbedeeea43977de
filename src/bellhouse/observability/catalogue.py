"""The catalogue of every metric: from it come the live series, the reference page and the dashboards."""

from collections.abc import Iterator
from http import HTTPStatus
from itertools import product
from typing import Final, Literal, get_args

import msgspec

from bellhouse.domain.attempt import AttemptStatus, VerdictName
from bellhouse.domain.words import CHANNELS, PRIORITIES
from bellhouse.policy.reasons import REASON_CODES
from bellhouse.ports.log import GROUP_OF, TOPICS
from bellhouse.ports.telemetry import CallbackOutcome, Dependency, LeverWord, ProbeOutcome, SpanOutcome, Stage

Kind = Literal["counter", "gauge", "histogram"]
Owner = Literal["process", "exporter"]
"""Who sets a gauge: each process its own (told apart by `role`), or the one leased exporter for all."""

OTHER: Final = "other"
"""What every label value becomes that is not in its list."""


class Words(msgspec.Struct, frozen=True):
    """The values that a label may have; `limit` above 0 lets the app register values until there are so many."""

    name: str
    values: tuple[str, ...]
    note: str = ""
    """What the reference page says in place of a list that is long or grows."""
    limit: int = 0


class Label(msgspec.Struct, frozen=True):
    """A label's name and its words."""

    name: str
    words: Words


class Metric(msgspec.Struct, frozen=True):
    """One metric, exactly as it is exported."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    owner: Owner = "process"
    fold: Literal["sum", "max"] = "sum"
    """What a gauge shows when several of its series fold into `other`."""
    ours: bool = False
    """Whether it is an addition to the names that the platform's monitoring design gave."""


_DLQ: Final = tuple(f"dlq.{channel}" for channel in CHANNELS)
# RFC 5321, 4.2.3; RFC 3207 and RFC 4954 add the 454, 53x and 235 of STARTTLS and AUTH.
_SMTP: Final = "211 214 220 221 235 250 251 252 354 421 432 450 451 452 454 455 500 501 502 503 504 521 530 534 535 538"
_SMTP_5YZ: Final = "550 551 552 553 554 555 556"
_HTTP: Final = tuple(str(status.value) for status in HTTPStatus)
_REJECTED: Final = (
    "malformed",
    "invalid",
    "too_large",
    "unknown_type",
    "unknown_recipient",
    "key_conflict",
    "unauthenticated",
    "forbidden",
    "rate_limited",
    "backlog",
    "unavailable",
)


def _reasons(prefix: str) -> tuple[str, ...]:
    return tuple(code for code in REASON_CODES if code.startswith(prefix))


PRIORITY: Final = Words("priority", PRIORITIES)
CHANNEL: Final = Words("channel", CHANNELS)
TYPE: Final = Words("type", (), "a registered type, at most 200 of them", limit=200)
ROUTE: Final = Words("route", (), "a route's template, such as `/v1/notifications/{id}`", limit=100)
PROVIDER: Final = Words(
    "provider", ("fcm", "sendgrid", "smtp", "twilio", "vonage", "in_app", "log"), limit=40,
    note="`fcm` `sendgrid` `smtp` `twilio` `vonage` `in_app` `log`, and provider accounts that are registered",
)  # fmt: skip
REJECT_REASON: Final = Words(
    "reject_reason", _REJECTED, limit=80, note="`malformed` `invalid` `too_large` …, and the API's codes of errors"
)
CURRENCY: Final = Words(
    "currency", ("USD", "EUR", "GBP", "CHF"), limit=20, note="ISO 4217; those of the registered price sheets"
)
TENANT: Final = Words("tenant", (), "a tenant's name, all of its environments together, at most 200 of them", limit=200)
CAMPAIGN: Final = Words(
    "campaign", (), "a campaign's name, at most 100 at a time in a process; `other` is those beyond", limit=100
)
ROLE: Final = Words("role", (), "the process's role, as in `bellhouse serve`", limit=20)
SUPPRESSION_REASON: Final = Words("suppression_reason", _reasons("suppressed:"))
DEAD_LETTER_REASON: Final = Words("dead_letter_reason", _reasons("dead_lettered:"))
TOPIC: Final = Words(
    "topic", TOPICS + _DLQ, "`notifications.<priority>` `deliveries.<channel>.<priority>` `dlq.<channel>`"
)
PARTITION: Final = Words("partition", tuple(map(str, range(1000))), "`0` … `999`")
GROUP: Final = Words(
    "consumer_group",
    tuple(dict.fromkeys(GROUP_OF.values())),
    "`notification-workers` `notification-workers-critical` `notification-workers-high` "
    "`delivery-<channel>-<priority>`",
)
STATUS: Final = Words("status", get_args(AttemptStatus))
VERDICT: Final = Words("verdict", get_args(VerdictName))
WIRE_CODE: Final = Words(
    "status_code",
    tuple(dict.fromkeys((*_HTTP, *_SMTP.split(), *_SMTP_5YZ.split(), "timeout", "connect"))),
    "an HTTP status or SMTP reply code as on the wire, or `timeout`, `connect`",
)
HTTP_CODE: Final = Words("code", _HTTP, "the HTTP status of the answer")
ATTEMPT: Final = Words("attempt", tuple(map(str, range(1, 11))), "`1` … `10`: the attempt that failed")
OUTCOME: Final = Words("outcome", get_args(CallbackOutcome))
STAGE: Final = Words("stage", get_args(Stage))
SPAN_OUTCOME: Final = Words("span_outcome", get_args(SpanOutcome))
PROBE_OUTCOME: Final = Words("probe_outcome", get_args(ProbeOutcome))
DEPENDENCY: Final = Words("dependency", get_args(Dependency))
LEVER: Final = Words("kind", get_args(LeverWord))
READING: Final = Words(
    "gauge",
    (
        "lags", "breakers", "dead_letters", "ledger", "oldest_pending", "balances", "store", "silences", "probes",
        "levers", "partitions",
    ),
)  # fmt: skip

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0)
"""Everywhere; the 2 bounds both the promise for transactional messages and the alert on slow providers."""
HOURS: Final = (*SECONDS, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0)
SIZES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)

_LISTS: Final = {
    "priority": PRIORITY, "channel": CHANNEL, "type": TYPE, "route": ROUTE, "provider": PROVIDER, "topic": TOPIC,
    "partition": PARTITION, "consumer_group": GROUP, "status": STATUS, "verdict": VERDICT, "status_code": WIRE_CODE,
    "code": HTTP_CODE, "attempt": ATTEMPT, "outcome": OUTCOME, "stage": STAGE, "gauge": READING, "role": ROLE,
    "currency": CURRENCY, "dependency": DEPENDENCY, "kind": LEVER, "tenant": TENANT, "campaign": CAMPAIGN,
}  # fmt: skip


def _labels(names: str, **own: Words | None) -> tuple[Label, ...]:
    """The labels of these names, in their order; `own` are a metric's own words for a name that others have too."""
    lists = _LISTS | {name: words for name, words in own.items() if words is not None}
    return tuple(Label(name, lists[name]) for name in names.split())


def _counter(
    name: str, labels: str, help: str, *, reason: Words | None = None, outcome: Words | None = None, ours: bool = False
) -> Metric:
    return Metric(name, "counter", help, _labels(labels, reason=reason, outcome=outcome), ours=ours)


def _histogram(
    name: str, labels: str, help: str, *, buckets: tuple[float, ...] = SECONDS, ours: bool = False
) -> Metric:
    return Metric(name, "histogram", help, _labels(labels), buckets, ours=ours)


def _shared(name: str, labels: str, help: str, *, fold: Literal["sum", "max"] = "max", ours: bool = False) -> Metric:
    return Metric(name, "gauge", help, _labels(labels), owner="exporter", fold=fold, ours=ours)


def _own(name: str, help: str, labels: str = "role") -> Metric:
    return Metric(name, "gauge", help, _labels(labels), fold="max", ours=True)


METRICS: Final[tuple[Metric, ...]] = (
    _counter("notifications_received_total", "priority type", "Notifications that callers asked for."),
    _counter("notifications_validated_total", "priority type", "Notifications that passed every check of ingest."),
    _counter("notifications_rejected_total", "reason", "Notifications refused at the door.", reason=REJECT_REASON),
    _counter("kafka_messages_produced_total", "topic", "Records appended to the log."),
    _shared(
        "kafka_consumer_lag", "topic partition consumer_group", "Records that a group has not committed.", fold="sum"
    ),
    _counter("notifications_routed_total", "channel priority", "Deliveries planned by the router."),
    _histogram("routing_duration_seconds", "priority", "From a record's poll to its stored decision."),
    _counter("notifications_sent_total", "channel provider status", "Attempts, each counted once when it is settled."),
    _histogram("delivery_duration_seconds", "channel provider", "From a delivery's poll to its settled attempt."),
    _counter("delivery_retries_total", "channel provider attempt", "Deliveries put back for another attempt."),
    _counter("provider_requests_total", "provider status_code", "Calls of providers by the code on the wire."),
    _histogram("provider_latency_seconds", "provider", "How long a provider took to answer a call."),
    _shared("circuit_breaker_state", "provider channel", "0 closed, 1 open, 2 half-open."),
    _counter("notifications_delivered_total", "channel type", "Deliveries confirmed."),
    _histogram(
        "notification_end_to_end_seconds", "channel priority",
        "From receipt, or the due moment of what was scheduled or deferred, to confirmation; where a provider gives "
        "no receipt, to its acceptance.", buckets=HOURS,
    ),
    _counter("http_requests_total", "route code", "Requests answered by the API.", ours=True),
    _histogram("http_request_duration_seconds", "route", "How long the API took to answer.", ours=True),
    _counter(
        "http_turned_away_total", "", "Requests that degraded mode turned away whole, each by one 503.", ours=True
    ),
    _counter(
        "notifications_suppressed_total", "reason channel", "Deliveries that were not planned, and why.",
        reason=SUPPRESSION_REASON, ours=True,
    ),
    _counter(
        "dead_letters_total", "channel reason", "Deliveries that became dead letters.",
        reason=DEAD_LETTER_REASON, ours=True,
    ),
    _shared("dead_letters", "channel", "Dead letters that wait for somebody.", ours=True),
    _counter(
        "notification_cost_total", "channel provider currency",
        "Money spent on attempts, in units of the currency; billed though failed counts.", ours=True,
    ),
    _counter(
        "notification_cost_by_tenant_total", "tenant channel currency",
        "The same money, by the tenant that it was spent for.", ours=True,
    ),
    _counter(
        "notification_cost_by_campaign_total", "campaign channel currency",
        "The part of the same money that was spent on notifications of a campaign. A campaign that cost nothing for a "
        "day may make room for another one.", ours=True,
    ),
    _shared("ledger_imbalance", "", "What the ledger cannot account for: must be 0.", ours=True),
    _shared("ledger_checked_timestamp_seconds", "", "When the ledger was last checked.", ours=True),
    _shared(
        "oldest_pending_seconds", "stage priority",
        "How long the oldest that may leave has waited; what is paused may not.", ours=True,
    ),
    _shared("levers_pulled", "kind", "Levers that operators have pulled, and forced breakers.", ours=True),
    _shared(
        "lane_paused", "channel priority", "Whether a pause holds all of a channel at a priority: 1 it does, 0 not.",
        ours=True,
    ),
    _shared("provider_balance", "provider", "Money left in a provider's account, in its currency.", ours=True),
    _shared(
        "provider_balance_low", "provider",
        "Below what balance a person is told, in the account's currency: the setting `balance_low`.", ours=True,
    ),
    _shared(
        "provider_silence_seconds", "provider",
        "For how long a provider that sends callbacks has accepted messages without confirming any; 0 is fine.",
        ours=True,
    ),
    _histogram(
        "provider_callback_delay_seconds", "provider", "From a provider's acceptance to its callback.",
        buckets=HOURS, ours=True,
    ),
    _counter("provider_verdicts_total", "provider verdict", "What the answers of providers meant.", ours=True),
    _counter("callbacks_total", "provider outcome", "Events of callbacks and what became of them.", ours=True),
    _counter("deliveries_expired_total", "channel priority", "Deliveries whose lifetime ended unsent.", ours=True),
    _counter(
        "unreadable_records_total", "topic", "Records of the log that nobody could read or decide, and were skipped.",
        ours=True,
    ),
    _counter("duplicates_total", "stage", "Work found done already: after a crash, or a key sent again.", ours=True),
    _counter(
        "trace_spans_total", "outcome", "Spans, and what became of them on their way to the collector.",
        outcome=SPAN_OUTCOME, ours=True,
    ),
    _histogram("group_commit_size", "", "Requests that shared one commit.", buckets=SIZES, ours=True),
    _histogram("group_commit_duration_seconds", "", "How long a group commit took until it was durable.", ours=True),
    _shared("ingest_backlog", "", "Notifications accepted and not routed yet.", ours=True),
    _shared("wal_bytes", "", "Size of the store's write-ahead log.", ours=True),
    _shared("gauge_read_timestamp_seconds", "gauge", "When the exporter last read these gauges.", ours=True),
    _shared(
        "store_partitions_ahead_days", "",
        "For how many days from today on the store has its partitions; PostgreSQL only.", ours=True,
    ),
    _counter(
        "probe_results_total", "channel outcome", "Synthetic probes and how they ended.",
        outcome=PROBE_OUTCOME, ours=True,
    ),
    _shared(
        "probe_success_timestamp_seconds", "channel", "When a synthetic probe of the channel last got through.",
        ours=True,
    ),
    _own("dependency_up", "Whether the process reaches what it stands on: 1 up, 0 down.", "role dependency"),
    _own("disk_free_bytes", "Free bytes on the volume of the data folder."),
    _own("disk_size_bytes", "Size of the volume of the data folder."),
    _own("clock_skew_seconds", "Our clock minus one outside: the database's, or that of providers' answers."),
    _own("ingest_degraded_step", "Step: 0 open, 1 no_low, 2 no_normal, 3 critical_only, 4 closed."),
    _own("process_started_timestamp_seconds", "When the process began."),
    _own("process_seen_timestamp_seconds", "When the process last showed its figures."),
    _own("process_memory_bytes", "Resident memory of the process."),
    Metric(
        "process_cpu_used_seconds_total", "counter", "CPU time that the process used.",
        _labels("role"), ours=True,
    ),
)  # fmt: skip

BY_NAME: Final = {metric.name: metric for metric in METRICS}


def from_zero(metric: Metric) -> Iterator[tuple[str, ...]]:
    """The series that a counter shows from the start: all, where its labels' values are known beforehand.

    `increase()` cannot see the first jump of a series that did not exist before it.
    """
    lists = [label.words for label in metric.labels]
    if metric.kind == "counter" and all(words.limit == 0 or words is REJECT_REASON for words in lists):
        yield from product(*(words.values for words in lists))


def _values(words: Words) -> str:
    return words.note or " ".join(f"`{value}`" for value in words.values)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label.name}`" for label in metric.labels)
    set_by = {"exporter": "the exporter", "process": "each process"}[metric.owner]
    mark = "ours" if metric.ours else ""
    return f"| `{metric.name}` | {metric.kind} | {labels} | {set_by} | {mark} | {metric.help} |"


def _page() -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "Generated by `python -m bellhouse.observability.catalogue`; a test keeps it equal to the code."
    yield ""
    yield "One `/metrics` answers for all processes of an embedded Bellhouse, in Prometheus' text format. Counters"
    yield "and histograms are summed over the processes and go on where they were when a process is restarted. What is"
    yield "set by the exporter comes from the one process that holds its lease. Metrics marked *ours* are additions of"
    yield f"Bellhouse to the usual names. A label value that is not in its list becomes `{OTHER}`."
    yield ""
    yield "| metric | type | labels | set by | | |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield from map(_row, METRICS)
    yield ""
    yield "## Label values"
    yield ""
    yield "| label | values |"
    yield "| --- | --- |"
    yield from _label_rows()
    yield ""
    yield "## Buckets"
    yield ""
    for title, bounds in (("Durations", SECONDS), ("End to end, callbacks", HOURS), ("Sizes", SIZES)):
        yield f"* {title}: {' '.join(f'{bound:g}' for bound in bounds)}"


def _label_rows() -> Iterator[str]:
    seen: dict[tuple[str, str], None] = {}
    for metric in METRICS:
        for label in metric.labels:
            where = f" of `{metric.name}`" if label.name in ("reason", "outcome") else ""
            seen[f"`{label.name}`{where}", _values(label.words)] = None
    for name, values in seen:
        yield f"| {name} | {values} |"


def page() -> str:
    """The reference page of the metrics, as Markdown."""
    return "\n".join(_page()) + "\n"


if __name__ == "__main__":
    print(page(), end="")
