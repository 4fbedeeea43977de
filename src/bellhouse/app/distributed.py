"""Builds the services of a distributed role: the same stages on PostgreSQL, Kafka and Redis."""

import os
import socket
from collections.abc import Sequence

import msgspec

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.log.kafka import KafkaConfig, KafkaLog
from bellhouse.adapters.store.postgres import PostgresStore
from bellhouse.adapters.store.postgres.migrate import steps
from bellhouse.app.engines import Redises, kafka_config, kafka_lanes, postgres_config
from bellhouse.app.gauges import GaugeSources, Silences, StoreGauges
from bellhouse.app.lanes import LaneGround, lanes, probing, routers
from bellhouse.app.leases import Membership, StoreLease
from bellhouse.app.providers import Clients, Making, balances_of, make_accounts, public_url, silence_settings, used
from bellhouse.app.roles import Play
from bellhouse.app.runner import Resource
from bellhouse.app.secrets import derived
from bellhouse.app.settings import Settings
from bellhouse.app.side_door import side_door
from bellhouse.app.tracing import make_tracing
from bellhouse.app.vitals import Probe, Vitals
from bellhouse.app.watch import BacklogTeller, LabelNames, LogWatch, backlog_of_store, readiness_of_role
from bellhouse.deliver.levers import LeverWatch
from bellhouse.deliver.shares import SharedRates
from bellhouse.deliver.silence_watch import AcceptanceTeller, SilenceWatch
from bellhouse.domain.ids import new_notification_ids, to_text
from bellhouse.domain.words import PRIORITIES, Priority
from bellhouse.observability.alone import OwnExposition
from bellhouse.observability.exporter import Exporter
from bellhouse.observability.metrics import Metrics
from bellhouse.observability.produced import CountedPublisher
from bellhouse.observability.skew import Skew
from bellhouse.ops.reconcile import Reconciler
from bellhouse.outbox.due import DueReleaser
from bellhouse.outbox.held import HeldReleaser
from bellhouse.outbox.parked import ParkedReleaser
from bellhouse.outbox.relay import Relay
from bellhouse.outbox.sweep import Sweeper
from bellhouse.outbox.upkeep import Upkeep
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import OutboxLane
from bellhouse.ports.provider import HasBalance
from bellhouse.ports.service import Service
from bellhouse.ports.store.processes import Member
from bellhouse.ports.store.waiting import DueStore
from bellhouse.ports.telemetry import Dependency, Logbook
from bellhouse.templates.render import Renderer
from bellhouse.web.codes import FIELD_CODES, PROBLEM_CODES


class Stage(msgspec.Struct, frozen=True):
    """What a distributed process is built from."""

    play: Play
    settings: Settings
    pepper: bytes
    clock: Clock
    logbook: Logbook
    listener: socket.socket
    """The bound socket of the API, or of health and metrics."""
    version: str


class _Ground:
    """The parts that the services of a process share."""

    def __init__(self, stage: Stage) -> None:
        settings, clock, logbook = stage.settings, stage.clock, stage.logbook
        self.stage = stage
        self.process = to_text(new_notification_ids(clock.now(), 1)[0])
        self.log = KafkaLog(kafka_config(settings), kafka_lanes(settings), clock, logbook)
        self.metrics = Metrics(stage.play.label, clock.now())
        self.publisher = CountedPublisher(self.log, self.metrics)
        self.bells = LocalDoorbell()
        self.store = self.store_of_its_own()
        self.exposition = OwnExposition(self.metrics, clock)
        member = Member(
            self.process,
            stage.play.role,
            stage.play.lanes,
            socket.gethostname(),
            os.getpid(),
            clock.now(),
            stage.version,
            steps()[-1].number,
        )
        self.tracing, self.traces = make_tracing(
            settings.traces,
            f"{stage.play.label}-{self.process[-12:]}",
            self.store.insights,
            clock,
            self.metrics,
            logbook,
        )
        self.membership = Membership(member, self.store.members, clock, logbook, settings.lease_s)
        self.redises = Redises(settings, clock)
        self.breakers = self.redises.breakers(self.store.catalogue, list(used(settings)))
        self.making = Making(settings, public_url(settings), derived(stage.pepper, "receipts"), self.store, clock)
        self.renderer = Renderer()
        self.watch = LogWatch(self.log, stage.play.topics, clock)
        self.levers = LeverWatch(self.store.levers, self.store.catalogue, clock, stage.logbook)
        self._leases: list[StoreLease] = []

    def store_of_its_own(self) -> PostgresStore:
        """A view of the store with connections of its own: a lane that has them never waits for another's."""
        settings, clock = self.stage.settings, self.stage.clock
        config, days = postgres_config(settings), settings.store.partitions_ahead_days
        return PostgresStore(config, self.publisher, self.bells, clock, self.process, days)

    def further_store(self) -> PostgresStore:
        """One more such view, which rings for the same listeners as the process's first."""
        store = self.store_of_its_own()
        store.database.ring = self.store.doorbell.ring
        return store

    def lease(self, name: str) -> StoreLease:
        """What only its holder does; given back when the process ends in good order."""
        lease = StoreLease(name, self.store.members, self.stage.clock)
        self._leases.append(lease)
        return lease

    async def _give_back(self) -> None:
        for lease in self._leases:
            await lease.release()

    def _vitals(self) -> Vitals:
        skew, clock = Skew(), self.stage.clock

        async def store() -> None:
            asked_at = clock.now()
            theirs = await self.store.clock()
            skew.add("store", asked_at, clock.now(), theirs, clock.monotonic())

        probes: dict[Dependency, Probe] = {"store": store, "log": self.watch.probe}
        if self.redises.any:
            probes["cache"] = self.redises.probe
        return Vitals(probes, self.stage.settings.data, skew, self.metrics, clock)

    def resources(self) -> list[Service]:
        """What everything else stands on, in the order in which it is opened."""
        return [
            Resource("log", stop=self.log.stop),
            Resource("redis", stop=self.redises.close),
            Resource("store", start=self.store.open, stop=self.store.close),
            *self.traces,
            self.membership,
            self._vitals(),
            Resource("leases", stop=self._give_back),
            self.store.doorbell,
            self.levers,
            LabelNames(self.store.catalogue, self.metrics, self.stage.clock),
        ]


def build(stage: Stage) -> Sequence[Service]:
    """A role's services, in the order in which they are started."""
    ground = _Ground(stage)
    play, settings = stage.play, stage.settings
    ground.metrics.register("provider", list(used(settings)))
    ground.metrics.register("reject_reason", [*PROBLEM_CODES, *FIELD_CODES])
    services = ground.resources()
    stores = _stores(ground)
    services += [_opened("store-critical", store) for store, _ in stores if store is not ground.store]
    carrier = _carrier(ground)
    if carrier is not ground.store:
        services.append(_opened("store-carrier", carrier))
    if play.plays("relay"):
        services += _relays(ground, carrier)
    if play.plays("router"):
        services += [s for store, lot in stores for s in routers(_lane_ground(ground, store), lot)]
    if play.plays("worker"):
        services += _workers(ground, stores)
    if play.plays("scheduler"):
        services += _scheduler(ground, carrier)
    if play.plays("exporter"):
        services += _exporter(ground)
    services += _doors(ground)
    return services


def _carrier(ground: _Ground) -> PostgresStore:
    """The view of the store of what carries records into the log. It holds a transaction for as long as the log does
    not answer, so where the process plays other roles too, those have connections beside it."""
    if ground.stage.play.role != "all":
        return ground.store
    return ground.further_store()


def _relays(ground: _Ground, carrier: PostgresStore) -> list[Service]:
    """One for each priority of this process; the feed has one in every process that relays, whatever is shared out."""
    stage = ground.stage
    loops: tuple[OutboxLane, ...] = (*stage.play.priorities, "feed")
    return [Relay(lane, carrier.outbox, ground.store.doorbell, stage.clock, stage.logbook) for lane in loops]


def _stores(ground: _Ground) -> list[tuple[PostgresStore, tuple[Priority, ...]]]:
    """Each view of the store with the priorities that work on it: where one process has critical among others, critical
    has connections of its own."""
    play = ground.stage.play
    others = tuple(priority for priority in play.priorities if priority != "critical")
    if not others or len(others) == len(play.priorities) or not play.lanes:
        return [(ground.store, play.priorities)]
    return [(ground.further_store(), ("critical",)), (ground.store, others)]


def _opened(name: str, store: PostgresStore) -> Service:
    return Resource(name, start=store.open, stop=store.close)


def _lane_ground(ground: _Ground, store: PostgresStore) -> LaneGround:
    stage = ground.stage
    return LaneGround(
        stage.settings,
        store,
        store.catalogue,
        ground.log,
        ground.redises.of,
        stage.clock,
        ground.metrics,
        stage.logbook,
        ground.renderer,
        ground.making,
        ground.membership.trusted,
        ground.levers.now,
        tracing=ground.tracing,
    )


def _workers(ground: _Ground, stores: Sequence[tuple[PostgresStore, tuple[Priority, ...]]]) -> list[Service]:
    stage = ground.stage
    channels = stage.play.channels
    accounts, clients = make_accounts(
        ground.making, ground.breakers, stage.logbook, ground.process, 1.0, channels, ground.levers.now
    )
    members = ground.membership
    services: list[Service] = [
        SharedRates(ground.process, accounts, lambda: members.members, ground.redises.cache, stage.clock),
        Clients(clients),
        AcceptanceTeller(accounts, ground.store.signs, stage.clock),
    ]
    for store, priorities in stores:
        services += lanes(_lane_ground(ground, store), accounts, priorities, channels)
    return services


def _scheduler(ground: _Ground, carrier: PostgresStore) -> list[Service]:
    stage, store = ground.stage, ground.store
    clock, logbook, settings = stage.clock, stage.logbook, stage.settings
    # Only what its accounts know of breakers is asked: nothing is sent from here.
    pulled = ground.levers.now
    accounts, _ = make_accounts(ground.making, ground.breakers, logbook, ground.process, 1.0, pulled=pulled)
    services: list[Service] = []
    for name, due in _due_rows(ground, carrier).items():
        services += [
            DueReleaser(due, store.doorbell, clock, logbook, settings.batches.due, f"due{name}"),
            ParkedReleaser(due, accounts, ground.lease(f"parked{name}"), clock, logbook, f"parked{name}"),
        ]
    silence = silence_settings(settings)
    lease = ground.lease("held")
    return [
        *services,
        SilenceWatch(accounts.sheets, store.signs, ground.breakers, ground.lease("silence"), clock, logbook, silence),
        HeldReleaser(carrier.levers, lambda scope: pulled().pauses_scope(scope), accounts.rate, lease, clock, logbook),
        Sweeper(ground.log, store.ingest, ground.lease("sweep"), clock, logbook),
        Upkeep(store.upkeep, ground.lease("upkeep"), clock, logbook, settings.store.retention_days),
        *probing(_lane_ground(ground, store), ground.lease("probes")),
    ]


def _due_rows(ground: _Ground, carrier: PostgresStore) -> dict[str, DueStore]:
    """What waits, by the cluster that it goes to, so that one that is away holds up no other; with a name for each."""
    own = kafka_lanes(ground.stage.settings)
    if not own:
        return {"": carrier.due}
    by_cluster: dict[KafkaConfig | None, list[Priority]] = {}
    for priority in PRIORITIES:
        by_cluster.setdefault(own.get(priority), []).append(priority)
    return {f"-{'-'.join(each)}": carrier.due.of(each) for each in by_cluster.values()}


def _exporter(ground: _Ground) -> list[Service]:
    stage, store = ground.stage, ground.store
    clock, logbook = stage.clock, stage.logbook
    lease = ground.lease("exporter")
    reconciler = Reconciler(store.insights, lease, clock, logbook)
    accounts, clients = make_accounts(ground.making, ground.breakers, logbook, ground.process, 1.0)
    balances = balances_of(stage.settings, clients, lease, clock, logbook)
    sources = GaugeSources(
        ground.log,
        ground.breakers,
        store.dead_letters,
        store.due,
        store.outbox,
        clock,
        partitions_ahead=store.upkeep.days_ahead,
        silences=Silences(accounts.sheets, store.signs, silence_settings(stage.settings)),
        balances=balances.read,
        signs=store.signs,
        levers=store.levers,
    )
    providers = {str(name): channels for name, channels in used(stage.settings).items()}
    return [
        reconciler,
        Clients([provider for provider in clients if isinstance(provider, HasBalance)], "accounts"),
        balances,
        Exporter(StoreGauges(sources, reconciler, providers), lease, ground.metrics, clock, logbook),
        BacklogTeller(ground.log, store.due, lease, clock),
    ]


def _doors(ground: _Ground) -> list[Service]:
    """The API where it is played here, else the side door."""
    stage = ground.stage
    readiness = readiness_of_role(ground.store, ground.watch, stage.play)
    if not stage.play.plays("api"):
        return [ground.watch, side_door(ground.exposition.text, readiness, stage.listener, stage.clock)]
    # The web framework is a third of a process's imports, and a role without the API starts sooner.
    from bellhouse.app.face import Ground, face  # noqa: PLC0415
    from bellhouse.app.readiness import Backlog  # noqa: PLC0415

    backlog = backlog_of_store(ground.store.due, stage.clock)
    return [
        ground.watch,
        *face(
            Ground(
                ground.store,
                ground.breakers,
                ground.log,
                ground.metrics,
                ground.exposition.text,
                ground.renderer,
                ground.making,
                stage.pepper,
                readiness,
                Backlog(backlog, stage.clock),
                stage.clock,
                stage.logbook,
                tracing=ground.tracing,
            ),
            stage.listener,
        ),
    ]
