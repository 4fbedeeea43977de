"""What is promised, as objectives over thirty days, and the alerts that tell when the error budget burns too fast.

The method is that of Google's SRE workbook ("Alerting on SLOs"): a long window says that it matters, a short one that
it is still so. A burn rate of 1 spends the budget in exactly thirty days.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from bellhouse.monitoring.alert import Alert, Recording, Severity

BUDGET_DAYS: Final = 30
GROUP: Final = "bellhouse-slo"
BUDGET_GROUP: Final = "bellhouse-budgets"
RUNBOOK: Final = "slo-burn"

LEAST: Final = 0.01
"""Events a second, some 36 an hour: of fewer, one that fails would be a burning budget."""

RATE: Final = "bellhouse:slo_events:rate5m"
BAD_RATE: Final = "bellhouse:slo_bad_events:rate5m"
BAD: Final = "bellhouse:slo_errors:ratio_rate"
"""What the recorded shares of errors are called, followed by their window."""
BUDGET: Final = "bellhouse:slo_error_budget:remaining"
OBJECTIVE: Final = "bellhouse:slo_objective"


class Objective(msgspec.Struct, frozen=True):
    """A promise: of `total` at most the share 1 - `target` may be `bad`. `$window` stands for a window of time."""

    slug: str
    title: str
    alert: str
    target: float
    bad: str
    total: str
    by: tuple[str, ...] = ()
    """The labels that it is kept for one by one."""
    meaning: str = ""

    @property
    def budget(self) -> float:
        """The share that may be bad."""
        return round(1 - self.target, 6)

    def ratio(self, window: str, least: float = LEAST) -> str:
        """The share of what was bad in a window; nothing where there were fewer than `least` a second.

        Of what is recorded every few seconds: a month of every process's own counters would be too much to ask for.
        """
        bad, total = (f'avg_over_time({name}{{slo="{self.slug}"}}[{window}])' for name in (BAD_RATE, RATE))
        return f"{bad}\n/\n({total} > {least:g})"

    def rates(self) -> Iterator[tuple[str, str]]:
        """What was bad and what there was, a second, by the names of their series; bad is 0 where none was."""
        bad, total = (text.replace("$window", "5m") for text in (self.bad, self.total))
        yield BAD_RATE, f"({bad})\nor\n0 * ({total})"
        yield RATE, total


class Burn(msgspec.Struct, frozen=True):
    """A pair of windows, and how fast the budget must burn in both."""

    word: str
    rate: float
    long: str
    short: str
    for_: str
    severity: Severity
    spent: str


BURNS: Final = (
    Burn("fast", 14.4, "1h", "5m", "2m", "critical", "2 % of the month's budget in an hour"),
    Burn("slow", 6, "6h", "30m", "15m", "critical", "5 % of the month's budget in six hours"),
    Burn("steady", 3, "1d", "2h", "1h", "warning", "10 % of the month's budget in a day"),
    Burn("creeping", 1, "3d", "6h", "3h", "warning", "10 % of the month's budget in three days"),
)
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")

REFUSED: Final = "sum(rate(http_turned_away_total[$window]))"
"""Requests that degraded mode turns away, the least urgent first, by a 503: it is meant, and nobody is to be woken by
it. Requests and not what is in them: a batch of a thousand is one 503."""
_FOR_US: Final = 'route!~"/readyz|/healthz|/metrics"'
ERRORS: Final = f'http_requests_total{{code=~"5..",{_FOR_US}}}'
FAILED: Final = f"""\
clamp_min(
  sum(rate({ERRORS}[$window]))
  - ({REFUSED} or vector(0)),
0)"""
ASKED: Final = f"sum(rate(http_requests_total{{{_FOR_US}}}[$window]))"

_ACCEPTING: Final = "/v1/notifications"
_HEARD_AT_ONCE: Final = 'channel=~"push|in_app",priority=~"critical|high"'

OBJECTIVES: Final = (
    Objective(
        "api_availability", "API availability", "SloBurnApiAvailability", 0.999, FAILED, ASKED,
        meaning="Requests that fail by our fault (5xx), without what degraded mode refuses on purpose.",
    ),
    Objective(
        "api_latency", "API latency", "SloBurnApiLatency", 0.99,
        f'sum(rate(http_request_duration_seconds_count{{route="{_ACCEPTING}"}}[$window]))\n  - '
        f'sum(rate(http_request_duration_seconds_bucket{{route="{_ACCEPTING}",le="0.5"}}[$window]))',
        f'sum(rate(http_request_duration_seconds_count{{route="{_ACCEPTING}"}}[$window]))',
        meaning=f"Requests to `{_ACCEPTING}` that took longer than 500 ms.",
    ),
    Objective(
        "delivery_success", "Delivery success", "SloBurnDeliverySuccess", 0.98,
        'sum by (channel) (rate(notifications_sent_total{status=~"failed|unknown"}[$window]))',
        'sum by (channel) (rate(notifications_sent_total{status!="throttled"}[$window]))',
        by=("channel",),
        meaning="Attempts that failed or whose outcome is unknown, by channel; a throttled one is no attempt yet.",
    ),
    Objective(
        "transactional_latency", "Transactional latency", "SloBurnTransactionalLatency", 0.99,
        f"sum(rate(notification_end_to_end_seconds_count{{{_HEARD_AT_ONCE}}}[$window]))\n  - "
        f'sum(rate(notification_end_to_end_seconds_bucket{{{_HEARD_AT_ONCE},le="2.0"}}[$window]))',
        f"sum(rate(notification_end_to_end_seconds_count{{{_HEARD_AT_ONCE}}}[$window]))",
        meaning="Critical and high notifications that took longer than 2 s, on push and in-app: there the time is "
        "ours. When an SMS or a mail is confirmed, its carrier decides.",
    ),
)  # fmt: skip


def recordings() -> Iterator[Recording]:
    """The shares of errors over every window, the objectives, and what is left of the budgets."""
    for objective in OBJECTIVES:
        labels = {"slo": objective.slug}
        for name, expression in objective.rates():
            yield Recording(name, expression, GROUP, labels)
        for window in WINDOWS:
            yield Recording(f"{BAD}{window}", objective.ratio(window), GROUP, labels)
    for objective in OBJECTIVES:
        labels = {"slo": objective.slug}
        yield Recording(OBJECTIVE, f"vector({objective.target:g})", BUDGET_GROUP, labels)
        spent = f"({objective.ratio(f'{BUDGET_DAYS}d', 0)})\n/ {objective.budget:g}"
        yield Recording(BUDGET, f"1 - {spent}", BUDGET_GROUP, labels)


def alerts() -> Iterator[Alert]:
    """Four for each objective, of which two wake somebody."""
    for objective in OBJECTIVES:
        for burn in BURNS:
            yield _alert(objective, burn)


def _alert(objective: Objective, burn: Burn) -> Alert:
    long, short = (f'{BAD}{window}{{slo="{objective.slug}"}}' for window in (burn.long, burn.short))
    limit = f"{burn.rate:g} * {objective.budget:g}"
    where = " on {{ $labels.channel }}" if objective.by else ""
    return Alert(
        objective.alert,
        burn.severity,
        f"{long} > {limit}\nand\n{short} > {limit}",
        burn.for_,
        f"{objective.title}{where}: the error budget burns {burn.rate:g} times too fast",
        f"{{{{ $value | humanizePercentage }}}} were bad over {burn.long}, and {objective.budget:.1%} may be over "
        f"{BUDGET_DAYS} days: {burn.spent}. {objective.meaning}",
        RUNBOOK,
        GROUP,
        {"slo": objective.slug, "burn": burn.word},
    )
