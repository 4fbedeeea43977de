"""Stories of providers, engines, processes, and of the watch itself."""

from tests.monitoring.cases_symptoms import breaker
from tests.monitoring.promtool import Case, fires, silent


def latency(quick: str, all_of_them: str) -> dict[str, str]:
    """How long calls of a provider took: those within 2 s, and all."""
    labels = 'provider="vonage"'
    return {
        f'provider_latency_seconds_bucket{{{labels},le="1.0"}}': quick,
        f'provider_latency_seconds_bucket{{{labels},le="2.0"}}': quick,
        f'provider_latency_seconds_bucket{{{labels},le="5.0"}}': all_of_them,
        f'provider_latency_seconds_bucket{{{labels},le="+Inf"}}': all_of_them,
    }


def faults(values: str) -> dict[str, str]:
    """Answers that say: it is your account."""
    return {'provider_verdicts_total{provider="twilio",verdict="account_fault"}': values}


def balance(left: str, low: str | None = "20x40") -> dict[str, str]:
    """Money left, and below what a person is told."""
    found = {'provider_balance{provider="twilio"}': left}
    return found if low is None else {**found, 'provider_balance_low{provider="twilio"}': low}


def depends(role: str, dependency: str, values: str) -> dict[str, str]:
    """Whether a role reaches what it stands on."""
    return {f'dependency_up{{role="{role}",dependency="{dependency}",instance="{role}"}}': values}


def disk(free: str, size: str = "100x90") -> dict[str, str]:
    """A volume."""
    return {'disk_free_bytes{role="api",instance="a"}': free, 'disk_size_bytes{role="api",instance="a"}': size}


STARTED = 'process_started_timestamp_seconds{role="worker",instance="a"}'
SEEN = 'process_seen_timestamp_seconds{role="bulk",instance="a",job="bellhouse"}'
READ = 'gauge_read_timestamp_seconds{gauge="lags",instance="e"}'
CHECKED = "ledger_checked_timestamp_seconds"
SKEW = 'clock_skew_seconds{role="api",instance="a"}'
SILENCE = 'provider_silence_seconds{provider="fcm",instance="e"}'

PROVIDERS: tuple[Case, ...] = (
    fires("ProviderCircuitOpen", "warning", {**breaker("fcm", "push", "0x5 1x3 2x30"), **breaker("smtp", "email", "0x40")},
          'provider="fcm",channel="push"', not_at="10m", at="12m"),
    silent("while it is closed", "ProviderCircuitOpen", "warning", breaker("fcm", "push", "0x40"), "39m"),
    silent("over four minutes", "ProviderCircuitOpen", "warning", breaker("fcm", "push", "0x5 1x3 0x30"), "9m", "12m"),
    fires("HighProviderLatency", "warning", latency("0+90x40", "0+100x40"), 'provider="vonage"', not_at="10m", at="12m"),
    silent("with one in twenty-five slow", "HighProviderLatency", "warning", latency("0+96x40", "0+100x40"), "39m"),
    silent("without calls", "HighProviderLatency", "warning", latency("90x40", "100x40"), "39m"),
    fires("ProviderAccountFault", "critical", faults("5x15 5+1x20"), 'provider="twilio"', not_at="16m", at="18m"),
    fires("ProviderAccountFault", "critical", {**faults("_x15 1x30"), STARTED: "0x60"}, 'provider="twilio"', not_at="15m", at="18m",
          name="the first fault of an account is seen at once"),
    silent("when it is long over", "ProviderAccountFault", "critical", faults("7x40"), "20m", "39m"),
    silent("when Prometheus has only just begun to look", "ProviderAccountFault", "critical",
           {**faults("_x15 7x30"), STARTED: "_x15 900x30"}, "17m", "20m", "30m"),
    silent("for other verdicts", "ProviderAccountFault", "critical",
           {'provider_verdicts_total{provider="twilio",verdict="retry"}': "0+5x40"}, "39m"),
    fires("ProviderBalanceLow", "warning", balance("30x5 19x40"), 'provider="twilio"', not_at="20m", at="22m"),
    silent("above what was set", "ProviderBalanceLow", "warning", balance("21x40"), "39m"),
    silent("where nothing was set", "ProviderBalanceLow", "warning", balance("1x40", None), "39m"),
    fires("ProviderBalanceLow", "critical", balance("30x5 0x40"), 'provider="twilio"', not_at="10m", at="12m"),
    silent("while there is money", "ProviderBalanceLow", "critical", balance("1x40"), "39m"),
    silent("where an account is billed afterwards", "ProviderBalanceLow", "critical", balance("-80x40", None), "39m"),
    fires("CallbacksMissing", "warning", {SILENCE: "0+60x40"}, 'provider="fcm"', not_at="15m", at="17m"),
    silent("while it confirms", "CallbacksMissing", "warning", {SILENCE: "0x40"}, "39m"),
)  # fmt: skip

ENGINES: tuple[Case, ...] = (
    fires("DependencyDown", "critical", {**depends("api", "store", "1x5 0x30"), **depends("worker", "store", "1x5 0x30")},
          'dependency="store"', not_at="6m", at="8m"),
    silent("while one process reaches it", "DependencyDown", "critical",
           {**depends("api", "store", "0x30"), **depends("worker", "store", "1x30")}, "29m"),
    silent("for the cache", "DependencyDown", "critical", depends("api", "cache", "0x30"), "29m"),
    fires("DependencyDown", "warning", depends("worker", "cache", "1x5 0x30"), 'role="worker",dependency="cache"',
          not_at="7m", at="9m"),
    silent("while all are up", "DependencyDown", "warning", depends("worker", "log", "1x30"), "29m"),
    fires("PartitionsMissing", "critical", {"store_partitions_ahead_days": "3x5 0x60"}, not_at="20m", at="22m"),
    silent("with tomorrow's there", "PartitionsMissing", "critical", {"store_partitions_ahead_days": "1x60"}, "59m"),
    fires("PartitionsMissing", "warning", {"store_partitions_ahead_days": "3x5 2x60"}, not_at="20m", at="22m"),
    silent("with days to go", "PartitionsMissing", "warning", {"store_partitions_ahead_days": "3x60"}, "59m"),
)  # fmt: skip

PROCESSES: tuple[Case, ...] = (
    fires("DiskFilling", "critical", disk("20x5 4x60"), 'role="api",instance="a"', not_at="9m", at="12m",
          name="a disk that is full"),
    fires("DiskFilling", "critical", disk("44-0.5x80"), 'role="api",instance="a"', not_at="59m", at="70m",
          name="a disk that will be full within hours"),
    silent("while it shrinks slowly", "DiskFilling", "critical", disk("14-0.001x80"), "79m"),
    silent("while much is free", "DiskFilling", "critical", disk("80-0.4x80"), "79m"),
    fires("DiskFilling", "warning", disk("20x5 14x60"), 'role="api",instance="a"', not_at="20m", at="22m"),
    silent("with a fifth free", "DiskFilling", "warning", disk("20x60"), "59m"),
    fires("ProcessRestarting", "warning", {STARTED: "0 0 120 120 240 240 360 360x30"}, 'role="worker",instance="a"',
          not_at="6m", at="8m"),
    silent("over a deploy", "ProcessRestarting", "warning", {STARTED: "0x5 300x30"}, "10m", "20m"),
    silent("when it restarts once an hour", "ProcessRestarting", "warning", {STARTED: "0x59 3600x60 7200x60"}, "70m", "130m"),
    fires("ProcessMissing", "warning", {'up{job="bellhouse-worker",instance="w1"}': "1x5 0x30"},
          'job="bellhouse-worker",instance="w1"', not_at="7m", at="9m"),
    fires("ProcessMissing", "warning", {SEEN: "0+60x5 300x30", 'up{job="bellhouse",instance="a"}': "1x30"},
          'role="bulk",instance="a",job="bellhouse"', not_at="8m", at="10m", name="a process that shows no figures"),
    silent("for others' targets", "ProcessMissing", "warning", {'up{job="node",instance="w1"}': "0x30"}, "29m"),
    silent("while all answer", "ProcessMissing", "warning", {'up{job="bellhouse",instance="a"}': "1x30", SEEN: "0+60x30"}, "29m"),
    fires("ClockSkew", "warning", {SKEW: "0x5 -6x30"}, 'role="api",instance="a"', not_at="10m", at="12m"),
    silent("within seconds", "ClockSkew", "warning", {SKEW: "4x30"}, "29m"),
)  # fmt: skip

WATCH: tuple[Case, ...] = (
    fires("GaugesStale", "critical", {READ: "0+60x5 300x40"}, not_at="15m", at="17m", name="an exporter that is stuck"),
    fires("GaugesStale", "critical", {READ: "0+60x9 _x40"}, not_at="15m", at="21m", name="an exporter that is gone"),
    silent("while one gauge is read", "GaugesStale", "critical",
           {READ: "0+60x40", 'gauge_read_timestamp_seconds{gauge="balances",instance="e"}': "0x40"}, "39m"),
    fires("GaugesStale", "warning", {READ: "0+60x90"}, not_at="4m", at="6m", name="a ledger that was never checked"),
    fires("GaugesStale", "warning", {READ: "0+60x40", CHECKED: "0+60x40", 'gauge_read_timestamp_seconds{gauge="balances",instance="e"}': "0x40"},
          'gauge="balances"', not_at="10m", at="12m"),
    fires("GaugesStale", "warning", {READ: "0+60x90", CHECKED: "0x90"}, not_at="65m", at="67m", name="a ledger that is not checked"),
    silent("while all are read", "GaugesStale", "warning", {READ: "0+60x90", CHECKED: "0+60x90"}, "89m"),
    Case("the watchdog always fires", "Watchdog", "none", {}, {"0m": ("",), "60m": ("",)}),
)  # fmt: skip

CASES: tuple[Case, ...] = (*PROVIDERS, *ENGINES, *PROCESSES, *WATCH)
