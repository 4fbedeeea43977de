"""Builds a role's services from its settings: the one place that knows what stands behind each port."""

import socket
from collections.abc import Sequence

import msgspec

from bellhouse.adapters.cache.memory import MemoryCache
from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.app.gauges import GaugeSources, Silences, StoreGauges
from bellhouse.app.lanes import LaneGround, lanes, probing, routers
from bellhouse.app.leases import AlwaysHeld
from bellhouse.app.processes import Role
from bellhouse.app.providers import Clients, Making, balances_of, make_accounts, public_url, silence_settings, used
from bellhouse.app.readiness import Backlog, backlog_of_log, readiness_of, volume_of
from bellhouse.app.runner import Resource
from bellhouse.app.secrets import derived, pepper
from bellhouse.app.settings import Settings
from bellhouse.app.tracing import make_tracing
from bellhouse.app.vitals import Vitals
from bellhouse.app.watch import LabelNames
from bellhouse.deliver.levers import LeverWatch
from bellhouse.deliver.silence_watch import AcceptanceTeller, SilenceWatch
from bellhouse.domain.ids import new_notification_ids, to_text
from bellhouse.domain.words import CHANNELS, PRIORITIES, Priority
from bellhouse.observability.exporter import Exporter
from bellhouse.observability.merge import MetricsExchange
from bellhouse.observability.metrics import Metrics
from bellhouse.observability.skew import Skew
from bellhouse.ops.reconcile import Reconciler
from bellhouse.outbox.due import DueReleaser
from bellhouse.outbox.held import HeldReleaser
from bellhouse.outbox.parked import ParkedReleaser
from bellhouse.outbox.sweep import Sweeper
from bellhouse.ports.clock import Clock
from bellhouse.ports.doorbell import DUE
from bellhouse.ports.log import deliveries_topic, notifications_topic
from bellhouse.ports.service import Service
from bellhouse.ports.telemetry import Logbook
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
    skew = Skew()
    making = Making(
        settings, public_url(settings), derived(pepper(settings.data), "receipts"), store, parts.clock, skew
    )

    async def file() -> None:
        store.database.probe()

    watch = LeverWatch(store.levers, store.catalogue, parts.clock, parts.logbook)
    services: list[Service] = [
        Resource("store", stop=lambda: _close(store)),
        exchange,
        Vitals({"store": file, "log": file}, settings.data, skew, metrics, parts.clock),
        watch,
        LabelNames(store.catalogue, metrics, parts.clock),
    ]
    owner = to_text(new_notification_ids(parts.clock.now(), 1)[0])
    tracing, traces = make_tracing(
        settings.traces, f"{parts.role}-{owner[-12:]}", store.insights, parts.clock, metrics, parts.logbook
    )
    services += traces
    renderer = Renderer()
    cache = MemoryCache(parts.clock)
    ground = LaneGround(
        settings,
        store,
        store.catalogue,
        store.log,
        lambda _: cache,
        parts.clock,
        metrics,
        parts.logbook,
        renderer,
        making,
        pulled=watch.now,
        tracing=tracing,
    )
    metrics.register("provider", list(used(settings)))
    metrics.register("reject_reason", [*PROBLEM_CODES, *FIELD_CODES])
    critical, others = (parts.role != "bulk"), (parts.role != "api")
    if critical:
        accounts, clients = make_accounts(
            making, store.catalogue, parts.logbook, owner, CRITICAL_PART, pulled=watch.now
        )
        services += [Clients(clients), AcceptanceTeller(accounts, store.signs, parts.clock, "acceptances-critical")]
        services += lanes(ground, accounts, ("critical",))
        services += routers(ground, ("critical",))
    if others:
        services += _bulk(parts, store, metrics, ground, f"{owner}-bulk")
    if critical:
        # The web framework is a third of a process's imports, and a role without the API starts again sooner.
        from bellhouse.app.face import Ground, face  # noqa: PLC0415

        assert parts.listener is not None
        services += face(
            Ground(
                store,
                store.catalogue,
                store.log,
                metrics,
                exchange.exposition,
                renderer,
                making,
                pepper(settings.data),
                readiness_of(store, settings, parts.role, parts.clock),
                Backlog(backlog_of_log(store.log), parts.clock),
                parts.clock,
                parts.logbook,
                volume_of(settings.data),
                tracing,
            ),
            parts.listener,
        )
    return services


async def _close(store: SqliteStore) -> None:
    store.close()


def _bulk(parts: Parts, store: SqliteStore, metrics: Metrics, ground: LaneGround, owner: str) -> list[Service]:
    """Everything of which there is one in the house, and the lanes that are not critical."""
    clock, logbook, batches = parts.clock, parts.logbook, parts.settings.batches
    accounts, clients = make_accounts(
        ground.making, store.catalogue, logbook, owner, 1.0 - CRITICAL_PART, pulled=ground.pulled
    )
    reconciler = Reconciler(store.insights, AlwaysHeld(), clock, logbook)
    silence = silence_settings(parts.settings)
    balances = balances_of(parts.settings, clients, AlwaysHeld(), clock, logbook)
    sources = GaugeSources(
        store.log,
        store.catalogue,
        store.dead_letters,
        store.due,
        None,
        clock,
        store.database.wal_bytes,
        silences=Silences(accounts.sheets, store.signs, silence),
        balances=balances.read,
        signs=store.signs,
        levers=store.levers,
    )
    gauges = StoreGauges(sources, reconciler, {str(name): channels for name, channels in used(parts.settings).items()})
    return [
        *routers(ground, priorities_of("bulk")),
        Clients(clients),
        AcceptanceTeller(accounts, store.signs, clock),
        balances,
        SilenceWatch(accounts.sheets, store.signs, store.catalogue, AlwaysHeld(), clock, logbook, silence),
        *lanes(ground, accounts, priorities_of("bulk")),
        DueReleaser(store.due, parts.doorbell, clock, logbook, batches.due),
        ParkedReleaser(store.due, accounts, AlwaysHeld(), clock, logbook),
        HeldReleaser(
            store.levers, lambda scope: ground.pulled().pauses_scope(scope), accounts.rate, AlwaysHeld(), clock, logbook
        ),
        Sweeper(store.log, store.ingest, AlwaysHeld(), clock, logbook),
        reconciler,
        Exporter(gauges, AlwaysHeld(), metrics, clock, logbook),
        *probing(ground, AlwaysHeld()),
    ]
