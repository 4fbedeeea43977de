"""Which Kafka cluster there is, how it is reached, and which of a house's clusters a topic is on."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from bellhouse.domain.words import Priority
from bellhouse.ports.log import GROUP_OF, PRIORITY_OF

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Client = dict[str, str | int | float | bool]
"""Settings of librdkafka, by its own names."""

RECONNECT_MAX_S: Final = 2.0
"""How long a client may wait before it tries again to connect to a broker."""


class KafkaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One Kafka cluster."""

    brokers: tuple[str, ...]
    """`host:port` of some of its brokers; the others are learnt from them."""
    security: Security = "plaintext"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: str = ""
    password: str = ""
    ca_pem: str = ""
    """Certificates that may have signed the brokers'; empty: those of the system."""
    topic_prefix: str = ""
    """Goes before the name of every topic and group, so that several houses can share a cluster."""
    partitions: int = 20
    """Of each topic that is created."""
    replication: int = 3
    session_timeout_s: float = 10.0
    """After how long a silent reader has lost its partitions. The brokers set bounds: 6 s to 30 min, as delivered."""
    request_timeout_s: float = 10.0
    """How long a broker may take to answer anything."""
    instance: str = ""
    """A name that this process has again after a restart and no other has beside it; with it a reader that comes back
    within the session timeout, after a kill or a stop, gets its partitions again and moves nobody else's. Where one
    goes for good, the others have its partitions when that time is over. Without a name they go at once at a stop."""

    def __repr__(self) -> str:
        # The whole would show the password to whoever prints it.
        return f"KafkaConfig(brokers={self.brokers!r}, topic_prefix={self.topic_prefix!r})"


class Clusters:
    """The house's clusters: one for everything, and those of the lanes that have their own."""

    def __init__(self, default: KafkaConfig, lanes: Mapping[Priority, KafkaConfig]) -> None:
        self._default = default
        self._lanes = dict(lanes)

    def of(self, topic: str) -> KafkaConfig:
        """The cluster on which `topic` is; a feed without a priority is on the default one."""
        priority = PRIORITY_OF.get(topic)
        return self._default if priority is None else self._lanes.get(priority, self._default)

    def each(self) -> list[KafkaConfig]:
        """Every cluster that there is, once."""
        return list(dict.fromkeys([self._default, *self._lanes.values()]))


def topic_name(config: KafkaConfig, topic: str) -> str:
    """What the house's `topic` is called on its cluster."""
    return config.topic_prefix + topic


def group_name(config: KafkaConfig, topic: str) -> str:
    """What the consumer group of the house's `topic` is called on its cluster."""
    return config.topic_prefix + GROUP_OF[topic]


def connection(config: KafkaConfig) -> Client:
    """What every client of a cluster needs to reach it."""
    client: Client = {
        "bootstrap.servers": ",".join(config.brokers),
        "client.id": config.instance or "bellhouse",
        "security.protocol": config.security,
        "socket.timeout.ms": int(config.request_timeout_s * 1000),
        "socket.nagle.disable": True,
        "reconnect.backoff.max.ms": int(RECONNECT_MAX_S * 1000),
        "log.connection.close": False,  # brokers close what is idle
    }
    if config.security.startswith("sasl"):
        client |= {
            "sasl.mechanism": config.sasl_mechanism,
            "sasl.username": config.username,
            "sasl.password": config.password,
        }
    if config.ca_pem:
        client["ssl.ca.pem"] = config.ca_pem
    return client


def consuming(config: KafkaConfig, topic: str) -> Client:
    """What a member of the topic's group needs."""
    session_ms = int(config.session_timeout_s * 1000)
    client: Client = {
        **connection(config),
        "group.id": group_name(config, topic),
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": session_ms,
        # A rebalance is learnt of with a heartbeat's answer, and partitions stand still until all have learnt of it.
        "heartbeat.interval.ms": min(500, session_ms // 10),
        "max.poll.interval.ms": max(300_000, session_ms),
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        # A stalled reader forgets what librdkafka has fetched ahead and fetches it again: so it is little.
        "queued.min.messages": 2_000,
        "queued.max.messages.kbytes": 8_192,
        # With so little ahead, the next fetch must follow soon: librdkafka would wait a second.
        "fetch.queue.backoff.ms": 5,
        "fetch.max.bytes": 8_388_608,
        "fetch.error.backoff.ms": 100,
    }
    if config.instance:
        client["group.instance.id"] = f"{config.instance}-{topic}"
    return client


def observing(config: KafkaConfig, topic: str) -> Client:
    """What a consumer needs that only asks about the topic's group, and never joins it."""
    return {**connection(config), "group.id": group_name(config, topic), "enable.auto.commit": False}


def producing(config: KafkaConfig, linger_ms: int) -> Client:
    """What an idempotent producer needs."""
    return {
        **connection(config),
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "linger.ms": linger_ms,
        "message.timeout.ms": int(config.request_timeout_s * 1000),
        "topic.metadata.propagation.max.ms": int(config.request_timeout_s * 500),
        # Who appends is counted and made to wait by us, in the order of coming; librdkafka would refuse.
        "queue.buffering.max.messages": 10_000_000,
        "queue.buffering.max.kbytes": 1_048_576,
    }
