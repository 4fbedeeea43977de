"""What every act of an operator has: why, whether it is only tried, and its record."""

from typing import Annotated

import msgspec

from bellhouse.domain.levers import Act, ActWord
from bellhouse.web.auth import Caller

Why = Annotated[str, msgspec.Meta(max_length=1_000, description="Why, for whoever comes after; kept with the act.")]
DryRun = Annotated[bool, msgspec.Meta(description="Say what would change, and change nothing.")]

NO_WHY = "Nobody will know why: give a reason with `why`."
"""What is answered where the reason is missing."""


def act_of(caller: Caller, act: ActWord, scope: str, now: int, why: str, before: str = "", after: str = "") -> Act:
    """The record of what a caller did."""
    return Act(act, scope, caller.name, caller.key_id, now, why, before, after)


def warnings_of(why: str) -> list[str]:
    """What is to be said of an act besides what it changed."""
    return [] if why.strip() else [NO_WHY]
