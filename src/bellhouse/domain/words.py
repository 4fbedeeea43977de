"""The closed sets of words that code, SQL, wire, metrics and docs share."""

from typing import Final, Literal, get_args

Priority = Literal["critical", "high", "normal", "low"]
"""How urgent a notification is: security, transactions, product, marketing."""

Channel = Literal["push", "email", "sms", "in_app", "chat"]

Category = Literal["security", "transactional", "product", "marketing"]
"""What a type is about; it drives consent and what an unknown outcome means."""

NotificationState = Literal["waiting", "planned", "suppressed", "merged", "cancelled", "expired"]

DeliveryState = Literal[
    "waiting",
    "in_flight",
    "unknown",
    "sent",
    "delivered",
    "failed",
    "dead_lettered",
    "expired",
    "cancelled",
]

PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)
CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
NOTIFICATION_STATES: Final[tuple[NotificationState, ...]] = get_args(NotificationState)
DELIVERY_STATES: Final[tuple[DeliveryState, ...]] = get_args(DeliveryState)
