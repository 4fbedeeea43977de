"""A reader's thread outlives what its consumer does to it, and hears nothing of one that another has replaced."""

from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.log.kafka import KafkaConfig, member
from bellhouse.adapters.log.kafka.notes import Notes
from bellhouse.adapters.log.kafka.reach import Found
from bellhouse.adapters.log.kafka.reader import KafkaReader
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.telemetry import NullLogbook
from bellhouse.testing.log_suite import NORMAL, behind, eventually, read, values_of

NEVER_S = 3_600.0
FATAL = KafkaError(KafkaError._FATAL, "fenced", fatal=True)


class Client:
    """Stands in for a consumer: it is given its one partition at once, and what the test puts into `comes`."""

    def __init__(self, _: object, error_cb: Callable[[KafkaError], None], **__: object) -> None:
        self.error_cb = error_cb
        self.comes: list[Any] = []
        self.raises: list[Exception] = []
        self.refuses: list[Exception] = []
        self.committed_to: list[int] = []
        self.closed = False
        self.finds_nothing = False
        self.assigns_not = False
        self.on_assign: Callable[[Any, list[TopicPartition]], None] | None = None
        self._joined = False

    def list_topics(self, topic: str, timeout: float) -> Any:
        if self.finds_nothing:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={})})

    def subscribe(self, topics: list[str], on_assign: Any, **_: object) -> None:
        self._partitions = [TopicPartition(topic, 0) for topic in topics]
        self.on_assign = on_assign

    def poll(self, timeout: float) -> Any:
        if self.raises:
            raise self.raises.pop()
        if not self._joined and self.on_assign is not None:
            self._joined = True
            self.on_assign(self, self._partitions)
        return self.comes.pop(0) if self.comes else None

    def consume(self, count: int, timeout: float) -> list[Any]:
        return []

    def memberid(self) -> str:
        return "" if self.closed else "member"

    def committed(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(place.topic, place.partition, 0) for place in asked]

    def commit(self, offsets: Sequence[TopicPartition], asynchronous: bool) -> Sequence[TopicPartition]:
        if self.refuses:
            raise self.refuses.pop()
        self.committed_to += [place.offset for place in offsets]
        return offsets

    def close(self) -> None:
        self.closed = True

    def __getattr__(self, name: str) -> Any:
        if name in ("incremental_unassign", "pause", "resume"):
            return lambda partitions: partitions
        raise AttributeError(name)

    def incremental_assign(self, _: list[TopicPartition]) -> None:
        if self.assigns_not:
            raise KafkaException(KafkaError(KafkaError._STATE))

    def unsubscribe(self) -> None:
        self.closed = True

    def assignment(self) -> list[TopicPartition]:
        return [] if self.closed else self._partitions


def message(offset: int, partition: int = 0) -> Any:
    return SimpleNamespace(
        error=lambda: None, partition=lambda: partition, offset=lambda: offset, value=lambda: str(offset).encode()
    )


class Lost:
    """What says of a client whether it has lost its cluster."""

    def __init__(self) -> None:
        self.clients: list[object] = []

    def look(self, client: object, _: str) -> Found:
        return "lost" if client in self.clients else "there"


@pytest.fixture
def finding_nothing() -> set[int]:
    """Which of the consumers, counted from one, find no topic."""
    return set()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch, finding_nothing: set[int]) -> list[Client]:
    """Every consumer that is made, in order."""
    made: list[Client] = []

    def make(*args: Any, **settings: Any) -> Client:
        made.append(Client(*args, **settings))
        made[-1].finds_nothing = len(made) in finding_nothing
        return made[-1]

    monkeypatch.setattr(member, "Consumer", make)
    monkeypatch.setattr(member, "Marks", lambda *_: SimpleNamespace(set=_nothing, set_at_once=_nothing))
    monkeypatch.setattr(member, "_LOOK_S", 0.05)
    return made


def _nothing() -> None: ...


@pytest.fixture
async def reader(clients: list[Client]) -> AsyncIterator[KafkaReader]:
    config, clock = KafkaConfig(brokers=("127.0.0.1:1",), session_timeout_s=NEVER_S), SystemClock()
    reader = KafkaReader(config, NORMAL, clock, Notes(config, clock, NullLogbook()), Lost())  # type: ignore[arg-type]  # stands in
    await reader.start()
    assert len(clients) == 1
    yield reader
    await reader.stop()


async def _replace(reader: KafkaReader, clients: list[Client]) -> tuple[Client, Client]:
    """Have the consumer replaced as one that has lost its cluster; the old and the new."""
    old = clients[-1]
    reader._member._reach.clients.append(old)  # type: ignore[attr-defined]  # stands in
    reader._member._away = True

    async def replaced() -> bool:
        return len(clients) == 2 and old.closed and bool(reader._assignment.partitions)

    await eventually(replaced)
    return old, clients[-1]


async def test_whatever_a_consumer_raises_the_reader_goes_on(reader: KafkaReader, clients: list[Client]) -> None:
    (client,) = clients
    client.raises = [KeyError("topic"), RuntimeError("closed"), KafkaException(KafkaError(KafkaError._TRANSPORT))]
    client.comes = [message(0)]
    assert values_of(await read(reader, 1)) == [0]


async def test_a_position_that_could_not_be_sent_is_sent_again(reader: KafkaReader, clients: list[Client]) -> None:
    (client,) = clients
    client.refuses = [KafkaException(KafkaError(KafkaError._STATE))]
    client.comes = [message(0)]
    await reader.commit(behind(await read(reader, 1)))

    async def committed() -> bool:
        return client.committed_to == [1]

    await eventually(committed)


async def test_what_the_group_has_left_to_a_reader_that_took_itself_for_put_out_is_read(
    reader: KafkaReader, clients: list[Client]
) -> None:
    (client,) = clients
    client.comes = [message(0)]
    await read(reader, 1)
    client.refuses = [KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION))]
    await reader.rejoin()
    assert reader._assignment.partitions == []
    client.comes = [message(1)]  # it goes on where it was, and has to go back

    async def assigned() -> bool:
        return reader._assignment.partitions == [0]

    await eventually(assigned)
    client.comes = [message(0), message(1)]
    assert values_of(await read(reader, 2)) == [0, 1]


async def test_a_reader_that_cannot_take_its_partitions_anew_joins_with_another_consumer(
    reader: KafkaReader, clients: list[Client]
) -> None:
    (client,) = clients
    client.comes = [message(0)]
    await read(reader, 1)
    client.assigns_not = True
    with pytest.raises(LogUnavailable):
        await reader.rejoin()

    async def joined() -> bool:
        return len(clients) == 2 and reader._member.failure is None and reader._assignment.partitions == [0]

    await eventually(joined)
    clients[-1].comes = [message(0)]
    assert values_of(await read(reader, 1)) == [0]


async def test_what_was_read_of_a_partition_that_has_left_brings_it_not_back(
    reader: KafkaReader, clients: list[Client]
) -> None:
    (client,) = clients
    client.comes = [message(0, partition=3), message(0)]
    assert values_of(await read(reader, 1)) == [0]
    assert reader._assignment.partitions == [0]


async def test_a_consumer_that_another_has_replaced_puts_nobody_out(reader: KafkaReader, clients: list[Client]) -> None:
    old, new = await _replace(reader, clients)
    old.error_cb(FATAL)
    new.comes = [message(7)]
    assert values_of(await read(reader, 1)) == [7]


async def test_where_the_cluster_goes_away_again_the_next_consumer_does_not_wait_for_a_session_to_end(
    reader: KafkaReader, clients: list[Client], finding_nothing: set[int]
) -> None:
    finding_nothing.add(2)
    reader._member._reach.clients.append(clients[0])  # type: ignore[attr-defined]  # stands in
    reader._member._away = True

    async def joined() -> bool:
        return len(clients) == 3 and reader._member.failure is None

    await eventually(joined)
    clients[-1].comes = [message(7)]
    assert values_of(await read(reader, 1)) == [7]


async def test_partitions_that_come_to_a_replaced_consumer_are_not_taken_for_the_readers(
    reader: KafkaReader, clients: list[Client]
) -> None:
    old, _ = await _replace(reader, clients)
    assert old.on_assign is not None
    old.on_assign(old, [TopicPartition(NORMAL, 3)])
    assert reader._assignment.partitions == [0]


async def test_a_fatal_error_of_the_consumer_itself_puts_it_out(reader: KafkaReader, clients: list[Client]) -> None:
    clients[0].error_cb(FATAL)
    assert reader._member.failure is not None
    assert "`instance` of its own" in reader._member.failure.remedy
