"""Counts what goes into the log."""

from collections import Counter
from collections.abc import Sequence

from bellhouse.ports.log import Publisher, Record
from bellhouse.ports.telemetry import Telemetry


class CountedPublisher:
    """A Publisher that tells telemetry of each topic what the log has taken."""

    def __init__(self, publisher: Publisher, telemetry: Telemetry) -> None:
        self._publisher = publisher
        self._telemetry = telemetry

    async def append(self, records: Sequence[Record]) -> None:
        await self._publisher.append(records)
        for topic, count in Counter(record.topic for record in records).items():
            self._telemetry.produced(topic, count)
