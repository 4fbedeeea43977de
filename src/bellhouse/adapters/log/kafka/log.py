"""The log on Apache Kafka: readers in consumer groups, and a publisher; a priority may have a cluster of its own."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from bellhouse.adapters.log.kafka.config import Clusters, KafkaConfig
from bellhouse.adapters.log.kafka.lags import Lags
from bellhouse.adapters.log.kafka.notes import Notes
from bellhouse.adapters.log.kafka.oldest import Oldest
from bellhouse.adapters.log.kafka.publisher import KafkaPublisher
from bellhouse.adapters.log.kafka.reach import Reach
from bellhouse.adapters.log.kafka.reader import KafkaReader
from bellhouse.adapters.log.kafka.unfinished import unfinished
from bellhouse.domain.words import Priority
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import TOPICS, Lag, Record
from bellhouse.ports.telemetry import Logbook


class KafkaLog:
    """A Log and a Publisher. Nothing is connected before it is used."""

    def __init__(
        self, default: KafkaConfig, lanes: Mapping[Priority, KafkaConfig], clock: Clock, logbook: Logbook
    ) -> None:
        self._clusters = Clusters(default, lanes)
        self._clock = clock
        self._notes = {config: Notes(config, clock, logbook) for config in self._clusters.each()}
        self._reach = {config: Reach(config, notes, clock) for config, notes in self._notes.items()}
        self._publisher = KafkaPublisher(self._clusters, self._notes, self._reach)
        self._lags = Lags(self._clusters, self._notes, clock)
        self._oldest = Oldest(self._notes, clock)

    def reader(self, topic: str) -> KafkaReader:
        config = self._clusters.of(topic)
        return KafkaReader(config, topic, self._clock, self._notes[config], self._reach[config])

    async def append(self, records: Sequence[Record]) -> None:
        await self._publisher.append(records)

    async def lags(self) -> Sequence[Lag]:
        return await self._lags.read()

    async def probe(self, topics: Collection[str] = TOPICS) -> None:
        await self._lags.probe(topics)

    async def oldest(self) -> Mapping[str, Sequence[bytes]]:
        return await self._oldest.read(await self._lags.behind())

    async def unfinished(self, topics: Collection[str]) -> AsyncIterator[tuple[str, Sequence[bytes]]]:
        places = [place for place in await self._lags.behind() if place.topic in topics]
        for config in dict.fromkeys(place.config for place in places):
            mine = [place for place in places if place.config == config]
            async for batch in unfinished(config, self._notes[config], self._clock, mine):
                yield batch

    async def trim(self, limit: int) -> int:  # noqa: ARG002  # Kafka forgets by itself, by the topics' retention
        return 0

    async def stop(self) -> None:
        """Send what is still on its way, and close. Readers are stopped by those who have them. Calling it twice is
        lawful."""
        await self._publisher.stop()
        await self._lags.stop()
        await self._oldest.stop()
