"""The `/metrics` of a process that answers for itself alone: Prometheus scrapes each, and adds them up."""

from bellhouse.observability.exposition import render
from bellhouse.observability.merge import merge
from bellhouse.observability.metrics import Metrics
from bellhouse.ports.clock import Clock


class OwnExposition:
    """What one process exports."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def text(self) -> bytes:
        """The body of `/metrics`."""
        now = self._clock.now()
        return render(merge(self._metrics.snapshot(now), (), now))
