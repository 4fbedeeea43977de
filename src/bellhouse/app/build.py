"""Builds a role's services from its settings: the one place that knows what stands behind each port."""

import random
import socket
from collections.abc import Sequence

import msgspec

from bellhouse.adapters.cache.memory import MemoryCache
from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.app.gauges import AlwaysHeld, StoreGauges
from bellhouse.app.processes import Role
from bellhouse.app.providers import Clients, Making, make_accounts, used
from bellhouse.app.runner import Resource
from bellhouse.app.secrets import derived, pepper
from bellhouse.app.settings import Settings
from bellhouse.deliver.accounts import Accounts
from bellhouse.deliver.lane import Lane, LaneParts, LaneSettings
from bellhouse.deliver.prepare import Preparer
from bellhouse.deliver.recipient_rate import RecipientRate
from bellhouse.domain.ids import new_notification_ids, to_text
from bellhouse.domain.retry import RetryPolicy
from bellhouse.domain.words import CHANNELS, PRIORITIES, Priority
from bellhouse.observability.exporter import Exporter
from bellhouse.observability.merge import MetricsExchange
from bellhouse.observability.metrics import Metrics
from bellhouse.ops.reconcile import Reconciler
from bellhouse.outbox.due import DUE, DueReleaser
from bellhouse.outbox.parked import ParkedReleaser
from bellhouse.outbox.sweep import Sweeper
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import deliveries_topic, notifications_topic
from bellhouse.ports.provider import Answers
from bellhouse.ports.service import Service
from bellhouse.ports.telemetry import Logbook
from bellhouse.route.router import Router
from bellhouse.templates.render import Renderer
from bellhouse.web.codes import FIELD_CODES, PROBLEM_CODES

CRITICAL_PART = 0.3
"""The share of every configured rate that the process of the critical lane may use."""


class Parts(msgspec.Struct, frozen=True):
    """What a role is built from."""

    role: Role
    settings: Settings
    clock: Clock
    logbook: Logbook
    doorbell: LocalDoorbell
    listener: socket.socket | None
    """The bound socket of the API, for the roles that serve it."""


def priorities_of(role: Role) -> tuple[Priority, ...]:
    """The lanes of a role: critical stands beside the API, in the process that does not do the bulk of the work."""
    match role:
        case "api":
            return ("critical",)
        case "bulk":
            return tuple(priority for priority in PRIORITIES if priority != "critical")
        case _:
            return PRIORITIES


def topics_of(role: Role) -> frozenset[str]:
    """What is waited for in a role's process; everything else rings at the other one."""
    topics = {notifications_topic(p) for p in priorities_of(role)}
    topics |= {deliveries_topic(c, p) for c in CHANNELS for p in priorities_of(role)}
    return frozenset(topics if role == "api" else topics | {DUE})


def build(parts: Parts) -> Sequence[Service]:
    """A role's services, in the order in which they are started. Raises StoreUnavailable, ValueError."""
    settings = parts.settings
    store = SqliteStore(settings.database, parts.doorbell, settings.batches.checkpoint_pages)
    metrics = Metrics(parts.role, parts.clock.now())
    exchange = MetricsExchange(metrics, settings.data / "run", parts.clock, parts.logbook)
    making = Making(settings, _public_url(parts), derived(pepper(settings.data), "receipts"), store, parts.clock)
    services: list[Service] = [Resource("store", stop=lambda: _close(store)), exchange]
    owner = to_text(new_notification_ids(parts.clock.now(), 1)[0])
    renderer = Renderer()
    metrics.register("provider", list(used(settings)))
    metrics.register("type", store.catalogue.type_names())
    metrics.register("reject_reason", [*PROBLEM_CODES, *FIELD_CODES])
    critical, others = (parts.role != "bulk"), (parts.role != "api")
    if critical:
        services += _lanes(parts, store, metrics, renderer, making, owner, ("critical",), CRITICAL_PART)[0]
    if others:
        services += _bulk(parts, store, metrics, renderer, making, f"{owner}-bulk")
    if critical:
        # The web framework is a third of a process's imports, and a role without the API starts again sooner.
        from bellhouse.app.face import Ground, face  # noqa: PLC0415

        assert parts.listener is not None
        ground = Ground(parts.role, store, metrics, exchange, renderer, making, parts.clock, parts.logbook)
        services += face(ground, parts.listener)
    return services


async def _close(store: SqliteStore) -> None:
    store.close()


def _public_url(parts: Parts) -> str:
    if parts.settings.public_url is not None:
        return parts.settings.public_url
    return f"http://{parts.settings.host}:{parts.settings.port}"


def _lanes(
    parts: Parts,
    store: SqliteStore,
    metrics: Metrics,
    renderer: Renderer,
    making: Making,
    owner: str,
    priorities: Sequence[Priority],
    part: float,
) -> tuple[list[Service], Accounts]:
    """Routers and workers of some priorities, with provider accounts of their own."""
    settings, clock, logbook = parts.settings, parts.clock, parts.logbook
    accounts, providers = make_accounts(making, logbook, owner, part)
    services: list[Service] = [Clients(providers)]
    recipient_rate = RecipientRate(MemoryCache(clock), settings.limits.recipient_per_minute)
    can_be_asked = frozenset(p.sheet.name for p in providers if isinstance(p, Answers))
    retry = RetryPolicy(settings.retry.base_ms, settings.retry.cap_ms, settings.retry.max_attempts)
    for priority in priorities:
        router = Router(
            priority, store.route, store.catalogue, store.log, clock, metrics, logbook, settings.batches.route
        )
        services.append(router)
        lane = LaneParts(
            store.deliver,
            store.log,
            clock,
            metrics,
            logbook,
            Preparer(store.catalogue, renderer, can_be_asked, retry),
            accounts,
            retry,
            random.random,
            _lane_settings(settings, priority),
            recipient_rate,
        )
        services += [Lane(channel, priority, lane) for channel in CHANNELS]
    return services, accounts


def _lane_settings(settings: Settings, priority: Priority) -> LaneSettings:
    match priority:
        case "critical":
            return LaneSettings(batch=settings.batches.deliver, settle_pause_s=0.002)
        case "low":
            return LaneSettings(batch=settings.batches.deliver_low)
        case _:
            return LaneSettings(batch=settings.batches.deliver)


def _bulk(
    parts: Parts, store: SqliteStore, metrics: Metrics, renderer: Renderer, making: Making, owner: str
) -> list[Service]:
    """Everything of which there is one in the house, and the lanes that are not critical."""
    clock, logbook, batches = parts.clock, parts.logbook, parts.settings.batches
    lanes, accounts = _lanes(parts, store, metrics, renderer, making, owner, priorities_of("bulk"), 1.0 - CRITICAL_PART)
    reconciler = Reconciler(store.insights, clock, logbook)
    gauges = StoreGauges(store, reconciler, {str(name): channels for name, channels in used(parts.settings).items()})
    return [
        *lanes,
        DueReleaser(store.due, parts.doorbell, clock, logbook, batches.due),
        ParkedReleaser(store.due, accounts, clock, logbook),
        Sweeper(store.log, store.ingest, clock, logbook),
        reconciler,
        Exporter(gauges, AlwaysHeld(), metrics, clock, logbook),
    ]
