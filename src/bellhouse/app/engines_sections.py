"""The tables of settings of what stands behind the distributed mode: PostgreSQL, Kafka, Redis."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BeforeValidator

from bellhouse.app.sections import Contradiction, Pem, Secret, Section, from_file, setting
from bellhouse.domain.words import PRIORITIES, Priority

_HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
_BROKER: Final = re.compile(rf"{_HOST}:\d{{1,5}}")
_HOSTS: Final = re.compile(rf"{_HOST}(?::\d{{1,5}})?(?:,{_HOST}(?::\d{{1,5}})?)*")
_REDIS: Final = re.compile(rf"rediss?://(?:[^@/\s]*@)?{_HOST}(?::\d{{1,5}})?(?P<database>/\d*)?")
_TOPIC_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{0,100}")
_KEY_PREFIX: Final = re.compile(r"[^\s{}]{0,100}")


def _store_url(value: str) -> str:
    """PostgreSQL's own form, without what has a setting of its own: said twice, one of the two would be ignored."""
    if not value.startswith("postgresql://"):
        raise ValueError("must be postgresql://user@host:5432/database; several hosts by commas")
    parts = urlsplit(value)
    query = parse_qs(parts.query)
    if not _HOSTS.fullmatch(parts.netloc.rpartition("@")[2]) and "host" not in query:
        raise ValueError("must name a host, as in postgresql://user@host:5432/database; several by commas")
    if not parts.path.strip("/"):
        raise ValueError("must end in the database's name, as in postgresql://user@host:5432/database")
    if any(name == "password" or name.startswith("ssl") for name in query):
        raise ValueError("must not have password or ssl parameters: they are store.password, store.tls and store.ca")
    return value


def _redis_url(value: str) -> str:
    if not _REDIS.fullmatch(value):
        raise ValueError(
            "must be redis://host:6379/0, or rediss:// for TLS, without parameters: they have settings of their own"
        )
    return value


def _broker(value: str) -> str:
    if not _BROKER.fullmatch(value):
        raise ValueError("must be host:port, as in kafka-1:9092; several by commas")
    return value


def _topic_prefix(value: str) -> str:
    if not _TOPIC_PREFIX.fullmatch(value):
        raise ValueError("must be at most 100 letters, digits, dots, underscores and hyphens, as in eu.")
    return value


def _key_prefix(value: str) -> str:
    """Braces would put all keys of a cluster on one server."""
    if not _KEY_PREFIX.fullmatch(value):
        raise ValueError("must be at most 100 characters without spaces and braces, as in bellhouse:")
    return value


StoreUrl = Annotated[str, BeforeValidator(from_file), AfterValidator(_store_url)]
RedisUrl = Annotated[str, BeforeValidator(from_file), AfterValidator(_redis_url)]
Broker = Annotated[str, AfterValidator(_broker)]
TopicPrefix = Annotated[str, AfterValidator(_topic_prefix)]
KeyPrefix = Annotated[str, AfterValidator(_key_prefix)]


class Store(Section):
    """The store of the distributed mode: one PostgreSQL, or a primary with its standbys."""

    url: StoreUrl | None = setting(
        None,
        "postgresql://",
        "Where PostgreSQL is; unset: the file in the data folder. Of several hosts the one that takes writes is used",
        repr=False,
        examples=["postgresql://bellhouse@db-1:5432,db-2:5432/bellhouse"],
    )
    password: Secret | None = setting(
        None, "", "The user's password; it wins over one in the URL", examples=["@/run/secrets/store-password"]
    )
    tls: Literal["disable", "require", "verify-full"] = setting(
        "disable",
        "",
        "How the connection is sealed: `disable`, `require` (whoever answers), `verify-full` (the host proves itself)",
    )
    ca: Pem | None = setting(
        None,
        "PEM",
        "The authority that `verify-full` trusts in place of the system's, as text or as `@/path`",
        examples=["@/etc/bellhouse/store-ca.pem"],
    )
    pool: int = setting(10, "connections", "The most connections, for each process", ge=2, le=200)
    commit_timeout_s: float = setting(
        10.0, "s", "How long a commit may take before its callers are told that nobody knows", gt=0, le=300
    )
    statement_timeout_s: float = setting(30.0, "s", "After how long PostgreSQL gives a statement up", gt=0, le=3_600)
    partitions_ahead_days: int = setting(7, "days", "For how many days ahead partitions are made", ge=2, le=60)
    retention_days: int = setting(
        90,
        "days",
        "How long everything is kept; an older day goes whole when nothing in it is pending, its open dead letters are "
        "discarded",
        ge=1,
        le=3_650,
    )

    def contradictions(self) -> Iterator[Contradiction]:
        """A password without a server, an authority that nobody asks."""
        if self.password is not None and self.url is None:
            yield Contradiction("url", "is needed since store.password is set", "Set store.url", ("password",))
        if self.ca is not None and self.tls != "verify-full":
            remedy = 'Set store.tls = "verify-full", or leave the ca out'
            yield Contradiction("ca", f"is not used while store.tls is {self.tls}", remedy, ("tls",))


class KafkaCluster(Section):
    """Where a Kafka is, and how it is spoken to."""

    brokers: tuple[Broker, ...] = setting(
        (),
        "host:port",
        "Some of the brokers; the others are found from them",
        examples=[["kafka-1:9092", "kafka-2:9092"]],
    )
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = setting(
        "plaintext", "", "How the connection is sealed, and whether a user logs in"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        "SCRAM-SHA-512", "", "How the user logs in, where `security` has sasl"
    )
    username: str | None = setting(
        None, "", "The user, where `security` has sasl", min_length=1, examples=["bellhouse"]
    )
    password: Secret | None = setting(None, "", "The user's password", examples=["@/run/secrets/kafka-password"])
    ca: Pem | None = setting(
        None,
        "PEM",
        "The authority that is trusted in place of the system's, as text or as `@/path`",
        examples=["@/etc/bellhouse/kafka-ca.pem"],
    )

    def contradictions(self) -> Iterator[Contradiction]:
        """What `security` needs and lacks, or is given and does not use."""
        for name in ("username", "password"):
            given = getattr(self, name) is not None
            if given and not self.security.startswith("sasl"):
                remedy = 'Set security = "sasl_ssl", or leave it out'
                yield Contradiction(name, f"is not used while security is {self.security}", remedy, ("security",))
            if not given and self.security.startswith("sasl"):
                yield Contradiction(name, f"is needed since security is {self.security}", "", ("security",))
        if self.ca is not None and not self.security.endswith("ssl"):
            remedy = 'Set security = "ssl" or "sasl_ssl", or leave the ca out'
            yield Contradiction("ca", f"is not used while security is {self.security}", remedy, ("security",))


class KafkaLane(Section):
    """A Kafka of its own for a priority, which goes on while the others' is down or overrun. Unset brokers: the one of
    all; whatever else is unset is as in `[kafka]`."""

    brokers: tuple[Broker, ...] = setting(
        (),
        "host:port",
        "Some of the brokers; the others are found from them",
        examples=[["kafka-critical-1:9092", "kafka-critical-2:9092"]],
    )
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] | None = setting(
        None,
        "",
        "How the connection is sealed, and whether a user logs in; unset: as in `[kafka]`",
        examples=["sasl_ssl"],
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = setting(
        None,
        "",
        "How the user logs in, where `security` has sasl; unset: as in `[kafka]`",
        examples=["SCRAM-SHA-512"],
    )
    username: str | None = setting(
        None,
        "",
        "The user, where `security` has sasl; unset: as in `[kafka]`",
        min_length=1,
        examples=["bellhouse"],
    )
    password: Secret | None = setting(
        None, "", "The user's password; unset: as in `[kafka]`", examples=["@/run/secrets/kafka-critical-password"]
    )
    ca: Pem | None = setting(
        None,
        "PEM",
        "The authority that is trusted in place of the system's, as text or as `@/path`; unset: as in `[kafka]`",
        examples=["@/etc/bellhouse/kafka-critical-ca.pem"],
    )

    def contradictions(self) -> Iterator[Contradiction]:
        """A lane that says how but not where would silently share the others' Kafka."""
        if not self.brokers and self != KafkaLane():
            yield Contradiction("brokers", "is needed since others of this table are set", "")


class KafkaLanes(Section):
    """One table for each priority."""

    critical: KafkaLane = KafkaLane()
    high: KafkaLane = KafkaLane()
    normal: KafkaLane = KafkaLane()
    low: KafkaLane = KafkaLane()


class Kafka(KafkaCluster):
    """The log of the distributed mode."""

    topic_prefix: TopicPrefix = setting(
        "", "text", "Stands before every topic and group, as in `eu.` for a region of its own"
    )
    partitions: int = setting(
        20, "partitions", "Of each topic that is made; the most processes that can share its work", ge=1, le=1_000
    )
    replication: int = setting(
        3,
        "brokers",
        "How many keep each record of the topics that are made; as many as there are, where fewer",
        ge=1,
        le=9,
    )
    session_timeout_s: float = setting(
        10.0, "s", "After how long a silent process loses its partitions to the others", ge=6, le=1_800
    )
    lanes: KafkaLanes = KafkaLanes()

    def contradictions(self) -> Iterator[Contradiction]:
        """Those of this Kafka, and of each lane's together with what it takes from here."""
        yield from super().contradictions()
        for priority in PRIORITIES:
            yield from _of_lane(priority, getattr(self.lanes, priority), self.cluster_of(priority), self)

    def cluster_of(self, priority: Priority) -> KafkaCluster:
        """The Kafka that carries a priority: its lane's own, which speaks as this one does unless it says otherwise; or
        this one, the one of all."""
        lane: KafkaLane = getattr(self.lanes, priority)
        return KafkaCluster.model_construct(**_filled(lane, self)) if lane.brokers else self


class RedisServer(Section):
    """Where a Redis or Valkey is, and how it is spoken to."""

    url: RedisUrl | None = setting(
        None,
        "redis://",
        "Where Redis or Valkey is, `rediss://` for TLS",
        repr=False,
        examples=["redis://redis-0:6379/0"],
    )
    cluster: bool = setting(False, "", "Whether it is a Redis Cluster, whose other servers are found from the URL's")
    username: str | None = setting(
        None, "", "The user, where it is not the default one", min_length=1, examples=["bellhouse"]
    )
    password: Secret | None = setting(
        None, "", "The user's password; it wins over one in the URL", examples=["@/run/secrets/redis-password"]
    )
    ca: Pem | None = setting(
        None,
        "PEM",
        "The authority that is trusted in place of the system's, as text or as `@/path`",
        examples=["@/etc/bellhouse/redis-ca.pem"],
    )

    @property
    def database(self) -> int | None:
        """The database's number, where the URL has one."""
        found = _REDIS.fullmatch(self.url or "")
        number = (found["database"] or "").strip("/") if found else ""
        return int(number) if number else None

    @property
    def sealed(self) -> bool:
        """Whether it is spoken to by TLS."""
        return (self.url or "").startswith("rediss://")

    def contradictions(self) -> Iterator[Contradiction]:
        """A number where there is only database 0, an authority that nobody asks."""
        if self.cluster and self.database:
            reason = f"names database {self.database}, and a Redis Cluster has only 0"
            yield Contradiction("url", reason, "Leave out what follows the port", ("cluster",))
        if self.ca is not None and not self.sealed:
            yield Contradiction(
                "ca", "is not used without TLS", "Write the url with rediss://, or leave the ca out", ("url",)
            )


class RedisLane(Section):
    """A Redis of its own for the recipients' counts of a priority. Critical counts no recipient, so there it serves
    nothing: breakers and rates are a provider account's, which all priorities share. Unset url: the one of all;
    whatever else is unset is as in `[redis]`."""

    url: RedisUrl | None = setting(
        None,
        "redis://",
        "Where Redis or Valkey is, `rediss://` for TLS; with a user or a password in it, none is taken from `[redis]`",
        repr=False,
        examples=["redis://redis-1:6379/0"],
    )
    cluster: bool | None = setting(
        None,
        "",
        "Whether it is a Redis Cluster, whose other servers are found from the URL's; unset: as in `[redis]`",
        examples=[False],
    )
    username: str | None = setting(
        None,
        "",
        "The user, where it is not the default one; unset: as in `[redis]`",
        min_length=1,
        examples=["bellhouse"],
    )
    password: Secret | None = setting(
        None,
        "",
        "The user's password; it wins over one in the URL; unset: as in `[redis]`",
        examples=["@/run/secrets/redis-1-password"],
    )
    ca: Pem | None = setting(
        None,
        "PEM",
        "The authority that is trusted in place of the system's, as text or as `@/path`; unset: as in `[redis]`",
        examples=["@/etc/bellhouse/redis-1-ca.pem"],
    )

    def contradictions(self) -> Iterator[Contradiction]:
        """A lane that says how but not where would silently share the others' Redis."""
        if self.url is None and self != RedisLane():
            yield Contradiction("url", "is needed since others of this table are set", "")


class RedisLanes(Section):
    """One table for each priority."""

    critical: RedisLane = RedisLane()
    high: RedisLane = RedisLane()
    normal: RedisLane = RedisLane()
    low: RedisLane = RedisLane()


class Redis(RedisServer):
    """What processes share and may lose: counts, breakers, what was just read. Unset: each remembers for itself."""

    timeout_s: float = setting(0.25, "s", "How long an answer may take before one goes on without it", gt=0, le=10)
    prefix: KeyPrefix = setting("", "text", "Stands before every key, where others use the same database")
    lanes: RedisLanes = RedisLanes()

    def contradictions(self) -> Iterator[Contradiction]:
        """Those of this Redis, and of each lane's together with what it takes from here."""
        yield from super().contradictions()
        for priority in PRIORITIES:
            server = self.server_of(priority)
            yield from _of_lane(priority, getattr(self.lanes, priority), server, self)
            if self.password is not None and server.password is self.password and self.sealed and not server.sealed:
                reason = "would send the password of redis in clear text"
                remedy = "Write the url with rediss://, or give the lane a password of its own"
                beside = (f"lanes.{priority}.password", "url", "password")
                yield Contradiction(f"lanes.{priority}.url", reason, remedy, beside)

    def server_of(self, priority: Priority) -> RedisServer:
        """The Redis that serves a priority: its lane's own, which is spoken to as this one is unless it says otherwise;
        or this one, the one of all."""
        lane: RedisLane = getattr(self.lanes, priority)
        if lane.url is None:
            return self
        filled = _filled(lane, self)
        if "@" in lane.url:
            # Whose password the URL holds must not be logged in with another's.
            filled |= {"username": lane.username, "password": lane.password}
        return RedisServer.model_construct(**filled)


def _filled(lane: Section, main: Section) -> dict[str, Any]:
    """What a lane says, and what its main table says where it says nothing."""
    said = {name: getattr(lane, name) for name in type(lane).model_fields}
    return {name: getattr(main, name) if value is None else value for name, value in said.items()}


def _of_lane(priority: Priority, lane: Section, whole: Section, main: Section) -> Iterator[Contradiction]:
    """What cannot be together in a lane. What it only takes from the main table and does not use is no fault."""
    if whole is main:
        return
    for found in whole.contradictions():
        if getattr(lane, found.setting) is not None or getattr(whole, found.setting) is None:
            beside = tuple(name for other in found.beside for name in (f"lanes.{priority}.{other}", other))
            yield Contradiction(f"lanes.{priority}.{found.setting}", found.reason, found.remedy, beside)
