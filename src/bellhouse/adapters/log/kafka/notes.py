"""What librdkafka says, in words: its log lines as notes of the logbook, its errors as LogUnavailable."""

from threading import Lock
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from bellhouse.adapters.log.kafka.config import KafkaConfig
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.telemetry import Logbook

_WARNING: Final = 30
"""The level of a warning, as librdkafka's Python client counts."""
_EVERY_S: Final = 30.0
"""How often the same thing is said again: a broker that is down is tried several times a second."""
_KINDS_AT_MOST: Final = 200

_UNREACHABLE: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError._PURGE_QUEUE,
        KafkaError._PURGE_INFLIGHT,
    }
)
_TIMEOUT: Final = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT})
MOVING: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)
"""Answers of a cluster where something has just moved or been created: asked again, it knows better."""
_ACCESS: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL})
"""Why a client gets no connection, which whoever waits for an answer learns only as time running out."""
_REMEDY: Final[dict[int, str]] = {
    KafkaError._AUTHENTICATION: "check kafka.username, kafka.password and kafka.sasl_mechanism",
    KafkaError.SASL_AUTHENTICATION_FAILED: "check kafka.username, kafka.password and kafka.sasl_mechanism",
    KafkaError._SSL: "check kafka.security and kafka.ca",
    KafkaError._INVALID_ARG: "check kafka.security, kafka.ca, kafka.username and kafka.password",
    KafkaError._QUEUE_FULL: "append fewer records at a time",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "give kafka.username the right to read and write the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "give kafka.username the right to read with the consumer group",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topics with `bellhouse topics --create`",
    KafkaError._UNKNOWN_TOPIC: "create the topics with `bellhouse topics --create`",
    KafkaError._UNKNOWN_PARTITION: "create the topics with `bellhouse topics --create`",
    KafkaError.MSG_SIZE_TOO_LARGE: "raise max.message.bytes of the topic, or send less data in a notification",
    KafkaError.NOT_ENOUGH_REPLICAS: "bring back the brokers that are down: fewer than min.insync.replicas are there",
    KafkaError.FENCED_INSTANCE_ID: "give each process an `instance` of its own",
    KafkaError._FATAL: "if it was fenced, give each process an `instance` of its own; else restart it",
}


class Notes:
    """The logger of the clients of one cluster, and the memory of what was said last. May be called by any thread."""

    def __init__(self, config: KafkaConfig, clock: Clock, logbook: Logbook) -> None:
        self._config = config
        self._clock = clock
        self._logbook = logbook
        self._lock = Lock()
        self._said: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}
        self._last = ""
        self._refusal: KafkaError | None = None
        self._refused_at = 0.0

    def log(self, level: int, form: str, *args: object) -> None:
        """What librdkafka calls with a line: its kind, the client's name and the text."""
        kind, _, text = args if len(args) == 3 else ("", "", form % args)
        self._last = str(text)
        if level >= _WARNING:
            self._say(f"Kafka client: {kind}", str(text))

    def error(self, error: KafkaError) -> None:
        """An error of a client as a whole. librdkafka goes on trying unless it is fatal."""
        self._last = error.str()
        if error.code() in _ACCESS:
            self._refusal, self._refused_at = error, self._clock.monotonic()
        self._say(f"Kafka: {error.name()}", error.str())

    def warn(self, message: str, error: Exception | KafkaError | str) -> None:
        """Something of ours that did not work because of `error`."""
        self._say(message, str(error))

    def unavailable(self, error: KafkaError | KafkaException) -> LogUnavailable:
        """The error as those who use the log read it."""
        cause = cause_of(error)
        if cause.code() in _TIMEOUT | _UNREACHABLE:
            cause = self._recent_refusal() or cause
        code = cause.code()
        if code in _TIMEOUT or code in _UNREACHABLE:
            reason = "timeout" if code in _TIMEOUT else "unreachable"
            where = ", ".join(self._config.brokers)
            last = f" (last: {self._last})" if self._last else ""
            return LogUnavailable(reason, f"no answer from Kafka at {where}{last}; check it, and kafka.brokers")
        if code in MOVING and code not in _REMEDY:
            return LogUnavailable("unreachable", f"{cause.str()}; partitions or groups are moving, try again")
        remedy = _REMEDY.get(code, "see what Kafka's own log says")
        return LogUnavailable("refused", f"{cause.str()}; {remedy}")

    def _recent_refusal(self) -> KafkaError | None:
        recent = self._clock.monotonic() - self._refused_at < _EVERY_S
        return self._refusal if recent else None

    def _say(self, message: str, error: str) -> None:
        now = self._clock.monotonic()
        with self._lock:
            if now - self._said.get(message, -_EVERY_S) < _EVERY_S:
                self._unsaid[message] = self._unsaid.get(message, 0) + 1
                return
            if len(self._said) >= _KINDS_AT_MOST:
                self._said.clear()
            self._said[message] = now
            unsaid = self._unsaid.pop(message, 0)
        self._logbook.note("warning", message, error=error, count=unsaid + 1)


def is_fatal(error: KafkaError) -> bool:
    """Whether the client that says this is of no use any more."""
    return error.fatal() or error.code() == KafkaError._FATAL


def cause_of(error: KafkaError | KafkaException) -> KafkaError:
    """The error itself, also of an exception that carries it."""
    if isinstance(error, KafkaError):
        return error
    cause = error.args[0] if error.args else None
    return cause if isinstance(cause, KafkaError) else KafkaError(KafkaError._FAIL, str(error))
