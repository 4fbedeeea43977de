"""Tries the engines of the distributed mode for real: whether each answers, what it is, and what to do if it does not.

Each is reached by what the roles reach it by, so that what is found here holds for them.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any, Final, Literal

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from bellhouse.adapters.cache.redis_link import Command, RedisConfig, RedisLink
from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.log.kafka.config import KafkaConfig, connection
from bellhouse.adapters.store.postgres import PostgresConfig
from bellhouse.adapters.store.postgres.database import Database
from bellhouse.app.engines import kafka_config, kafka_lanes, postgres_config
from bellhouse.app.engines_sections import RedisServer
from bellhouse.app.settings import Settings
from bellhouse.domain.words import PRIORITIES
from bellhouse.ports.cache import CacheUnavailable
from bellhouse.ports.store.errors import StoreUnavailable

PATIENCE_S: Final = 5.0
OLDEST_POSTGRESQL: Final = 15

_ASK_REDIS: Final = Command(b"", ("INFO", "server"))


class Finding(msgspec.Struct, frozen=True):
    """What was found where an engine should be."""

    engine: Literal["store", "kafka", "redis"]
    table: str
    """The table of settings that names it."""
    usable: bool
    words: str
    """What answered, or what went wrong; never a password."""
    remedy: str = ""


async def reachable(settings: Settings, patience_s: float = PATIENCE_S) -> list[Finding]:
    """Try every engine that the settings name, all at once; takes little more than `patience_s` seconds."""
    return list(await asyncio.gather(*_trials(settings, patience_s)))


def _trials(settings: Settings, patience_s: float) -> Iterator[Awaitable[Finding]]:
    if settings.store.url is not None:
        yield reach_store(postgres_config(settings), patience_s)
    if settings.kafka.brokers:
        yield reach_kafka(kafka_config(settings), "kafka", patience_s)
    for priority, config in kafka_lanes(settings).items():
        yield reach_kafka(config, f"kafka.lanes.{priority}", patience_s)
    if settings.redis.url is not None:
        yield reach_redis(_redis_config(settings.redis, patience_s), "redis")
    for priority in PRIORITIES:
        server = settings.redis.server_of(priority)
        if server is not settings.redis:
            yield reach_redis(_redis_config(server, patience_s), f"redis.lanes.{priority}")


async def reach_store(config: PostgresConfig, patience_s: float = PATIENCE_S) -> Finding:
    """Log in to PostgreSQL and ask what it is: one that takes writes, and not too old."""
    database = Database(config)
    try:
        await database.open()
        async with asyncio.timeout(patience_s), database.connection() as lent:
            version = lent.get_server_version()
    except StoreUnavailable as down:
        # The store's own remedies are for a platform that ran a moment ago.
        return _store_down(down.__cause__ or down, patience_s)
    except (OSError, ValueError) as error:
        return _store_down(error, patience_s)
    finally:
        await database.close()
    words = f"PostgreSQL {version.major}.{version.minor}, takes writes"
    if version.major < OLDEST_POSTGRESQL:
        return Finding("store", "store", False, words, f"Upgrade it: the oldest that will do is {OLDEST_POSTGRESQL}")
    return Finding("store", "store", True, words)


def _store_down(error: BaseException, patience_s: float) -> Finding:
    return Finding("store", "store", False, _said(error, patience_s), _store_remedy(error))


def _store_remedy(error: BaseException) -> str:
    match type(error).__name__:
        case "InvalidPasswordError" | "InvalidAuthorizationSpecificationError":
            return "Compare the user and store.password with pg_hba.conf and the role's password"
        case "InvalidCatalogNameError":
            return "Create the database, or name another one at the end of store.url"
        case "TargetServerAttributeNotMatched":
            return "Name the primary in store.url as well: only standbys answered"
        case _ if "SSL" in str(error):
            return "Compare store.tls and store.ca with the server's certificate and the host's name in store.url"
        case _:
            return "Is PostgreSQL up, and do host and port in store.url lead to it?"


async def reach_kafka(config: KafkaConfig, table: str, patience_s: float = PATIENCE_S) -> Finding:
    """Ask Kafka for its brokers and topics."""
    heard: list[str] = []

    def ask() -> tuple[int, int]:
        # Its own log goes to standard error whoever asks; what it has to say comes by the callback as well.
        quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda error: heard.append(str(error.str()))}
        client = AdminClient({**connection(config), **quiet})
        try:
            found = client.list_topics(timeout=patience_s)
        finally:
            client.poll(0)
        return len(found.brokers), len(found.topics)

    try:
        # The driver blocks: on a thread several engines are tried at once.
        brokers, topics = await asyncio.to_thread(ask)
    except KafkaException as error:
        # What it heard from the broker says more than that it gave up.
        telling = [words for words in heard if "brokers are down" not in words]
        words = telling[-1] if telling else str(error.args[0].str())
        return Finding("kafka", table, False, words, _kafka_remedy(words.lower(), table))
    return Finding("kafka", table, True, f"Kafka with {_count(brokers, 'broker')} and {_count(topics, 'topic')}")


def _kafka_remedy(words: str, table: str) -> str:
    if "authentication" in words:
        return f"Compare username, password and sasl_mechanism under [{table}] with the user that Kafka knows"
    if "ssl" in words or "certificate" in words or "disconnected" in words:
        return f"Compare security and ca under [{table}] with the broker's listener"
    return f"Is Kafka up, and do brokers and security under [{table}] lead to its listener for clients?"


async def reach_redis(config: RedisConfig, table: str) -> Finding:
    """Log in to Redis or Valkey and ask what it is."""
    link = RedisLink(config, SystemClock())
    try:
        (answer,) = await link.run([_ASK_REDIS])
    except CacheUnavailable as down:
        return Finding("redis", table, False, str(down), _redis_remedy(str(down).lower(), table))
    finally:
        await link.close()
    facts = _facts(answer)
    name = "Valkey" if "valkey_version" in facts else "Redis"
    words = f"{name} {facts.get('valkey_version') or facts.get('redis_version', 'of an unknown version')}"
    if "cluster" in (facts.get("redis_mode"), facts.get("server_mode")) and not config.cluster:
        return Finding("redis", table, False, f"{words}, and it is a cluster", f"Set cluster = true under [{table}]")
    return Finding("redis", table, True, f"{words}, a cluster" if config.cluster else words)


def _redis_config(server: RedisServer, patience_s: float) -> RedisConfig:
    password = None if server.password is None else server.password.get_secret_value()
    ca = None if server.ca is None else server.ca.encode()
    return RedisConfig(server.url or "", server.cluster, server.username, password, ca, patience_s)


def _facts(answer: bytes) -> dict[str, str]:
    """Redis's `name:value` lines."""
    lines = (line.partition(":") for line in answer.decode(errors="replace").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _redis_remedy(words: str, table: str) -> str:
    if "ssl" in words or "certificate" in words:
        return f"Compare the url's scheme and ca under [{table}] with the server's certificate"
    if "password" in words or "auth" in words or "permission" in words:
        return f"Compare username and password under [{table}] with the server's users and what they may do"
    if "cluster" in words:
        return f"Set cluster = false under [{table}], or name a server of a cluster"
    return f"Is Redis up, and does the url under [{table}] lead to it, with rediss:// where it speaks TLS?"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _said(error: BaseException, patience_s: float) -> str:
    """The driver's reason in one line."""
    if isinstance(error, TimeoutError):
        return f"no answer within {patience_s:g} s"
    return " ".join(str(error).split()) or type(error).__name__
