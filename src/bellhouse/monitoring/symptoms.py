"""Alerts about what people notice: it is not accepted, not sent, late, refused or lost."""

from typing import Final

from bellhouse.monitoring import slo
from bellhouse.monitoring.alert import Alert, Recording

DELIVERY: Final = "bellhouse-delivery"
QUEUES: Final = "bellhouse-queues"
DOOR: Final = "bellhouse-door"
BOOKS: Final = "bellhouse-books"

RATE: Final = "bellhouse:delivery_success:ratio_rate5m"
RATE_OF_ALL: Final = "bellhouse:delivery_success_all:ratio_rate5m"

# The share of success, 0 where nothing succeeded, and nothing where too little was tried to speak of a share.
_SHARE: Final = """\
(
  sum{by} (rate(notifications_sent_total{{status="success"}}[5m]))
  or
  0 * sum{by} (rate(notifications_sent_total[5m]))
)
/
(
  sum{by} (rate(notifications_sent_total[5m]))
  and
  sum{by} (increase(notifications_sent_total[5m])) >= $delivery_attempts
)"""

RECORDINGS: Final = (
    Recording(RATE, _SHARE.format(by=" by (channel)"), DELIVERY),
    Recording(RATE_OF_ALL, _SHARE.format(by=""), DELIVERY),
)

# One exporter tells of shared things; while its lease moves, two may be seen for a moment.
_LAG: Final = "max by (topic, partition, consumer_group) (kafka_consumer_lag{{{topics}}})"
_URGENT: Final = _LAG.format(topics=r'topic=~"(notifications|deliveries)\\..+",topic!~".+\\.low"')
_LOW: Final = _LAG.format(topics=r'topic=~"(notifications|deliveries)\\.(.+\\.)?low"')
_PAUSED: Final = "max by (channel, priority) (lane_paused) > 0"
_LAG_OF_CHANNEL: Final = (
    "sum by (channel) (\n    label_replace(label_replace(\n      "
    + _LAG.format(topics=r'topic=~"deliveries\\..+"')
    + r""",
      "channel", "$1", "topic", "deliveries\\.([^.]+)\\..+"), "priority", "$1", "topic", "deliveries\\.[^.]+\\.(.+)")
    unless on (channel, priority)
    """
    + _PAUSED
    + "\n  )"
)
_OLDEST: Final = 'max by (stage, priority) (oldest_pending_seconds{{priority="{priority}"}}) > ${threshold}'
_BREAKERS: Final = "max by (provider, channel) (circuit_breaker_state)"
_UNREADABLE: Final = "unreadable_records_total"
_API: Final = 'job=~"bellhouse(-api|-all)?"'

ALERTS: Final[tuple[Alert, ...]] = (
    Alert(
        "NotAccepting",
        "critical",
        f"""\
(
  {slo.FAILED.replace("$window", "5m")}
  / {slo.ASKED.replace("$window", "5m")}
) > $error_share
and
sum(increase({slo.ERRORS}[5m])) >= $error_requests
or
absent(up{{{_API}}} == 1)
or
(max(ingest_degraded_step) >= $refused_step)""",
        "2m",
        "Bellhouse does not accept notifications",
        "No API process answers, or most requests fail by our fault (5xx), or degraded mode refuses even high. "
        "Callers are turned away now.",
        "not-accepting",
        DOOR,
    ),
    Alert(
        "AcceptingButNotSending",
        "critical",
        f"""\
(
  sum by (channel) (
    increase(notifications_routed_total[5m])
    unless on (channel, priority)
    {_PAUSED}
  ) > 0
  unless
  sum by (channel) (increase(notifications_sent_total[5m])) > 0
)
and
  {_LAG_OF_CHANNEL} > 0
and on ()
max(oldest_pending_seconds{{stage="deliver"}}) > $critical_waits_s
or
(
  sum(increase(notifications_validated_total[5m])) > 0
  unless
  (
    sum(increase(notifications_routed_total[5m])) > 0
    or
    sum(increase(notifications_suppressed_total[5m])) > 0
  )
)
and
max(oldest_pending_seconds{{stage="route"}}) > $critical_waits_s""",
        "5m",
        "Notifications are accepted and not sent{{ with $labels.channel }} on {{ . }}{{ end }}",
        "For ten minutes notifications have come in and none has left, though some may: what is scheduled, deferred, "
        "suppressed or paused does not count. A router or a worker is stuck or missing.",
        "accepting-but-not-sending",
        DOOR,
    ),
    Alert(
        "PausedForLong",
        "warning",
        'max(levers_pulled{kind="pause"}) > 0',
        "4h",
        "Something has been paused for four hours",
        "No alert speaks of what waits under a pause, so one that is forgotten is found here. What it holds expires "
        "with its lifetime.",
        "accepting-but-not-sending",
        DOOR,
    ),
    Alert(
        "NotificationDeliveryRateDropped",
        "critical",
        f"""\
{RATE} < $delivery_rate
or
(
  {RATE_OF_ALL} < $delivery_rate
  unless on ()
  {RATE} < $delivery_rate
)""",
        "5m",
        "Only {{ $value | humanizePercentage }} of the attempts{{ with $labels.channel }} on {{ . }}{{ end }} succeed",
        "Of the attempts of the last five minutes, fewer than $delivery_rate were accepted by a provider.",
        "low-delivery-rate",
        DELIVERY,
    ),
    Alert(
        "AllProvidersDown",
        "critical",
        f"""\
count by (channel) ({_BREAKERS} != 0)
==
count by (channel) ({_BREAKERS})""",
        "2m",
        "No provider of {{ $labels.channel }} can be used",
        "All {{ $value }} breakers of the channel are open or half-open. Its deliveries wait; nothing is lost until "
        "they expire.",
        "all-providers-down",
        DELIVERY,
    ),
    Alert(
        "QueueBacklogCritical",
        "critical",
        f"""\
sum({_URGENT}) > $queue_records
or
{_OLDEST.format(priority="critical", threshold="critical_waits_s")}
or
{_OLDEST.format(priority="high", threshold="high_waits_s")}""",
        "10m",
        "Urgent work waits{{ with $labels.priority }}: {{ . }} at {{ $labels.stage }}{{ end }}",
        "Above `low` more than $queue_records records wait, or the oldest that may leave waits too long: critical "
        "$critical_waits_s s, high $high_waits_s s. It stands at {{ $value | humanize }}.",
        "queue-backlog",
        QUEUES,
    ),
    Alert(
        "QueueBacklogCampaign",
        "info",
        f"""\
sum({_LOW}) > $queue_records
or
{_OLDEST.format(priority="low", threshold="low_waits_s")}""",
        "10m",
        "A campaign is being worked off",
        "More than $queue_records records of `low` wait, or the oldest waits for more than $low_waits_s s: "
        "{{ $value | humanize }}. Watch it and do nothing: nobody is woken for what was asked for.",
        "queue-backlog",
        QUEUES,
    ),
    Alert(
        "LedgerImbalance",
        "critical",
        "max(abs(ledger_imbalance)) > 0",
        "5m",
        "The ledger does not balance: {{ $value }} unaccounted for",
        "Accepted notifications are not the sum of their states, or planned deliveries not the sum of theirs: "
        "something was lost or counted twice.",
        "ledger-imbalance",
        BOOKS,
    ),
    Alert(
        "DLQGrowing",
        "warning",
        "sum by (channel) (increase(dead_letters_total[1h])) > $dead_letters",
        "30m",
        "{{ $value | humanize }} dead letters on {{ $labels.channel }} within an hour",
        "More than $dead_letters deliveries an hour are given up. They wait to be replayed or discarded.",
        "dlq-growing",
        DELIVERY,
    ),
    Alert(
        "RecordsUnreadable",
        "warning",
        f"""\
sum by (topic) (increase({_UNREADABLE}[15m])) > 0
or
(
  sum by (topic) ({_UNREADABLE} unless {_UNREADABLE} offset 15m) > 0
  and on ()
  count(process_started_timestamp_seconds offset 15m) > 0
)""",
        "1m",
        "Records of {{ $labels.topic }} cannot be read, and are skipped",
        "About {{ $value | humanize }} in a quarter of an hour. What they asked for is not sent and cannot be "
        "replayed; what is behind them goes on. Most often one version writes what another cannot read.",
        "unreadable-records",
        BOOKS,
    ),
    Alert(
        "ProbeFailing",
        "critical",
        """\
(
  sum by (channel) (increase(probe_results_total{outcome!="confirmed"}[15m])) > 0
  unless
  sum by (channel) (increase(probe_results_total{outcome="confirmed"}[15m])) > 0
)
unless on (channel)
max by (channel) (lane_paused{priority="high"}) > 0""",
        "5m",
        "No probe gets through on {{ $labels.channel }}",
        "Of the synthetic notifications of a quarter of an hour none was confirmed: people do not get theirs either. "
        "Where an operator has paused the channel it is silent.",
        "probe-failing",
        DELIVERY,
    ),
)
