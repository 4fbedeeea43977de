"""Makes metrics say nothing, for the measurement of what they cost: on PYTHONPATH of the processes that are compared.

The settings can switch off logs and traces, and nobody needs to switch off metrics but this comparison.
"""

from bellhouse.observability.metrics import Metrics
from bellhouse.ports.telemetry import NullTelemetry


def _nothing(*_: object, **__: object) -> None:
    return None


for _name in vars(NullTelemetry):
    if not _name.startswith("_") and _name != "register":
        setattr(Metrics, _name, _nothing)
