"""Alerts about what is behind a symptom, or will be: providers, engines, processes, and the watch itself."""

from typing import Final

from bellhouse.monitoring.alert import Alert

PROVIDERS: Final = "bellhouse-providers"
ENGINES: Final = "bellhouse-engines"
PROCESSES: Final = "bellhouse-processes"
WATCH: Final = "bellhouse-watch"

_FREE: Final = "disk_free_bytes / disk_size_bytes"
_BALANCE: Final = "max by (provider) (provider_balance)"
_BALANCE_LOW: Final = "max by (provider) (provider_balance_low)"
_READ: Final = "time() - max by (gauge) (gauge_read_timestamp_seconds)"
_CHECKED: Final = "ledger_checked_timestamp_seconds"
_FAULTS: Final = 'provider_verdicts_total{verdict="account_fault"}'

ALERTS: Final[tuple[Alert, ...]] = (
    Alert(
        "ProviderCircuitOpen",
        "warning",
        "max by (provider, channel) (circuit_breaker_state) > 0",
        "5m",
        "{{ $labels.provider }} is not used for {{ $labels.channel }}",
        "Its breaker has been open or half-open for five minutes. Other providers of the channel take over.",
        "circuit-open",
        PROVIDERS,
    ),
    Alert(
        "HighProviderLatency",
        "warning",
        "histogram_quantile(0.95, sum by (provider, le) (rate(provider_latency_seconds_bucket[5m]))) "
        "> $provider_latency",
        "10m",
        "{{ $labels.provider }} answers slowly: {{ $value | humanizeDuration }} at the 95th percentile",
        "One call in twenty takes longer than $provider_latency s.",
        "high-provider-latency",
        PROVIDERS,
    ),
    Alert(
        "ProviderAccountFault",
        "critical",
        f"""\
sum by (provider) (increase({_FAULTS}[10m])) > 0
or
(
  sum by (provider) ({_FAULTS}) > 0
  unless
  sum by (provider) ({_FAULTS} offset 10m)
  and on ()
  count(process_started_timestamp_seconds offset 10m) > 0
)""",
        "1m",
        "{{ $labels.provider }} refuses our account",
        "Credentials, registration or balance: it stays so until a person changes it. Other providers take over.",
        "provider-account-fault",
        PROVIDERS,
    ),
    Alert(
        "ProviderBalanceLow",
        "critical",
        f"{_BALANCE} <= 0\nand\n{_BALANCE_LOW}",
        "5m",
        "The account at {{ $labels.provider }} is empty",
        "Its balance is {{ $value | humanize }}: it stops sending, if it has not stopped yet.",
        "provider-balance-low",
        PROVIDERS,
    ),
    Alert(
        "ProviderBalanceLow",
        "warning",
        f"(\n  {_BALANCE} <\n  {_BALANCE_LOW}\n) > 0",
        "15m",
        "The account at {{ $labels.provider }} runs low: {{ $value | humanize }}",
        "Below the setting `balance_low`. Top it up before it is empty.",
        "provider-balance-low",
        PROVIDERS,
    ),
    Alert(
        "CallbacksMissing",
        "warning",
        "max by (provider) (provider_silence_seconds) > $silence_s",
        "5m",
        "{{ $labels.provider }} accepts and confirms nothing",
        "For {{ $value | humanizeDuration }} it has taken messages without one callback: either they do not arrive, "
        "or its callbacks do not reach us.",
        "callbacks-missing",
        PROVIDERS,
    ),
    Alert(
        "DependencyDown",
        "critical",
        'max by (dependency) (dependency_up{dependency=~"store|log"}) == 0',
        "1m",
        "No process reaches the {{ $labels.dependency }}",
        "Without the store nothing is accepted and nothing sent; without the log nothing moves on.",
        "dependency-down",
        ENGINES,
    ),
    Alert(
        "DependencyDown",
        "warning",
        "min by (role, dependency) (dependency_up) == 0",
        "2m",
        "{{ $labels.role }} does not reach the {{ $labels.dependency }}",
        "A process of this role is cut off. Without the cache it works on, slower and by its own counts.",
        "dependency-down",
        ENGINES,
    ),
    Alert(
        "PartitionsMissing",
        "critical",
        "min(store_partitions_ahead_days) < 1",
        "15m",
        "The store has no partition for tomorrow",
        "At midnight (UTC) nothing can be stored. The scheduler makes partitions; it does not.",
        "partitions-missing",
        ENGINES,
    ),
    Alert(
        "PartitionsMissing",
        "warning",
        "min(store_partitions_ahead_days) < $partitions_days",
        "15m",
        "The store has partitions for {{ $value }} days only",
        "The scheduler makes them ahead, and has not for a while.",
        "partitions-missing",
        ENGINES,
    ),
    Alert(
        "DiskFilling",
        "critical",
        f"{_FREE} < $disk_share_critical\n"
        f"or\n({_FREE} < $disk_share and predict_linear(disk_free_bytes[1h], $disk_ahead_s) < 0)",
        "5m",
        "The disk of {{ $labels.role }} is full, or will be within hours",
        "{{ $value | humanizePercentage }} are free. Without room the store refuses, and nothing is accepted.",
        "disk-filling",
        PROCESSES,
    ),
    Alert(
        "DiskFilling",
        "warning",
        f"{_FREE} < $disk_share",
        "15m",
        "The disk of {{ $labels.role }} fills up: {{ $value | humanizePercentage }} free",
        "Less than $disk_share of the data folder's volume is free.",
        "disk-filling",
        PROCESSES,
    ),
    Alert(
        "ProcessRestarting",
        "warning",
        "changes(process_started_timestamp_seconds[15m]) > $restarts",
        "1m",
        "{{ $labels.role }} restarts again and again",
        "It was started {{ $value }} times within a quarter of an hour.",
        "process-restarting",
        PROCESSES,
    ),
    Alert(
        "ProcessMissing",
        "warning",
        'up{job=~"bellhouse(-.+)?"} == 0\nor\n(time() - process_seen_timestamp_seconds > $seen_s)',
        "2m",
        "A process is missing: {{ $labels.instance }}{{ with $labels.role }} ({{ . }}){{ end }}",
        "It does not answer its scrape, or has not shown its figures for a while: dead, stuck or cut off.",
        "process-missing",
        PROCESSES,
    ),
    Alert(
        "ClockSkew",
        "warning",
        "abs(clock_skew_seconds) > $clock_skew",
        "5m",
        "The clock of {{ $labels.role }} is {{ $value | humanizeDuration }} off",
        "Due moments, quiet hours and signatures go by it. The clock outside is the database's or the providers'.",
        "clock-skew",
        PROCESSES,
    ),
    Alert(
        "GaugesStale",
        "critical",
        "absent(gauge_read_timestamp_seconds)\nor\n(time() - max(gauge_read_timestamp_seconds) > $stale_s)",
        "5m",
        "Nobody counts what all processes share",
        "No exporter shows lags, breakers or the ledger: alerts about them are blind.",
        "gauges-stale",
        WATCH,
    ),
    Alert(
        "GaugesStale",
        "warning",
        f"{_READ} > $stale_s\nor\n(time() - max({_CHECKED}) > $ledger_stale_s)\n"
        f"or\n(absent_over_time({_CHECKED}[1h]) * $ledger_stale_s and max(gauge_read_timestamp_seconds))",
        "5m",
        "{{ with $labels.gauge }}The gauges of {{ . }} are{{ else }}The ledger's last check is{{ end }} old",
        "They were last read {{ $value | humanizeDuration }} ago. What is shown, and what alerts go by, is of then.",
        "gauges-stale",
        WATCH,
    ),
    Alert(
        "Watchdog",
        "none",
        "vector(1)",
        "0s",
        "Alerts arrive",
        "It always fires. Whoever receives it raises the alarm when it stops: then Prometheus, Alertmanager or the "
        "way between them is down, and no other alert would come.",
        "watchdog",
        WATCH,
    ),
)
