"""`notification_overview`: is the platform well, and if not, where does it hurt?"""

from typing import Final

from bellhouse.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Word
from bellhouse.monitoring.boards.shared import CHANNEL, PRIORITY, STARTS, UNSCOPED
from bellhouse.monitoring.slo import BAD, BUDGET, BUDGET_DAYS, BURNS, OBJECTIVE

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

_FAST, _SLOW, _, _CREEPING = BURNS

_PROMISES: Final = Row(
    "What is promised",
    (
        Panel(
            "Alerts Firing",
            "What Prometheus raises now, without the dead man's switch, which always fires. A runbook belongs to each; "
            "`bellhouse doctor` with its name makes the diagnosis.",
            (
                Query(
                    'max(ALERTS{alertstate="firing",alertname!="Watchdog"}) by (alertname, severity)',
                    "{{alertname}} ({{severity}})",
                ),
            ),
            "count",
            "states",
            words=(Word(1, "Firing", "red"),),
        ),
        Panel(
            "Error Budget Left",
            f"What is left of what may go wrong in {BUDGET_DAYS} days without breaking a promise. At 0 it is used up: "
            "no risk is taken until some has come back.",
            (Query(f"min({BUDGET}) by (slo, channel) * 100", "{{slo}} {{channel}}"),),
            "percent",
            base="red",
            thresholds=(Threshold(0, "orange"), Threshold(25, "yellow"), Threshold(50, "green")),
            top=100,
        ),
        Panel(
            "Error Budget Burn Rate (1 h)",
            f"How fast the budget goes: at 1 it lasts exactly {BUDGET_DAYS} days. Somebody is paged at "
            f"{_FAST.rate:g}, and at {_SLOW.rate:g} when it stays there for hours.",
            (
                Query(
                    f"max({BAD}1h) by (slo, channel) / on (slo) group_left () (1 - max({OBJECTIVE}) by (slo))",
                    "{{slo}} {{channel}}",
                ),
            ),
            "count",
            thresholds=(
                Threshold(_CREEPING.rate, "yellow"),
                Threshold(_SLOW.rate, "orange"),
                Threshold(_FAST.rate, "red"),
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
            "How long the oldest one that may leave has waited; what is paused may not. A million records are a minute "
            "of low traffic and a day of critical, so the age says more than the depth.",
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

_PULLED: Final = Row(
    "What operators have pulled",
    (
        Panel(
            "Levers Pulled",
            f"Pauses, preferred providers, rates and forced breakers that are in force. `bellhouse levers` says who "
            f"pulled each, and why. {UNSCOPED}",
            (Query("max(levers_pulled) by (kind)", "{{kind}}"),),
            "count",
        ),
        Panel(
            "Paused Priorities by Channel",
            "Of how many priorities of a channel a pause holds everything. What comes in waits there, and nobody is "
            "paged for it.",
            (
                Query(
                    'sum(max(lane_paused{channel=~"$channel",priority=~"$priority"}) by (channel, priority)) '
                    "by (channel)",
                    "{{channel}}",
                ),
            ),
            "count",
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

_GROUND: Final = Row(
    "What it stands on",
    (
        Panel(
            "Dependencies",
            "Whether each process reaches the store, the log and the cache. Without the log accepting goes on; "
            "without the store nothing does.",
            (Query("min(dependency_up) by (role, dependency)", "{{role}} {{dependency}}"),),
            "count",
            "states",
            words=(Word(0, "Down", "red"), Word(1, "Up", "green")),
        ),
        Panel(
            "Disk Free",
            "Room on the volume of the data folder. When it is used up nothing is accepted any more.",
            (Query("min(disk_free_bytes / disk_size_bytes) by (role) * 100", "{{role}}"),),
            "percent",
            base="red",
            thresholds=(Threshold(10, "yellow"), Threshold(20, "green")),
            top=100,
        ),
        Panel(
            "Clock Skew",
            "How far a process's clock is from one outside. Quiet hours, schedules and signatures of callbacks go by "
            "the clock.",
            (Query("max(abs(clock_skew_seconds)) by (role)", "{{role}}"),),
            "seconds",
            thresholds=(Threshold(5, "yellow"),),
        ),
    ),
)

NOTIFICATION_OVERVIEW: Final = Board(
    "notification_overview",
    "Bellhouse: overview",
    "The board for whoever is on call: is the platform well, what waits, and where does it hurt?",
    (_HEALTH, _PROMISES, _FLOW, _WAITING, _PULLED, _DOOR, _PROCESSES, _GROUND),
    (CHANNEL, PRIORITY),
    (STARTS,),
)
