"""The numbers that alerts compare with, each a parameter of the rendered rules."""

from typing import Annotated, Final, get_type_hints

import msgspec

_SHORTEST_AGE_S: Final = 15.0
"""Shared gauges are read every five seconds, whatever the scale of the rules is: less is no age that one can see."""


def _is(meaning: str) -> msgspec.Meta:
    return msgspec.Meta(description=meaning)


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is too much, too little or too old. A name that ends in `_s` is an age in seconds."""

    delivery_rate: Annotated[float, _is("Of all attempts, the share that a provider accepts.")] = 0.95
    delivery_attempts: Annotated[float, _is("In five minutes: of fewer attempts a share says nothing.")] = 5
    error_share: Annotated[float, _is("Of all requests, those that fail by our fault: nothing is accepted.")] = 0.5
    error_requests: Annotated[float, _is("In five minutes: of fewer that fail a share says nothing.")] = 5
    refused_step: Annotated[float, _is("The step of degraded mode from which on `high` is refused.")] = 3
    queue_records: Annotated[float, _is("Records that wait, in all queues together.")] = 1_000_000
    critical_waits_s: Annotated[float, _is("How long the oldest of critical may wait.")] = 60
    high_waits_s: Annotated[float, _is("The same for high.")] = 300
    low_waits_s: Annotated[float, _is("The same for low.")] = 14_400
    provider_latency: Annotated[float, _is("Seconds that a provider may take; no age, people wait as long.")] = 2
    dead_letters: Annotated[float, _is("In an hour, on one channel.")] = 1_000
    silence_s: Annotated[float, _is("For how long a provider may accept without confirming anything.")] = 600
    partitions_days: Annotated[float, _is("For how many days the store must have its partitions.")] = 3
    disk_share: Annotated[float, _is("Of the data folder's volume, what must be free.")] = 0.15
    disk_share_critical: Annotated[float, _is("The same, before somebody is woken.")] = 0.05
    disk_ahead_s: Annotated[float, _is("How far ahead a disk that fills up is seen to be full.")] = 14_400
    restarts: Annotated[float, _is("In a quarter of an hour; one is a deploy.")] = 2
    seen_s: Annotated[float, _is("Since a process last showed its figures.")] = 60
    clock_skew: Annotated[float, _is("Seconds that a clock may be off; no age.")] = 5
    stale_s: Annotated[float, _is("Since a shared gauge was last read.")] = 300
    ledger_stale_s: Annotated[float, _is("Since the ledger was last checked.")] = 3_600

    def scaled(self, scale: float) -> "Thresholds":
        """The same with every age multiplied, though none below what the gauges can show."""
        if scale == 1:
            return self
        ages = {name: value for name, value in msgspec.structs.asdict(self).items() if name.endswith("_s")}
        return msgspec.structs.replace(
            self, **{name: min(value, max(value * scale, _SHORTEST_AGE_S)) for name, value in ages.items()}
        )


def meaning_of(name: str) -> str:
    """What a threshold means, in a sentence; raises KeyError for none."""
    meaning: str = get_type_hints(Thresholds, include_extras=True)[name].__metadata__[0].description
    return meaning
