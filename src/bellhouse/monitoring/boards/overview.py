"""`notification_overview`: is the platform well, and if not, where does it hurt?"""

from typing import Final

from bellhouse.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Word
from bellhouse.monitoring.boards.shared import CHANNEL, PRIORITY, STARTS, UNSCOPED

_HEALTH: Final = Row(
    "Is it well?",
    (
        Panel(
            "Delivery Success Rate",
            f"Of 100 attempts of the last five minutes, how many a provider accepted. Below 95 somebody is paged. "
            f"A dead channel can hide in it behind a healthy one: look at the rate by channel too. {UNSCOPED}",
            (
                Query(
                    'sum(rate(notifications_sent_total{status="success"}[5m])) '
                    "/ sum(rate(notifications_sent_total[5m])) * 100",
                    "success",
                ),
            ),
            "percent",
            "stat",
            base="red",
            thresholds=(Threshold(95, "yellow"), Threshold(99, "green")),
            decimals=2,
        ),
        Panel(
            "Ledger Imbalance",
            "Notifications and deliveries that the books cannot account for. Anything but 0 means that something was "
            "lost or counted twice: somebody is paged.",
            (Query("max(ledger_imbalance)", "unaccounted for"),),
            "count",
            "stat",
            thresholds=(Threshold(1, "red"),),
            decimals=0,
        ),
        Panel(
            "Ledger Last Checked",
            "How long ago the books were last compared. It is done every few seconds; if this grows, the 0 beside it "
            "is an old one.",
            (Query("time() - max(ledger_checked_timestamp_seconds)", "ago"),),
            "seconds",
            "stat",
            thresholds=(Threshold(120, "yellow"), Threshold(600, "red")),
            decimals=0,
        ),
        Panel(
            "Dead Letters Waiting",
            "Deliveries that were given up and wait for somebody to replay or discard them.",
            (Query('sum(max by (channel) (dead_letters{channel=~"$channel"}))', "waiting"),),
            "count",
            "stat",
            thresholds=(Threshold(1, "yellow"), Threshold(1000, "red")),
            decimals=0,
        ),
        Panel(
            "Not Accepting",
            "The step of back-pressure that a process is on. From step 1 on it refuses low, from 2 on normal too, "
            "from 3 on all but critical, and at 4 everything.",
            (Query("max(ingest_degraded_step)", "step"),),
            "count",
            "stat",
            words=(
                Word(0, "Open", "green"),
                Word(1, "No low", "yellow"),
                Word(2, "No normal", "orange"),
                Word(3, "Critical only", "red"),
                Word(4, "Closed", "red"),
            ),
        ),
    ),
)

_FLOW: Final = Row(
    "What comes in, and how soon it arrives",
    (
        Panel(
            "Notifications/sec by Priority",
            f"What callers ask for. A sudden fall to nothing is as telling as a peak. {UNSCOPED}",
            (Query("sum(rate(notifications_received_total[1m])) by (priority)", "{{priority}}"),),
            "per_second",
        ),
        Panel(
            "End-to-End Latency (p99)",
            "99 of 100 recipients had it sooner than this: from receipt to the provider's confirmation. The "
            "confirmation of SMS and email takes the carrier's time, not ours.",
            (
                Query(
                    "histogram_quantile(0.99, sum(rate(notification_end_to_end_seconds_bucket"
                    '{channel=~"$channel",priority=~"$priority"}[5m])) by (channel, le))',
                    "{{channel}}",
                ),
            ),
            "seconds",
            thresholds=(Threshold(2, "yellow"),),
        ),
        Panel(
            "Delivery Success Rate by Channel",
            "The same as the big figure, for each channel by itself. A channel that sends nothing has no line.",
            (
                Query(
                    'sum(rate(notifications_sent_total{status="success",channel=~"$channel"}[5m])) by (channel) '
                    '/ sum(rate(notifications_sent_total{channel=~"$channel"}[5m])) by (channel) * 100',
                    "{{channel}}",
                ),
            ),
            "percent",
            base="red",
            thresholds=(Threshold(95, "yellow"), Threshold(99, "green")),
            top=100,
        ),
    ),
)

_WAITING: Final = Row(
    "What waits",
    (
        Panel(
            "Queue Depth",
            f"Records that are in the log and not worked on yet. A mountain of `low` after a campaign was sent is "
            f"expected and drains by itself. {UNSCOPED}",
            (Query("sum(kafka_consumer_lag) by (topic)", "{{topic}}"),),
            "count",
            "stacked",
        ),
        Panel(
            "Oldest Pending",
            "How long the oldest one that may leave has waited. A million records are a minute of low traffic and a "
            "day of critical, so the age says more than the depth.",
            (
                Query(
                    'max(oldest_pending_seconds{priority=~"$priority"}) by (stage, priority)',
                    "{{stage}} {{priority}}",
                ),
            ),
            "seconds",
        ),
        Panel(
            "New Dead Letters",
            "Deliveries given up in each five minutes, by the reason. `attempts_exhausted` speaks of a provider or "
            "of addresses, `account_fault` of our own credentials or balance, the others of us.",
            (
                Query(
                    'sum(increase(dead_letters_total{channel=~"$channel"}[5m])) by (channel, reason) > 0',
                    "{{channel}} {{reason}}",
                ),
            ),
            "count",
            "stacked",
        ),
    ),
)

_DOOR: Final = Row(
    "The API",
    (
        Panel(
            "API Requests/sec by Status",
            "Answers of the API. 4xx are the callers' faults, 429 and 503 tell them to come back, other 5xx are ours.",
            (Query("sum(rate(http_requests_total[1m])) by (code)", "{{code}}"),),
            "per_second",
            "stacked",
        ),
        Panel(
            "API Latency (p99)",
            "99 of 100 requests were answered sooner than this, by route.",
            (
                Query(
                    "histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket[5m])) by (route, le))",
                    "{{route}}",
                ),
            ),
            "seconds",
            thresholds=(Threshold(0.5, "yellow"),),
        ),
        Panel(
            "Refused at the Door",
            "Notifications that were not accepted, by the reason that the caller was told.",
            (Query("sum(rate(notifications_rejected_total[5m])) by (reason) > 0", "{{reason}}"),),
            "per_second",
        ),
    ),
)

_PROCESSES: Final = Row(
    "The processes",
    (
        Panel(
            "Memory by Process",
            "Resident memory. Queues inside a process are bounded, so it should level off.",
            (Query("max(process_memory_bytes) by (role)", "{{role}}"),),
            "bytes",
        ),
        Panel(
            "CPU by Process",
            "Cores in use. A process has one loop: near 1 it is as fast as it gets, and another one helps.",
            (Query("sum(rate(process_cpu_used_seconds_total[1m])) by (role)", "{{role}}"),),
            "cores",
        ),
        Panel(
            "Age of Shared Figures",
            "How old the figures are that one process exports for all: depths, ages, breakers, the ledger. If this "
            "grows, those stand still and must not be believed.",
            (Query("time() - max(gauge_read_timestamp_seconds) by (gauge)", "{{gauge}}"),),
            "seconds",
            thresholds=(Threshold(60, "red"),),
        ),
    ),
)

NOTIFICATION_OVERVIEW: Final = Board(
    "notification_overview",
    "Bellhouse: overview",
    "The board for whoever is on call: is the platform well, what waits, and where does it hurt?",
    (_HEALTH, _FLOW, _WAITING, _DOOR, _PROCESSES),
    (CHANNEL, PRIORITY),
    (STARTS,),
)
