"""Which causes the runbook of each alert asks after first."""

from collections.abc import Mapping
from typing import Final

from bellhouse.ops.doctor.causes import CauseName

_PROVIDERS: Final[tuple[CauseName, ...]] = (
    "AllProvidersDown", "BalanceZero", "CredentialExpired", "BreakerForced", "SilentProvider", "ProviderOutage",
    "ProviderThrottling", "DeadTokens", "SlowProvider",
)  # fmt: skip
_ENGINES: Final[tuple[CauseName, ...]] = ("DatabaseDown", "KafkaDown", "RedisLost", "DiskFilling")
_PROCESSES: Final[tuple[CauseName, ...]] = ("CrashLoop", "ProcessMissing", "StuckWorker")
_QUEUE: Final[tuple[CauseName, ...]] = (
    "PausedByOperator", "RateLeverTooLow", "StuckWorker", "HotTenant", "Overload", "CampaignBacklog",
    "DegradedStep",
)  # fmt: skip

FIRST: Final[Mapping[str, tuple[CauseName, ...]]] = {
    "low-delivery-rate": (*_PROVIDERS, "BadTemplateVersion", "DeadLettersGrowing"),
    "all-providers-down": _PROVIDERS,
    "queue-backlog": (*_QUEUE, "ProviderThrottling", "KafkaDown", "CrashLoop", "ProcessMissing"),
    "circuit-open": _PROVIDERS,
    "high-provider-latency": ("SlowProvider", "ProviderThrottling", "ProviderOutage"),
    "dlq-growing": (
        "BadTemplateVersion", "PoisonedRecord", "CredentialExpired", "BalanceZero", "DeadLettersGrowing",
        "ProviderOutage",
    ),
    "unreadable-records": ("PoisonedRecord", "DeadLettersGrowing", "LedgerImbalance"),
    "not-accepting": ("NotAccepting", *_ENGINES, "DegradedStep", "PartitionsMissing", "CrashLoop"),
    "accepting-but-not-sending": (
        "KafkaDown", "PausedByOperator", *_PROCESSES, "AllProvidersDown", "BreakerForced", "RateLeverTooLow",
    ),
    "ledger-imbalance": ("LedgerImbalance", "PoisonedRecord"),
    "watchdog": ("NotAccepting", "ProcessMissing", "GaugesStale"),
    "slo-burn": ("NotAccepting", *_ENGINES, *_PROVIDERS, *_QUEUE, *_PROCESSES),
    "provider-balance-low": ("BalanceZero", "CredentialExpired"),
    "provider-account-fault": ("BalanceZero", "CredentialExpired"),
    "callbacks-missing": ("SilentProvider", "NotAccepting", "ClockSkew"),
    "partitions-missing": ("PartitionsMissing", "DatabaseDown", "ProcessMissing"),
    "disk-filling": ("DiskFilling", "CampaignBacklog", "KafkaDown"),
    "dependency-down": _ENGINES,
    "process-restarting": ("CrashLoop", "PoisonedRecord", *_ENGINES),
    "process-missing": ("ProcessMissing", "CrashLoop", "NotAccepting"),
    "clock-skew": ("ClockSkew",),
    "probe-failing": (*_PROVIDERS, "PausedByOperator", *_PROCESSES),
    "gauges-stale": ("GaugesStale", "ProcessMissing", *_ENGINES),
}  # fmt: skip
