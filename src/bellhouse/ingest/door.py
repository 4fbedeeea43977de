"""Who is let in while not everything is taken: judged by priority, before anything is queued."""

from collections.abc import Sequence

from bellhouse.domain.words import Priority
from bellhouse.ingest.accept import Acceptor, Draft
from bellhouse.ingest.degrade import takes
from bellhouse.ingest.groupcommit import GroupCommit
from bellhouse.ingest.steps import Steps
from bellhouse.web.problems import Problem


class Door:
    """Keeps to the step of degraded mode, and the last parts of the commit's queue for what is more urgent."""

    def __init__(self, steps: Steps, commit: GroupCommit, acceptor: Acceptor) -> None:
        self._steps = steps
        self._commit = commit
        self._acceptor = acceptor

    @property
    def narrow(self) -> bool:
        """Whether anybody is turned away; what the hot path asks, and mostly all that it asks."""
        return self._steps.number > 0 or self._commit.crowded

    async def refusals(self, drafts: Sequence[Draft]) -> list[Problem | None]:
        """What each draft is answered; None where it is let in. Raises StoreUnavailable.

        Whose type is unknown is let in, and learns it where all others do.
        """
        priorities = await self._acceptor.priorities(drafts)
        answers = {priority: self._refusal(priority) for priority in set(priorities) if priority is not None}
        return [None if priority is None else answers[priority] for priority in priorities]

    def _refusal(self, priority: Priority) -> Problem | None:
        refused = self._steps.refusal(priority)
        if refused is None and not takes(self._commit.crowding, priority):
            return self._commit.busy
        return refused
