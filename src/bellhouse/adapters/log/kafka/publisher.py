"""Appends records through idempotent producers: one for the bulk of each cluster, and one for what is critical."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from threading import Thread
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bellhouse.adapters.log.kafka.config import Clusters, KafkaConfig, producing, topic_name
from bellhouse.adapters.log.kafka.notes import Notes, is_fatal
from bellhouse.adapters.log.kafka.reach import Reach
from bellhouse.ports.log import PRIORITY_OF, LogUnavailable, Record

_BULK_LINGER_MS: Final = 5
_CRITICAL_LINGER_MS: Final = 0
_IN_FLIGHT_BYTES: Final = 64 * 1_048_576
_RECORD_BYTES: Final = 200
"""What a record costs in memory beside its value."""
_POLL_S: Final = 0.1
_PURGED_WITHIN_S: Final = 1.0
"""How long telling of what a producer has thrown away may take."""


class KafkaPublisher:
    """A Publisher. Its producers are made when they are first needed; `stop` sends what is left."""

    def __init__(
        self, clusters: Clusters, notes: Mapping[KafkaConfig, Notes], reach: Mapping[KafkaConfig, Reach]
    ) -> None:
        self._clusters = clusters
        self._notes = notes
        self._reach = reach
        self._lines: dict[tuple[KafkaConfig, bool], _Line] = {}

    async def append(self, records: Sequence[Record]) -> None:
        by_line: dict[_Line, list[Record]] = {}
        for record in records:
            by_line.setdefault(self._line(record.topic), []).append(record)
        if len(by_line) == 1:
            (line,) = by_line
            await line.append(records)
            return
        done = await asyncio.gather(*(line.append(part) for line, part in by_line.items()), return_exceptions=True)
        for failure in filter(None, done):
            raise failure

    async def stop(self) -> None:
        """Send what is still on its way, and close. Calling it twice is lawful."""
        lines, self._lines = list(self._lines.values()), {}
        await asyncio.gather(*(line.stop() for line in lines))

    def _line(self, topic: str) -> "_Line":
        config = self._clusters.of(topic)
        critical = PRIORITY_OF.get(topic) == "critical"
        line = self._lines.get((config, critical))
        if line is None or line.broken:
            if line is not None:
                line.retire()
            linger_ms = _CRITICAL_LINGER_MS if critical else _BULK_LINGER_MS
            line = _Line(config, self._notes[config], self._reach[config], linger_ms)
            self._lines[config, critical] = line
        return line


class _Line:
    """One producer, and the thread that hears from it what has been acknowledged."""

    def __init__(self, config: KafkaConfig, notes: Notes, reach: Reach, linger_ms: int) -> None:
        self.broken = False
        self._config = config
        self._notes = notes
        self._reach = reach
        self._unheard: str | None = None
        """A topic for which something was not acknowledged in time, until it is known why."""
        self._bytes = 0
        self._door = asyncio.Lock()
        self._room = asyncio.Event()
        self._stopping = False
        try:
            self._producer = Producer(producing(config, linger_ms), error_cb=self._failed, logger=notes)
        except KafkaException as error:
            raise notes.unavailable(error) from error
        self._thread = Thread(target=self._hear, name="kafka-producer", daemon=True)
        self._thread.start()

    async def append(self, records: Sequence[Record]) -> None:
        size = sum([len(record.value) for record in records]) + _RECORD_BYTES * len(records)
        keys = [record.key.to_bytes(8, "big", signed=True) for record in records]
        async with self._door:  # those who wait for room go in the order in which they came
            while self._bytes and self._bytes + size > _IN_FLIGHT_BYTES:
                self._room.clear()
                await self._room.wait()
            if self._stopping or self.broken:
                # Its thread may not hear any more what becomes of it.
                raise LogUnavailable("unreachable", "the producer was given up or closed meanwhile; try again")
            self._bytes += size
            batch = _Batch()
            batch.finished.add_done_callback(lambda _: self._left(size))
            self._produce(records, keys, batch)
        error = await asyncio.shield(batch.finished)
        if error is not None:
            down = self._notes.unavailable(error)
            if down.reason != "refused":
                self._unheard = topic_name(self._config, records[0].topic)
            raise down

    def retire(self) -> None:
        """Have the thread end when every append has its answer."""
        self._stopping = True

    async def stop(self) -> None:
        self.retire()
        await asyncio.to_thread(self._thread.join)

    def _produce(self, records: Sequence[Record], keys: Sequence[bytes], batch: "_Batch") -> None:
        names = {topic: topic_name(self._config, topic) for topic in {record.topic for record in records}}
        produce, acknowledged = self._producer.produce, batch.acknowledged
        produced = 0
        try:
            for record, key in zip(records, keys, strict=True):
                produce(names[record.topic], record.value, key, -1, acknowledged)
                produced += 1
        except (KafkaException, BufferError) as error:
            reason = KafkaError(KafkaError._QUEUE_FULL) if isinstance(error, BufferError) else error
            batch.error = batch.error or reason
        batch.expect(produced)

    def _left(self, size: int) -> None:
        self._bytes -= size
        self._room.set()

    def _hear(self) -> None:
        while not self._stopping:
            try:
                self._producer.poll(_POLL_S)
                if self._unheard is not None:
                    self._look(self._unheard)
                if self.broken:
                    self._give_up()
            except Exception as error:  # without this thread no append would ever be answered again
                self._notes.warn("Kafka: a producer's thread failed", error)
        if self._producer.flush(self._config.request_timeout_s + 1):
            self._give_up()

    def _give_up(self) -> None:
        """Fail what is on its way, rather than have its senders wait until its time is over: another producer would
        take it at once. The cluster may have it already, and gets it twice then."""
        self._producer.purge(blocking=False)
        self._producer.flush(_PURGED_WITHIN_S)

    def _look(self, topic: str) -> None:
        """Be broken where the producer does not find its cluster any more. While that is away it is looked for again:
        the producer may be lost to it when it comes back."""
        found = "there" if self.broken else self._reach.look(self._producer, topic)
        if found == "lost":
            self._notes.warn("Kafka: another producer takes over", "the one before had lost the cluster")
            self.broken = True
        if found != "away":
            self._unheard = None

    def _failed(self, error: KafkaError) -> None:
        self._notes.error(error)
        if is_fatal(error):
            self.broken = True


class _Batch:
    """The records of one append: counts acknowledgements in the producer's thread, and tells the loop at the last."""

    def __init__(self) -> None:
        self.error: KafkaError | KafkaException | None = None
        self.finished: asyncio.Future[KafkaError | KafkaException | None] = asyncio.get_running_loop().create_future()
        self._acknowledged = 0
        self._expected = -1

    def acknowledged(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self.error = self.error or error
        # Each of the two counts has one thread that writes it, so neither can be miscounted.
        self._acknowledged += 1
        if self._acknowledged == self._expected:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.finished.get_loop().call_soon_threadsafe(self._finish)

    def expect(self, count: int) -> None:
        """Be finished when `count` records have been acknowledged; it may be that all of them have."""
        self._expected = count
        if self._acknowledged == count:
            self._finish()

    def _finish(self) -> None:
        if not self.finished.done():
            self.finished.set_result(self.error)
