"""`product`: are users getting their notifications?"""

from typing import Final

from bellhouse.monitoring.boards.board import Board, Panel, Query, Row, Threshold
from bellhouse.monitoring.boards.shared import CHANNEL, PRIORITY, STARTS

_FUNNEL: Final = Row(
    "From the caller to the recipient, over the time shown",
    (
        Panel(
            "Funnel",
            "How many notifications were accepted, how many deliveries were planned for them, how many a provider "
            "took, and how many it confirmed. One notification may go out on several channels, so there may be more "
            "deliveries than notifications; what a provider does not confirm counts once it is accepted there.",
            (
                Query("sum(increase(notifications_validated_total[$__range]))", "1 accepted"),
                Query('sum(increase(notifications_routed_total{channel=~"$channel"}[$__range]))', "2 routed"),
                Query(
                    'sum(increase(notifications_sent_total{status="success",channel=~"$channel"}[$__range]))',
                    "3 sent",
                ),
                Query('sum(increase(notifications_delivered_total{channel=~"$channel"}[$__range]))', "4 delivered"),
            ),
            "count",
            "bars",
            base="blue",
            decimals=0,
        ),
        Panel(
            "Accepted by Type",
            "Notifications accepted, by their type.",
            (
                Query(
                    'sum(increase(notifications_validated_total{priority=~"$priority"}[$__range])) by (type) > 0',
                    "{{type}}",
                ),
            ),
            "count",
            "bars",
            base="blue",
            decimals=0,
        ),
        Panel(
            "Delivered by Type",
            "Deliveries confirmed, by the type of their notification.",
            (
                Query(
                    'sum(increase(notifications_delivered_total{channel=~"$channel"}[$__range])) by (type) > 0',
                    "{{type}}",
                ),
            ),
            "count",
            "bars",
            base="blue",
            decimals=0,
        ),
    ),
)

_REACH: Final = Row(
    "Time to reach",
    (
        Panel(
            "Time to Reach (median and p95)",
            "Half of the recipients, and 95 of 100, had it sooner than this.",
            tuple(
                Query(
                    f"histogram_quantile({share}, sum(rate(notification_end_to_end_seconds_bucket"
                    '{channel=~"$channel",priority=~"$priority"}[5m])) by (channel, le))',
                    f"{{{{channel}}}} {name}",
                )
                for share, name in ((0.5, "median"), (0.95, "p95"))
            ),
            "seconds",
        ),
        Panel(
            "Reached Within 2 s",
            "Of 100 deliveries, how many were confirmed within two seconds, which is what transactional messages "
            "promise; for other priorities it is no promise.",
            (
                Query(
                    "sum(rate(notification_end_to_end_seconds_bucket"
                    '{le="2.0",channel=~"$channel",priority=~"$priority"}[5m])) by (priority) '
                    "/ sum(rate(notification_end_to_end_seconds_count"
                    '{channel=~"$channel",priority=~"$priority"}[5m])) by (priority) * 100',
                    "{{priority}}",
                ),
            ),
            "percent",
            base="red",
            thresholds=(Threshold(95, "yellow"), Threshold(99, "green")),
            top=100,
        ),
        Panel(
            "Delivered/sec by Type",
            "Confirmed deliveries over time. A type that falls to nothing has lost its caller or its template.",
            (Query('sum(rate(notifications_delivered_total{channel=~"$channel"}[5m])) by (type)', "{{type}}"),),
            "per_second",
            "stacked",
        ),
    ),
)

_NOT: Final = Row(
    "Why some were not reached, over the time shown",
    (
        Panel(
            "Suppression Reasons",
            "Deliveries that were not planned, and why: mostly the recipient's own wish. `address` and "
            "`no_contact_point` can be mended; ask `bellhouse why` about a single one. Channels that the caller did "
            "not ask for, or that an earlier one made needless, are left out.",
            (
                Query(
                    'sum(increase(notifications_suppressed_total{channel=~"$channel",'
                    'reason!~"suppressed:(not_requested|earlier_channel)"}[$__range])) by (reason) > 0',
                    "{{reason}}",
                ),
            ),
            "count",
            "bars",
            base="blue",
            decimals=0,
        ),
        Panel(
            "Given Up, by Reason",
            "Deliveries that became dead letters.",
            (
                Query(
                    'sum(increase(dead_letters_total{channel=~"$channel"}[$__range])) by (reason) > 0',
                    "{{reason}}",
                ),
            ),
            "count",
            "bars",
            base="blue",
            decimals=0,
        ),
        Panel(
            "Came Too Late",
            "Deliveries whose lifetime ended before they could be sent.",
            (
                Query(
                    'sum(increase(deliveries_expired_total{channel=~"$channel",priority=~"$priority"}[$__range])) '
                    "by (channel)",
                    "{{channel}}",
                ),
            ),
            "count",
            "bars",
            base="blue",
            decimals=0,
        ),
    ),
)

PRODUCT: Final = Board(
    "product",
    "Bellhouse: product",
    "Are users getting their notifications, how soon, and if not, why not? Routed and sent carry no type, so the "
    "steps between are told for all types together; opens, opt-outs and experiments are not measured yet.",
    (_FUNNEL, _REACH, _NOT),
    (CHANNEL, PRIORITY),
    (STARTS,),
    refresh="30s",
    window="6h",
)
