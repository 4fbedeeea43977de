"""Carries the positions of an assignment to the group: gathered, forward only, and once more at the end."""

from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bellhouse.adapters.log.kafka.assignment import Assignment
from bellhouse.adapters.log.kafka.config import KafkaConfig
from bellhouse.adapters.log.kafka.notes import Notes, cause_of
from bellhouse.ports.clock import Clock

_EVERY_S: Final = 0.1
"""A reader commits every batch; the broker is told of them together."""
_OUSTED: Final = frozenset({KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.FENCED_INSTANCE_ID})
"""The answers by which a member learns that its partitions are others' already."""


class Commits:
    """The positions of one consumer; belongs to its thread."""

    def __init__(
        self,
        config: KafkaConfig,
        consumer: Consumer,
        topic: str,
        assignment: Assignment,
        clock: Clock,
        notes: Notes,
    ) -> None:
        self._request_timeout_s = config.request_timeout_s
        self._consumer = consumer
        self._topic = topic
        self._assignment = assignment
        self._clock = clock
        self._notes = notes
        self._next_at = 0.0

    def send_what_is_due(self) -> None:
        """Send what is done, if some time has gone by since the last time; the answer comes to `answered`."""
        now = self._clock.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + _EVERY_S
        due = self._assignment.due()
        if not due:
            return
        try:
            self._consumer.commit(offsets=self._behind(due), asynchronous=True)
        except KafkaException as error:
            self._assignment.unsent(due)
            self._notes.warn(f"Kafka: committing positions of {self._topic} failed", error)

    def send_now(self, partitions: Sequence[int]) -> None:
        """Send what is done of these and wait until the group has it; what it does not take is only noted."""
        due = self._assignment.due(partitions)
        if not due:
            return
        try:
            for answer in self._consumer.commit(offsets=self._behind(due), asynchronous=False):
                if answer.error is not None:
                    raise KafkaException(answer.error)
        except KafkaException as error:
            self._notes.warn(f"Kafka: the last positions of {self._topic} are lost, its records come again", error)

    def answered(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        """What became of a commit that was sent; one that did not work is due again."""
        failures = {p.partition: (p.offset - 1, error or p.error) for p in partitions if error or p.error}
        self._assignment.unsent({partition: offset for partition, (offset, _) in failures.items()})
        for _, cause in failures.values():
            if cause is not None and cause.code() != KafkaError.REBALANCE_IN_PROGRESS:
                self._notes.warn(f"Kafka: committing positions of {self._topic} failed", cause)

    def accepted(self) -> bool:
        """Whether the group still takes this consumer's word for its partitions: tells it what it knows already.

        The group itself can be asked nothing that it would answer only to a member. Raises KafkaException.
        """
        ours = [TopicPartition(self._topic, partition) for partition in self._assignment.partitions]
        known = self._consumer.committed(ours, self._request_timeout_s)
        for position in known:
            if position.error is not None:  # its offset says nothing, and told as a position it would be one
                raise KafkaException(position.error)
        told = [TopicPartition(self._topic, p.partition, p.offset) for p in known if p.offset >= 0]
        # A group without any position begins at the oldest record: 0 says the same, and something must be said.
        told = told or [TopicPartition(self._topic, ours[0].partition, 0)]
        try:
            answers = self._consumer.commit(offsets=told, asynchronous=False)
        except KafkaException as error:
            if cause_of(error).code() in _OUSTED:
                return False
            raise
        return not any(answer.error is not None and answer.error.code() in _OUSTED for answer in answers)

    def _behind(self, done: Mapping[int, int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition, offset + 1) for partition, offset in done.items()]
