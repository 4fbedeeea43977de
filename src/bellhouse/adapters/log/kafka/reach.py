"""Tells a cluster that is away from a client that does not find it again.

A broker that shuts down may say in its last answer that there are no brokers. librdkafka (2.16) then forgets all that
it knew and may try none again, not even those of its settings: confluentinc/librdkafka#5301, ADR 0021. To the client
that looks like any outage, but for a new one the cluster is there.
"""

from threading import Lock
from typing import Final, Literal

from confluent_kafka import Consumer, KafkaException, Producer

from bellhouse.adapters.log.kafka.config import RECONNECT_MAX_S, KafkaConfig, connection
from bellhouse.adapters.log.kafka.notes import Notes
from bellhouse.ports.clock import Clock

Found = Literal["there", "away", "lost"]
"""Where its cluster is to a client: `lost` answers a new client and not this one."""
_ANSWERS_WITHIN_S: Final = 1.0
_FRESH_S: Final = 1.0
"""How long what a new client found stands: all readers of a process ask at once."""


class Reach:
    """Of one cluster; may be called by any thread."""

    def __init__(self, config: KafkaConfig, notes: Notes, clock: Clock) -> None:
        self._config = config
        self._notes = notes
        self._clock = clock
        self._lock = Lock()
        self._found = False
        self._found_at = float("-inf")

    def look(self, client: Consumer | Producer, topic: str) -> Found:
        """Whether `client` finds its cluster. `topic` is one by its cluster's name.

        Blocks: a moment where the cluster answers the client, else some seconds.
        """
        if _answers(client, topic, _ANSWERS_WITHIN_S):
            return "there"
        if not self._answers_a_new_one(topic):
            return "away"
        # The cluster may have come back between the two, and the client may be waiting to connect again.
        return "there" if _answers(client, topic, RECONNECT_MAX_S + _ANSWERS_WITHIN_S) else "lost"

    def _answers_a_new_one(self, topic: str) -> bool:
        with self._lock:
            if self._clock.monotonic() - self._found_at >= _FRESH_S:
                self._found = self._ask_as_a_new_one(topic)
                self._found_at = self._clock.monotonic()
            return self._found

    def _ask_as_a_new_one(self, topic: str) -> bool:
        group = f"{self._config.topic_prefix}bellhouse-reach"  # which it never joins
        client = Consumer({**connection(self._config), "group.id": group}, logger=self._notes)
        try:
            return _answers(client, topic, _ANSWERS_WITHIN_S)
        finally:
            client.close()


def _answers(client: Consumer | Producer, topic: str, within_s: float) -> bool:
    try:
        client.list_topics(topic, timeout=within_s)
    except KafkaException:
        return False
    return True
