"""`provider_health`: do the providers do their work?"""

from typing import Final

from bellhouse.monitoring.boards.board import Board, Panel, Query, Row, Threshold, Word
from bellhouse.monitoring.boards.shared import CHANNEL, PROVIDER, STARTS

_ANSWERS: Final = Row(
    "What they answer",
    (
        Panel(
            "Provider Success Rate",
            "Of 100 calls, how many were answered with a code of success. Some providers say yes and put the error "
            "inside: what an answer meant is in the panel of verdicts.",
            (
                Query(
                    'sum(rate(provider_requests_total{status_code=~"2..",provider=~"$provider"}[5m])) by (provider) '
                    '/ sum(rate(provider_requests_total{provider=~"$provider"}[5m])) by (provider) * 100',
                    "{{provider}}",
                ),
            ),
            "percent",
            base="red",
            thresholds=(Threshold(95, "yellow"), Threshold(99, "green")),
            top=100,
        ),
        Panel(
            "Provider Latency (p95)",
            "95 of 100 calls were answered sooner than this. Above two seconds for ten minutes there is a warning.",
            (
                Query(
                    "histogram_quantile(0.95, sum(rate(provider_latency_seconds_bucket"
                    '{provider=~"$provider"}[5m])) by (provider, le))',
                    "{{provider}}",
                ),
            ),
            "seconds",
            thresholds=(Threshold(2, "red"),),
        ),
        Panel(
            "Delivery Time (p95)",
            "From a delivery's poll to its settled attempt: the provider's time and ours.",
            (
                Query(
                    "histogram_quantile(0.95, sum(rate(delivery_duration_seconds_bucket"
                    '{channel=~"$channel",provider=~"$provider"}[5m])) by (channel, provider, le))',
                    "{{provider}} {{channel}}",
                ),
            ),
            "seconds",
        ),
        Panel(
            "Circuit Breaker Status",
            "Closed: it is used. Open: it failed too often or an operator forced it, and others are used instead. "
            "Half-open: one message is let through to see whether it is well again.",
            (
                Query(
                    'max(circuit_breaker_state{provider=~"$provider",channel=~"$channel"}) by (provider, channel)',
                    "{{provider}} {{channel}}",
                ),
            ),
            "count",
            "states",
            words=(Word(0, "Closed", "green"), Word(1, "Open", "red"), Word(2, "Half-open", "yellow")),
        ),
    ),
)

_MEANING: Final = Row(
    "What the answers mean",
    (
        Panel(
            "Verdicts/sec",
            "What the answers meant. `retry` and `unknown` are the provider's trouble, `throttled` asks for a slower "
            "pace, `permanent` and `token_invalid` speak of the address, `account_fault` of our account: call "
            "somebody who can log in there.",
            (
                Query(
                    'sum(rate(provider_verdicts_total{provider=~"$provider"}[5m])) by (provider, verdict) > 0',
                    "{{provider}} {{verdict}}",
                ),
            ),
            "per_second",
        ),
        Panel(
            "Calls/sec by Code",
            "Calls by the code on the wire; `timeout` and `connect` are calls without any answer.",
            (
                Query(
                    'sum(rate(provider_requests_total{provider=~"$provider"}[5m])) by (provider, status_code)',
                    "{{provider}} {{status_code}}",
                ),
            ),
            "per_second",
            "stacked",
        ),
        Panel(
            "Attempts/sec by Outcome",
            "Attempts as they were settled in the store.",
            (
                Query(
                    'sum(rate(notifications_sent_total{channel=~"$channel",provider=~"$provider"}[5m])) '
                    "by (provider, status)",
                    "{{provider}} {{status}}",
                ),
            ),
            "per_second",
            "stacked",
        ),
        Panel(
            "Retries/sec",
            "Deliveries that were put back for another attempt, by the attempt that failed.",
            (
                Query(
                    'sum(rate(delivery_retries_total{channel=~"$channel",provider=~"$provider"}[5m])) '
                    "by (provider, attempt)",
                    "{{provider}} attempt {{attempt}}",
                ),
            ),
            "per_second",
        ),
    ),
)

_NEWS: Final = Row(
    "What they tell afterwards, and their accounts",
    (
        Panel(
            "Callback Delay (p95)",
            "How long after accepting a message a provider tells what became of it. Growth here comes before "
            "complaints.",
            (
                Query(
                    "histogram_quantile(0.95, sum(rate(provider_callback_delay_seconds_bucket"
                    '{provider=~"$provider"}[5m])) by (provider, le))',
                    "{{provider}}",
                ),
            ),
            "seconds",
        ),
        Panel(
            "Provider Silence",
            "For how long a provider that tells what became of messages has taken some and told nothing. It should be "
            "0; if it grows, messages may vanish although every call succeeds.",
            (Query('max(provider_silence_seconds{provider=~"$provider"}) by (provider)', "{{provider}}"),),
            "seconds",
        ),
        Panel(
            "Provider Balance",
            "Money left in accounts that are paid in advance, in each account's currency; some providers refuse "
            "everything at 0. A provider that does not tell has no line.",
            (Query('max(provider_balance{provider=~"$provider"}) by (provider)', "{{provider}}"),),
            "money",
        ),
        Panel(
            "Callbacks/sec",
            "News that came in and what became of it. `refused` is news with a wrong signature.",
            (
                Query(
                    'sum(rate(callbacks_total{provider=~"$provider"}[5m])) by (provider, outcome) > 0',
                    "{{provider}} {{outcome}}",
                ),
            ),
            "per_second",
        ),
    ),
)

PROVIDER_HEALTH: Final = Board(
    "provider_health",
    "Bellhouse: providers",
    "Do the providers do their work: what they answer, how fast, and what they tell afterwards.",
    (_ANSWERS, _MEANING, _NEWS),
    (CHANNEL, PROVIDER),
    (STARTS,),
)
