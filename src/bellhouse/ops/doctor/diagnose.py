"""From facts to ranked causes. Pure: it asks nothing and changes nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.ops.doctor import data, platform, providers, queue
from bellhouse.ops.doctor.causes import NAMES, Cause, CauseName, plural
from bellhouse.ops.doctor.facts import Facts
from bellhouse.ops.doctor.slugs import FIRST

Rule = Callable[[Facts], Iterator[Cause]]

RULES: Final[tuple[Rule, ...]] = (*platform.RULES, *providers.RULES, *queue.RULES, *data.RULES)

_ASKED_FIRST: Final = 4.0
"""What a cause gains that the alert's runbook asks after: it decides between equals, and hides no deeper cause."""
_EXPLAINED: Final = 0.5
_CERTAIN: Final = 75.0

_WORK: Final[frozenset[CauseName]] = frozenset(
    {"StuckWorker", "HotTenant", "Overload", "CampaignBacklog", "DegradedStep", "GaugesStale", "DeadLettersGrowing"}
)
_ENGINE: Final[frozenset[CauseName]] = _WORK | {"CrashLoop", "ProcessMissing", "LedgerImbalance"}

EXPLAINS: Final[Mapping[CauseName, frozenset[CauseName]]] = {
    "NotAccepting": _WORK | {"ProcessMissing"},
    "DiskFilling": _ENGINE | {"DatabaseDown"},
    "DatabaseDown": _ENGINE,
    "KafkaDown": _ENGINE,
    "PartitionsMissing": _ENGINE | {"DatabaseDown"},
    "CrashLoop": _WORK | {"ProcessMissing"},
    "ProcessMissing": _WORK,
    "StuckWorker": _WORK | {"ProcessMissing"},
    "PausedByOperator": _WORK,
    "RateLeverTooLow": _WORK | {"ProviderThrottling"},
    "AllProvidersDown": _WORK | {"ProviderOutage"},
    "BalanceZero": _WORK | {"ProviderOutage", "AllProvidersDown", "CredentialExpired"},
    "CredentialExpired": _WORK | {"ProviderOutage", "AllProvidersDown"},
    "BreakerForced": _WORK | {"AllProvidersDown", "ProviderOutage"},
    "SilentProvider": _WORK | {"ProviderOutage", "AllProvidersDown"},
    "ProviderOutage": _WORK | {"SlowProvider", "DeadTokens"},
    "ProviderThrottling": _WORK | {"ProviderOutage"},
    "SlowProvider": _WORK | {"ProviderOutage"},
    "BadTemplateVersion": frozenset({"DeadLettersGrowing"}),
    "PoisonedRecord": frozenset({"DeadLettersGrowing", "CrashLoop"}),
    "HotTenant": frozenset({"DegradedStep", "CampaignBacklog", "Overload"}),
    "CampaignBacklog": frozenset({"DegradedStep"}),
}
"""What a certain cause brings along; those are still told, below it."""


class Diagnosis(msgspec.Struct, frozen=True):
    """What was found, the likeliest cause first; `Healthy` alone where nothing is wrong."""

    slug: str | None
    causes: tuple[Cause, ...]
    looked_at: tuple[str, ...]
    """What was asked, with its figures."""
    gaps: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether something was seen, and nothing of it is wrong."""
        return self.causes[0].name == "Healthy" and self.causes[0].score > 0

    @property
    def unknown(self) -> bool:
        """Whether nothing was seen, so that there is no cause either."""
        return self.causes[0].name == "Healthy" and not self.healthy


def diagnose(facts: Facts, slug: str | None = None) -> Diagnosis:
    """Rank everything that may be wrong. Raises KeyError for a slug that no runbook has."""
    first = frozenset(FIRST[slug]) if slug is not None else frozenset()
    found = [cause for rule in RULES for cause in rule(facts)]
    ranked = _ranked(_related(found), first)
    looked_at = tuple(_looked_at(facts))
    return Diagnosis(slug, ranked or (_healthy(looked_at, facts),), looked_at, facts.gaps)


def _related(found: Sequence[Cause]) -> list[Cause]:
    """Every cause that a certain one brings along counts half, and says so."""
    return [_beside(cause, found) for cause in found]


def _beside(cause: Cause, found: Sequence[Cause]) -> Cause:
    parent = next((one for one in found if _explains(one, cause)), None)
    if parent is None:
        return cause
    return msgspec.structs.replace(cause, score=cause.score * _EXPLAINED, explained_by=parent.name)


def _explains(parent: Cause, cause: Cause) -> bool:
    if not cause.score < parent.score >= _CERTAIN or cause.name not in EXPLAINS.get(parent.name, frozenset()):
        return False
    if cause.name in _WORK or not parent.subjects or not cause.subjects:
        return True
    if cause.name == "AllProvidersDown":
        # Only where each provider of the channel has such a cause would it be the whole of it; one decides at least
        # what to do next.
        return parent.subjects[0] in cause.subjects
    return parent.subjects[0] in cause.subjects or cause.subjects[0] in parent.subjects


def _ranked(found: Sequence[Cause], first: frozenset[CauseName]) -> tuple[Cause, ...]:
    def rank(cause: Cause) -> tuple[float, int, str]:
        return -(cause.score + _ASKED_FIRST * (cause.name in first)), NAMES.index(cause.name), cause.summary

    return tuple(sorted(found, key=rank))


def _healthy(looked_at: tuple[str, ...], facts: Facts) -> Cause:
    known = facts.metrics or facts.server.ready is not None
    summary = "Nothing is wrong that can be seen from here." if known else "Nothing could be asked."
    return Cause("Healthy", 75 if known else 0, summary, looked_at, ("bellhouse ledger", "bellhouse breaker list"))


def _looked_at(facts: Facts) -> Iterator[str]:
    if facts.metrics:
        came, settled = sum(facts.received.values()), sum(facts.sent.values())
        words = f"{plural(came, 'notification')} came and {plural(settled, 'attempt')} were settled"
        yield f"{words} within {facts.window_s:.0f} s."
        yield f"{plural(sum(lane.lag for lane in facts.lanes), 'record')} wait in {plural(len(facts.lanes), 'topic')}."
    if facts.breakers:
        closed = sum(one.state == "closed" for one in facts.breakers)
        yield f"{closed} of {plural(len(facts.breakers), 'breaker')} are closed."
    if facts.processes:
        yield f"{plural(len(facts.processes), 'process')} show their figures."
    if facts.letters_open:
        yield f"{plural(sum(facts.letters_open.values()), 'dead letter')} are open."
    if facts.log is not None:
        yield f"{plural(facts.log.lines, 'line')} of the log were read."
