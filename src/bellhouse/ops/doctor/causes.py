"""The closed list of what can be wrong, and what is said of a cause that was found."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

CauseName = Literal[
    "NotAccepting",
    "DatabaseDown",
    "KafkaDown",
    "RedisLost",
    "DiskFilling",
    "CrashLoop",
    "ProcessMissing",
    "ClockSkew",
    "GaugesStale",
    "AllProvidersDown",
    "BalanceZero",
    "CredentialExpired",
    "BreakerForced",
    "SilentProvider",
    "ProviderOutage",
    "ProviderThrottling",
    "DeadTokens",
    "SlowProvider",
    "PausedByOperator",
    "RateLeverTooLow",
    "StuckWorker",
    "HotTenant",
    "Overload",
    "CampaignBacklog",
    "DegradedStep",
    "PoisonedRecord",
    "BadTemplateVersion",
    "DeadLettersGrowing",
    "LedgerImbalance",
    "PartitionsMissing",
    "Healthy",
]
NAMES: Final[tuple[CauseName, ...]] = get_args(CauseName)
"""In the order in which they are told where nothing else decides: what stands below comes first."""

Confidence = Literal["certain", "likely", "possible"]


class Cause(msgspec.Struct, frozen=True):
    """Something that is wrong, with what shows it and what to type next."""

    name: CauseName
    score: float
    """0 to 100: how much speaks for it, and how far down it lies. The ranks follow from it."""
    summary: str
    """One sentence, with its subject."""
    evidence: tuple[str, ...] = ()
    """Sentences with figures."""
    commands: tuple[str, ...] = ()
    """What to type next, the first one first."""
    subjects: tuple[str, ...] = ()
    """Providers, channels, priorities, tenants that it is about; none where it is about the platform."""
    explained_by: CauseName | None = None
    """A cause above it in the list that brings this one along."""

    @property
    def confidence(self) -> Confidence:
        if self.score >= 75:
            return "certain"
        return "likely" if self.score >= 50 else "possible"


def plural(count: float, noun: str) -> str:
    """`1 call`, `2,000 calls`, `3 deliveries`."""
    whole = round(count)
    if whole != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{whole:,} {noun}"


def tally(counts: Mapping[str, float], most: int = 4) -> str:
    """`503 × 12, timeout × 3`: the largest of some counts."""
    pairs = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} × {value:,.0f}" for name, value in pairs[:most] if value >= 0.5)


def span(seconds: float) -> str:
    """A time for people: `8 s`, `4 min`, `3 h`, `2 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def share(part: float) -> str:
    """`37 %`"""
    return f"{part * 100:.0f} %"
