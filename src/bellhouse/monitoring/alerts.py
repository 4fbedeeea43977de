"""Every alert, by the symptom that people have of it first, then by its causes."""

from typing import Final

from bellhouse.monitoring import causes, slo, symptoms
from bellhouse.monitoring.alert import Alert

ALERTS: Final[tuple[Alert, ...]] = (*symptoms.ALERTS, *causes.ALERTS, *slo.alerts())

SLUGS: Final = tuple(dict.fromkeys(alert.slug for alert in ALERTS))
"""Every runbook that an alert leads to."""


def named(name: str) -> tuple[Alert, ...]:
    """The alerts of a name, which differ in severity or labels; none for a name that there is not."""
    return tuple(alert for alert in ALERTS if alert.name == name)
