"""The engines' adapters as the settings describe them."""

from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from bellhouse.adapters.cache.circuits import RedisBreakers
from bellhouse.adapters.cache.memory import MemoryCache
from bellhouse.adapters.cache.redis import RedisCache
from bellhouse.adapters.cache.redis_link import RedisConfig, RedisLink
from bellhouse.adapters.log.kafka import KafkaConfig
from bellhouse.adapters.store.postgres import PostgresConfig
from bellhouse.app.engines_sections import KafkaCluster, RedisServer
from bellhouse.app.settings import Settings
from bellhouse.domain.words import PRIORITIES, Priority
from bellhouse.ports.cache import Cache
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.providers import BreakerStore


def postgres_config(settings: Settings) -> PostgresConfig:
    """The store's. The settings name one (`needs.distributed_faults`)."""
    store = settings.store
    return PostgresConfig(
        store.url or "",
        store.pool,
        _clear(store.password),
        store.tls,
        store.ca,
        store.commit_timeout_s,
        store.statement_timeout_s,
    )


def kafka_config(settings: Settings) -> KafkaConfig:
    """The log's, for all that has none of its own."""
    return _kafka(settings, settings.kafka)


def kafka_lanes(settings: Settings) -> Mapping[Priority, KafkaConfig]:
    """The clusters of priorities that have their own."""
    own = {priority: settings.kafka.cluster_of(priority) for priority in PRIORITIES}
    return {p: _kafka(settings, cluster) for p, cluster in own.items() if cluster is not settings.kafka}


def _kafka(settings: Settings, cluster: KafkaCluster) -> KafkaConfig:
    kafka = settings.kafka
    return KafkaConfig(
        brokers=cluster.brokers,
        security=cluster.security,
        sasl_mechanism=cluster.sasl_mechanism,
        username=cluster.username or "",
        password=_clear(cluster.password) or "",
        ca_pem=cluster.ca or "",
        topic_prefix=kafka.topic_prefix,
        partitions=kafka.partitions,
        replication=kafka.replication,
        session_timeout_s=kafka.session_timeout_s,
        instance=settings.instance,
    )


def redis_config(settings: Settings, server: RedisServer) -> RedisConfig:
    """How one of the Redises is reached."""
    return RedisConfig(
        server.url or "",
        server.cluster,
        server.username,
        _clear(server.password),
        server.ca.encode() if server.ca else None,
        settings.redis.timeout_s,
        settings.redis.prefix,
    )


class Redises:
    """The Redis of all, and those of priorities that have their own; without any each process remembers for itself."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        redis = settings.redis
        self._clock = clock
        self._links: list[RedisLink] = []
        self._caches: list[RedisCache] = []
        self._breakers: RedisBreakers | None = None
        self._main = self._link(settings, redis)
        self._cache: Cache = MemoryCache(clock) if self._main is None else self._cached(self._main)
        self._lanes: dict[Priority, Cache] = {}
        for priority in PRIORITIES:
            server = redis.server_of(priority)
            link = self._link(settings, server) if server is not redis else None
            if link is not None:
                self._lanes[priority] = self._cached(link)

    def _link(self, settings: Settings, server: RedisServer) -> RedisLink | None:
        if server.url is None:
            return None
        link = RedisLink(redis_config(settings, server), self._clock)
        self._links.append(link)
        return link

    def _cached(self, link: RedisLink) -> RedisCache:
        cache = RedisCache(link)
        self._caches.append(cache)
        return cache

    @property
    def cache(self) -> Cache:
        """What is not of one priority."""
        return self._cache

    @property
    def any(self) -> bool:
        """Whether there is a Redis at all."""
        return bool(self._caches)

    async def probe(self) -> None:
        """Raise CacheUnavailable unless every Redis answers."""
        for cache in self._caches:
            await cache.get(("probe:vitals",))

    def of(self, priority: Priority) -> Cache:
        """The cache of a lane."""
        return self._lanes.get(priority, self._cache)

    def breakers(self, durable: BreakerStore, providers: Sequence[str]) -> BreakerStore:
        """Where the state of these providers' breakers is; in the durable store itself where there is no Redis."""
        if self._main is None:
            return durable
        self._breakers = RedisBreakers(self._main, durable, self._clock, providers)
        return self._breakers

    async def close(self) -> None:
        """Close every connection. Calling it twice is lawful."""
        if self._breakers is not None:
            await self._breakers.close()
        for cache in self._caches:
            await cache.close()
        links, self._links = self._links, []
        for link in links:
            await link.close()


def _clear(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
