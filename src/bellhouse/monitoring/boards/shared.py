"""What all boards have in common: what a reader may choose, and the marks of starts."""

from typing import Final

from bellhouse.domain.words import CHANNELS, PRIORITIES
from bellhouse.monitoring.boards.board import Mark, Variable

CHANNEL: Final = Variable("channel", "Channel", values=CHANNELS)
PRIORITY: Final = Variable("priority", "Priority", values=PRIORITIES)
PROVIDER: Final = Variable("provider", "Provider", from_metric="circuit_breaker_state")

STARTS: Final = Mark(
    "Starts and deploys",
    "time() - max by (role) (process_started_timestamp_seconds) < 60",
    "{{role}} was started",
)
"""A minute from each start of a role's newest process: by its age, since a pod that takes another's place is a series
of its own, in which nothing changes."""

UNSCOPED: Final = "What is chosen above does not narrow it: the query is the one that the runbooks quote."
