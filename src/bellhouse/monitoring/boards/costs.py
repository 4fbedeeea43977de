"""`cost_tracking`: what does it cost, and how far is it to what we meant to spend?"""

from typing import Final

from bellhouse.monitoring.boards.board import Board, Panel, Query, Row, Variable
from bellhouse.monitoring.boards.shared import CHANNEL, PROVIDER, STARTS

_CAP: Final = "The cap is what you write above, in the same currency; Bellhouse itself stops nothing at it."
_CHOSEN: Final = 'channel=~"$channel",provider=~"$provider"'


def _daily(title: str, channel: str) -> Panel:
    return Panel(
        title,
        f"Money spent on {channel} in the 24 hours before each moment, failed messages that were billed included. "
        f"{_CAP}",
        (
            Query(
                f'sum(increase(notification_cost_total{{channel="{channel}"}}[24h])) by (currency)',
                "spent {{currency}}",
            ),
            Query(f"vector(${channel}_cap)", "cap"),
        ),
        "money",
    )


_DAYS: Final = Row(
    "The last 24 hours",
    (
        _daily("Daily SMS Cost", "sms"),
        _daily("Daily Email Cost", "email"),
        Panel(
            "Cap Used",
            f"How much of the cap was spent in the last 24 hours. {_CAP}",
            tuple(
                Query(
                    f'sum(increase(notification_cost_total{{channel="{channel}"}}[24h])) by (currency) '
                    f"/ ${channel}_cap * 100",
                    f"{channel} {{{{currency}}}}",
                )
                for channel in ("sms", "email")
            ),
            "percent",
            "bars",
            decimals=1,
            top=100,
        ),
    ),
)

_WHERE: Final = Row(
    "Where it goes",
    (
        Panel(
            "Cost by Channel and Currency",
            "Money spent in the last 24 hours. Currencies are never added up.",
            (
                Query(
                    f"sum(increase(notification_cost_total{{{_CHOSEN}}}[24h])) by (channel, currency)",
                    "{{channel}} {{currency}}",
                ),
            ),
            "money",
            "bars",
            base="blue",
        ),
        Panel(
            "Cost by Provider and Currency",
            "The same, by whom it was paid to.",
            (
                Query(
                    f"sum(increase(notification_cost_total{{{_CHOSEN}}}[24h])) by (provider, currency)",
                    "{{provider}} {{currency}}",
                ),
            ),
            "money",
            "bars",
            base="blue",
        ),
        Panel(
            "Cost per Delivery",
            "Money spent in the last 24 hours for each delivery that a provider accepted in them. It rises when a "
            "price does, when texts take more segments, and when failed messages are billed.",
            (
                Query(
                    f"sum(increase(notification_cost_total{{{_CHOSEN}}}[24h])) by (channel, currency) "
                    "/ on (channel) group_left () "
                    f'sum(increase(notifications_sent_total{{status="success",{_CHOSEN}}}[24h])) by (channel)',
                    "{{channel}} {{currency}}",
                ),
            ),
            "money",
            "stat",
            base="blue",
            decimals=4,
        ),
    ),
)

_WHOM: Final = Row(
    "Whom it is for",
    (
        Panel(
            "Cost by Tenant",
            "Money spent in the last 24 hours for the 20 tenants that cost the most, all environments of a tenant "
            "together.",
            (
                Query(
                    'topk(20, sum(increase(notification_cost_by_tenant_total{channel=~"$channel"}[24h])) '
                    "by (tenant, currency))",
                    "{{tenant}} {{currency}}",
                ),
            ),
            "money",
            "bars",
            base="blue",
        ),
        Panel(
            "Cost by Campaign",
            "Money spent for a campaign in all, as far as it was counted in the last 24 hours: the 20 that cost the "
            "most. A campaign may be over before Prometheus has looked twice, so this is no rise but the counters "
            "themselves; what a process had counted before it was started again is not in it.",
            (
                Query(
                    'topk(20, sum(max_over_time(notification_cost_by_campaign_total{channel=~"$channel"}[24h])) '
                    "by (campaign, currency))",
                    "{{campaign}} {{currency}}",
                ),
            ),
            "money",
            "bars",
            base="blue",
        ),
    ),
)

_PACE: Final = Row(
    "The pace",
    (
        Panel(
            "Spent per Hour",
            "Money spent in the hour before each moment. A campaign shows as a step; a rise without one is worth a "
            "question.",
            (
                Query(
                    f"sum(increase(notification_cost_total{{{_CHOSEN}}}[1h])) by (channel, currency)",
                    "{{channel}} {{currency}}",
                ),
            ),
            "money",
            "stacked",
        ),
        Panel(
            "A Month at This Pace",
            "What 30 days cost if each were like the last 24 hours.",
            (
                Query(
                    f"sum(increase(notification_cost_total{{{_CHOSEN}}}[24h])) by (currency) * 30",
                    "{{currency}}",
                ),
            ),
            "money",
            "stat",
            base="blue",
            decimals=2,
        ),
    ),
)

COST_TRACKING: Final = Board(
    "cost_tracking",
    "Bellhouse: costs",
    "What it costs by channel, provider and currency, and for which tenants and campaigns, against the caps that "
    "you write above.",
    (_DAYS, _WHERE, _WHOM, _PACE),
    (
        CHANNEL,
        PROVIDER,
        Variable("sms_cap", "SMS cap a day", default="100"),
        Variable("email_cap", "Email cap a day", default="100"),
    ),
    (STARTS,),
    refresh="1m",
    window="24h",
)
