"""The words of `why` beside the reasons: why a provider was taken, and what comes next."""

from typing import Final

from bellhouse.domain.delivery import PassedOver
from bellhouse.domain.words import DeliveryState

PASSED_OVER: Final[dict[PassedOver, str]] = {
    "breaker": "its breaker was open",
    "silent": "it had taken messages and confirmed none, so its breaker was open",
    "rate": "it was at its rate",
}
"""Why a provider that stands earlier in the order was not asked."""

FIRST_IN_ORDER: Final = "the first in the order that can reach her"
AFTER_FAILURE: Final = "since {providers} had just failed"
PASSED: Final = "since {providers} could not be asked"

NEXT: Final[dict[DeliveryState, str]] = {
    "waiting": "It goes on as soon as a worker takes it.",
    "in_flight": "It is being sent; the provider's answer is awaited.",
    "unknown": "The provider's news is awaited; without any the type's policy decides whether it is sent again.",
    "sent": "The provider's confirmation is awaited, where it gives one.",
    "delivered": "",
    "failed": "",
    "dead_lettered": "Nothing more happens until an operator replays or discards it.",
    "expired": "",
    "cancelled": "",
}
"""What comes next in each state; empty where nothing does."""

NEXT_AT: Final = "It goes on at {at}."
NEXT_OUTAGE: Final = "It goes on when a provider recovers; at {expires_at} its lifetime ends."
OF_CAMPAIGN: Final = "It belongs to the campaign {name}."
NOT_ROUTED: Final = "It has been accepted and waits to be routed."
SCHEDULED: Final = "That is {at}."
WAS_SCHEDULED: Final = "The caller asked for it to leave at {at}, not before."
NOT_BEFORE: Final = "It was not to leave before {at}."
