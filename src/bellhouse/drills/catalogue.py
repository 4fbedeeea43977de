"""Every drill that there is."""

from collections.abc import Sequence
from typing import Final

from bellhouse.drills import data, engines, platform, providers, queue
from bellhouse.drills.scenario import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *platform.SCENARIOS,
    *providers.SCENARIOS,
    *queue.SCENARIOS,
    *data.SCENARIOS,
    *platform.CRASHES,
    *engines.SCENARIOS,
)

NAMES: Final = tuple(scenario.name for scenario in SCENARIOS)


def named(names: Sequence[str]) -> tuple[Scenario, ...]:
    """The drills of these names, in the catalogue's order. Raises KeyError for a name that there is not."""
    for name in names:
        if name not in NAMES:
            raise KeyError(name)
    return tuple(scenario for scenario in SCENARIOS if scenario.name in names)
