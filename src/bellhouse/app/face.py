"""The HTTP face of a process as services: the API, callbacks, health and metrics; it alone needs the web framework."""

import socket
from collections.abc import Callable

import msgspec

from bellhouse.app.descriptors import connections_within
from bellhouse.app.http import Services, build_asgi
from bellhouse.app.probes import make_prober
from bellhouse.app.provider_desk import provider_desk
from bellhouse.app.providers import Making, make_readers, used
from bellhouse.app.readiness import Backlog, with_accepting
from bellhouse.app.server import HttpServer
from bellhouse.app.stores import Store
from bellhouse.confirm.api import CallbackDoor
from bellhouse.confirm.heard import Heard
from bellhouse.confirm.settle import NewsSettler
from bellhouse.ingest.degrade import Volume
from bellhouse.ingest.steps import Lookout, Steps
from bellhouse.observability.metrics import Metrics
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import Log
from bellhouse.ports.service import Service
from bellhouse.ports.store.providers import BreakerStore
from bellhouse.ports.telemetry import Logbook
from bellhouse.ports.tracing import NO_TRACING, Tracing
from bellhouse.templates.render import Renderer
from bellhouse.web.health import Readiness
from bellhouse.web.limits import Limits


class Ground(msgspec.Struct, frozen=True):
    """What the face stands on: the parts of the process that it shares with the stages."""

    store: Store
    breakers: BreakerStore
    log: Log
    metrics: Metrics
    exposition: Callable[[], bytes]
    renderer: Renderer
    making: Making
    pepper: bytes
    readiness: Readiness
    backlog: Backlog
    clock: Clock
    logbook: Logbook
    volume: Callable[[], Volume | None] = lambda: None
    """What is free where the store's file is; None where it is not ours to see."""
    tracing: Tracing = NO_TRACING


def face(ground: Ground, listener: socket.socket) -> list[Service]:
    """The services that answer HTTP on a bound socket."""
    settings, clock = ground.making.settings, ground.clock
    limits = Limits(**settings.limits.model_dump(exclude={"recipient_per_minute"}))
    limits = msgspec.structs.replace(limits, connections=connections_within(limits.connections))
    steps = Steps(limits, clock, ground.metrics, ground.logbook)
    heard = Heard(ground.store.signs, clock)
    app = build_asgi(_services(ground, limits, steps, heard))
    lookout = Lookout(steps, lambda: ground.backlog.waiting, ground.volume, clock)
    return [ground.backlog, lookout, heard, HttpServer(app, limits, listener, clock, settings.drain_timeout_s)]


def _services(ground: Ground, limits: Limits, steps: Steps, heard: Heard) -> Services:
    store, settings = ground.store, ground.making.settings

    async def exposition() -> bytes:
        return ground.exposition()

    return Services(
        ingest=store.ingest,
        route=store.route,
        recipients=store.recipients,
        catalogue=store.catalogue,
        breakers=ground.breakers,
        dead_letters=store.dead_letters,
        levers=store.levers,
        audit=store.levers,
        expiry=store.expiry,
        log=ground.log,
        insights=store.insights,
        clock=ground.clock,
        telemetry=ground.metrics,
        logbook=ground.logbook,
        renderer=ground.renderer,
        pepper=ground.pepper,
        callbacks=_callbacks(ground, heard),
        readiness=with_accepting(ground.readiness, steps),
        metrics=exposition,
        steps=steps,
        provider_channels={str(name): channels for name, channels in used(settings).items()},
        providers=provider_desk(ground.making),
        limits=limits,
        tracing=ground.tracing,
        prober=make_prober(ground.making, ground.metrics, ground.logbook),
    )


def _callbacks(ground: Ground, heard: Heard) -> CallbackDoor:
    settler = NewsSettler(ground.store.confirm, ground.clock, ground.metrics, heard, ground.tracing)
    readers = make_readers(ground.making)
    return CallbackDoor(readers, settler, ground.making.public_url, ground.clock, ground.metrics, ground.logbook)
