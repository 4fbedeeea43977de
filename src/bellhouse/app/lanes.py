"""Routers and workers from the settings: the same in one process and in many."""

import random
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from bellhouse.app.probes import make_prober
from bellhouse.app.providers import Making
from bellhouse.app.settings import Settings
from bellhouse.app.stores import Store
from bellhouse.deliver.accounts import Accounts
from bellhouse.deliver.lane import Lane, LaneParts, LaneSettings
from bellhouse.deliver.levers import ReadPulled, nothing_pulled
from bellhouse.deliver.prepare import Preparer
from bellhouse.deliver.recipient_rate import RecipientRate
from bellhouse.deliver.sender import at_once
from bellhouse.domain.retry import RetryPolicy
from bellhouse.domain.words import CHANNELS, Channel, Priority
from bellhouse.observability.metrics import Metrics
from bellhouse.ops.probes import Probes
from bellhouse.ports.cache import Cache
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import Log
from bellhouse.ports.provider import Answers
from bellhouse.ports.service import Service
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.telemetry import Lease, Logbook
from bellhouse.ports.tracing import NO_TRACING, Tracing
from bellhouse.route.router import Router
from bellhouse.templates.render import Renderer


class LaneGround(msgspec.Struct, frozen=True):
    """What the routers and workers of a process share."""

    settings: Settings
    store: Store
    catalogue: CatalogueStore
    log: Log
    cache: Callable[[Priority], Cache]
    clock: Clock
    metrics: Metrics
    logbook: Logbook
    renderer: Renderer
    making: Making
    trusted: Callable[[], Awaitable[None]] = at_once
    pulled: ReadPulled = nothing_pulled
    tracing: Tracing = NO_TRACING


def routers(ground: LaneGround, priorities: Sequence[Priority]) -> list[Service]:
    """A router for each of these priorities."""
    return [
        Router(
            priority,
            ground.store.route,
            ground.catalogue,
            ground.log,
            ground.clock,
            ground.metrics,
            ground.logbook,
            ground.settings.batches.route,
            ground.tracing,
        )
        for priority in priorities
    ]


def probing(ground: LaneGround, lease: Lease) -> list[Service]:
    """The service that probes every channel again and again, where the settings ask for it."""
    given = ground.settings.probes
    if not given.enabled:
        return []
    prober = make_prober(ground.making, ground.metrics, ground.logbook)
    return [Probes(prober, given.every_s, lease, ground.clock, ground.logbook)]


def lanes(
    ground: LaneGround,
    accounts: Accounts,
    priorities: Sequence[Priority],
    channels: Sequence[Channel] = CHANNELS,
) -> list[Service]:
    """A worker for each of these channels and priorities, which send through these accounts."""
    settings = ground.settings
    can_be_asked = frozenset(account.name for account in accounts.each() if isinstance(account.provider, Answers))
    retry = RetryPolicy(settings.retry.base_ms, settings.retry.cap_ms, settings.retry.max_attempts)
    services: list[Service] = []
    rates: dict[Cache, RecipientRate] = {}
    for priority in priorities:
        cache = ground.cache(priority)
        rate = rates.setdefault(cache, RecipientRate(cache, settings.limits.recipient_per_minute))
        parts = LaneParts(
            ground.store.deliver,
            ground.log,
            ground.clock,
            ground.metrics,
            ground.logbook,
            Preparer(ground.catalogue, ground.renderer, can_be_asked, retry),
            accounts,
            retry,
            random.random,
            _lane_settings(settings, priority),
            rate,
            ground.trusted,
            ground.pulled,
            ground.tracing,
        )
        services += [Lane(channel, priority, parts) for channel in channels]
    return services


def _lane_settings(settings: Settings, priority: Priority) -> LaneSettings:
    match priority:
        case "critical":
            return LaneSettings(batch=settings.batches.deliver, settle_pause_s=0.002)
        case "low":
            return LaneSettings(batch=settings.batches.deliver_low)
        case _:
            return LaneSettings(batch=settings.batches.deliver)
