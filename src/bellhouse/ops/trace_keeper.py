"""Keeps the traces of what failed or was slow and was not sampled: rebuilt from the stored story, a few each second."""

from collections.abc import Sequence
from typing import Final

from bellhouse.domain.ids import NotificationId
from bellhouse.ops.trace import rebuild
from bellhouse.ports.clock import Clock
from bellhouse.ports.service import Beat
from bellhouse.ports.store.insights import Insights
from bellhouse.ports.tracing import Tracing

_EVERY_S: Final = 1.0
_MOST: Final = 5
"""Traces a second: reading a story costs about what routing a notification does."""


class TraceKeeper(Beat):
    """Rebuilds what was asked for. Service; what it has not come to when its process ends is not kept, and can still
    be asked for by `bellhouse trace ID --export`."""

    def __init__(self, tracing: Tracing, insights: Insights, clock: Clock) -> None:
        super().__init__("trace-keeper", _EVERY_S, clock)
        self._tracing = tracing
        self._insights = insights
        self._next: Sequence[NotificationId] = ()

    async def beat(self) -> None:
        """Those that were asked for before the last beat: by now what they are kept for is stored."""
        due, self._next = self._next, self._tracing.kept(_MOST)
        for notification in due:
            story = await self._insights.story(None, notification)
            if story is not None:
                self._tracing.emit(rebuild(story))
