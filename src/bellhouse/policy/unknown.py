"""What follows an attempt whose outcome stays unknown: try again, or leave it."""

from typing import Literal, assert_never

from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.words import Category

AfterUnknown = Literal["retry", "keep"]
"""`retry` risks a second copy (at least once); `keep` risks none arriving (at most once)."""


def after_unknown(kind: NotificationType) -> AfterUnknown:
    """The type's own policy, or its category's."""
    return kind.on_unknown or of_category(kind.category)


def of_category(category: Category) -> AfterUnknown:
    """A code or a receipt twice is a nuisance, none is a loss; of news and advertising, two are worse than none."""
    match category:
        case "security" | "transactional":
            return "retry"
        case "product" | "marketing":
            return "keep"
        case _:
            assert_never(category)
