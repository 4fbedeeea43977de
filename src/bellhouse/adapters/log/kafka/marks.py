"""Asks where partitions ended when they came: what is before that may have been polled by somebody else."""

from collections.abc import Mapping

from confluent_kafka import OFFSET_END, Consumer, KafkaException

from bellhouse.adapters.log.kafka.assignment import Assignment
from bellhouse.adapters.log.kafka.notes import Notes
from bellhouse.adapters.log.kafka.offsets import Place, by_leader, offsets
from bellhouse.ports.clock import Clock

_PATIENCE_S = 1.0
"""For all partitions together: the topic stands still meanwhile, and its group too, should it be in a rebalance."""
_LEAST_S = 0.1
"""For each leader, though others have used the patience up."""
_AGAIN_S = 5.0
"""What is not marked is treated as polled before, which costs a look into the store and nothing else."""


class Marks:
    """The marks of one consumer's partitions; belongs to its thread."""

    def __init__(self, consumer: Consumer, topic: str, assignment: Assignment, clock: Clock, notes: Notes) -> None:
        self._consumer = consumer
        self._topic = topic
        self._assignment = assignment
        self._clock = clock
        self._notes = notes
        self._again_at = 0.0

    def set_at_once(self) -> None:
        """Mark what is unmarked by one question, which fails where one leader does not answer; `set` goes on then.

        Lawful within a rebalance's callback: the client loses its state there by anything that serves callbacks itself,
        such as `list_topics`, and ends the process with an assertion.
        """
        unmarked = self._assignment.unmarked
        found, _ = offsets(self._consumer, {0: [(self._topic, p) for p in unmarked]}, OFFSET_END, lambda: _PATIENCE_S)
        self._mark(found)

    def set(self) -> None:
        """Mark what is unmarked, as far as leaders answer; after a failure only some seconds later again."""
        unmarked = self._assignment.unmarked
        if not unmarked or self._clock.monotonic() < self._again_at:
            return
        failure = self._ask(frozenset(unmarked))
        if failure is not None:
            self._again_at = self._clock.monotonic() + _AGAIN_S
            self._notes.warn(f"Kafka: ends in {self._topic} are not known yet", failure)

    def _ask(self, unmarked: frozenset[int]) -> KafkaException | None:
        until = self._clock.monotonic() + _PATIENCE_S

        def left_s() -> float:
            return max(_LEAST_S, until - self._clock.monotonic())

        try:
            topic = self._consumer.list_topics(self._topic, timeout=left_s()).topics[self._topic]
        except KafkaException as error:
            return error
        led, leaderless = by_leader({self._topic: topic})
        wanted = {leader: [place for place in places if place[1] in unmarked] for leader, places in led.items()}
        ends, silent = offsets(self._consumer, wanted, OFFSET_END, left_s)
        self._mark(ends)
        return None if unmarked <= {partition for _, partition in ends} else silent or leaderless

    def _mark(self, ends: Mapping[Place, int]) -> None:
        self._assignment.mark({partition: end for (_, partition), end in ends.items()})
