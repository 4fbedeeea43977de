"""The router of one priority: polls notifications, decides each from the batch's facts, stores and publishes."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.notification import Decision, Notification, Reason
from bellhouse.domain.planning import planned_deliveries
from bellhouse.domain.words import Channel, Priority
from bellhouse.policy.decide import decide
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import (
    Log,
    LogUnavailable,
    Polled,
    Reader,
    ends_of,
    notifications_topic,
    positions,
)
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.route import Facts, Routed, RouteStore
from bellhouse.ports.telemetry import Logbook, Telemetry
from bellhouse.ports.tracing import NO_TRACING, Tracing
from bellhouse.route.tracing import Times, routed_spans

_IDLE_S: Final = 1.0
"""How long an idle router trusts the doorbell before it looks for itself."""
_AWAY_S: Final = 0.5
"""How long it leaves a store or log alone that is away."""

_NO_STOPS: Final[frozenset[str]] = frozenset()
_decode: Final = msgspec.msgpack.Decoder(Notification).decode


class _Kind(msgspec.Struct, frozen=True):
    """A type with its template as they stand for one batch."""

    type: NotificationType
    template: str | None
    version: int
    channels: frozenset[Channel]


class Router:
    """Routes one priority. Service; several of it share the partitions of their topic."""

    def __init__(
        self,
        priority: Priority,
        store: RouteStore,
        catalogue: CatalogueStore,
        log: Log,
        clock: Clock,
        telemetry: Telemetry,
        logbook: Logbook,
        batch: int = 300,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self.name = f"router-{priority}"
        self._priority = priority
        self._topic = notifications_topic(priority)
        self._reader: Reader = log.reader(self._topic)
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._telemetry = telemetry
        self._logbook = logbook
        self._batch = batch
        self._tracing = tracing
        self._draining = False
        self._leaving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._reader.start()

    async def run(self) -> None:
        polled: Sequence[Polled] = ()
        while not self._draining:
            try:
                # What could not be stored or published is tried again before anything else is polled.
                polled = polled or await self._reader.poll(self._batch)
                if not polled:
                    await self._reader.wait(_IDLE_S)
                    continue
                await self.route(polled)
                self._reader.taken()
                polled = ()
            except StoreUnavailable as down:
                self._logbook.note("error", "Routing waits for the store", reason=down.reason, error=str(down))
                await self._clock.sleep(_AWAY_S)
            except LogUnavailable as down:
                self._logbook.note("error", "Routing waits for the log", reason=down.reason, error=str(down))
                await self._clock.sleep(_AWAY_S)
            await self._clock.sleep(0)
        # All routers leave their groups side by side.
        self._leaving = asyncio.create_task(self._reader.stop())

    def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        await (self._leaving or self._reader.stop())

    async def route(self, polled: Sequence[Polled]) -> None:
        """Decide a batch, make the decisions durable, publish their deliveries, and move the position."""
        began = self._clock.monotonic()
        opened = self._open(polled)
        facts = await self._store.facts([notification for notification, _ in opened])
        known = self._clock.monotonic()
        kinds = await self._kinds(opened)
        now = self._clock.now()
        routed = [
            self._routed(notification, record, kinds[notification.tenant, notification.type], facts, now)
            for notification, record in opened
        ]
        done = positions(self._topic, ends_of(polled))
        decided = self._clock.monotonic()
        await self._store.decide(routed, now, done)
        if self._tracing.on:
            times = Times(began, known, decided, self._clock.monotonic())
            self._tracing.emit(routed_spans(self._topic, routed, times, self._clock))
        await self._reader.commit(done)
        self._count(routed, self._clock.monotonic() - began)

    def _routed(self, notification: Notification, record: bytes, kind: _Kind, facts: Facts, now: int) -> Routed:
        try:
            return _routed(notification, record, kind, facts, now)
        except Exception as error:
            # One that breaks the decision must not stop those behind it, with every start anew.
            self._logbook.note("error", "A notification cannot be decided", topic=self._topic, error=repr(error))
            self._telemetry.unreadable(self._topic)
            reason = Reason("dead_lettered:unreadable", detail=repr(error))
            return Routed(notification, Decision("suppressed", now, (), (reason,)))

    def _open(self, polled: Sequence[Polled]) -> list[tuple[Notification, bytes]]:
        opened = []
        for record in polled:
            try:
                opened.append((_decode(record.value), record.value))
            except msgspec.DecodeError as error:
                self._logbook.note("error", "Unreadable record skipped", topic=self._topic, error=str(error))
                self._telemetry.unreadable(self._topic)
        return opened

    async def _kinds(self, opened: Sequence[tuple[Notification, bytes]]) -> dict[tuple[TenantNo, str], _Kind]:
        kinds: dict[tuple[TenantNo, str], _Kind] = {}
        for notification, _ in opened:
            key = (notification.tenant, notification.type)
            if key not in kinds:
                kinds[key] = await self._kind(*key)
        return kinds

    async def _kind(self, tenant: TenantNo, name: str) -> _Kind:
        kind = await self._catalogue.type(tenant, name)
        if kind is None:
            # A type is never deleted; only a file put together by hand can come here.
            return _Kind(NotificationType(name, "product", channels=()), None, 0, frozenset())
        template = await self._catalogue.template(tenant, kind.template or name)
        if template is None:
            return _Kind(kind, None, 0, frozenset())
        channels = frozenset(channel for contents in template.locales.values() for channel in contents)
        return _Kind(kind, template.name, template.version, channels)

    def _count(self, routed: Sequence[Routed], seconds: float) -> None:
        self._telemetry.routing_took(self._priority, [seconds] * len(routed))
        planned = Counter(delivery.channel for item in routed for delivery in item.deliveries)
        for channel, count in planned.items():
            self._telemetry.routed(channel, self._priority, count)
        refused = Counter(
            (reason.code, reason.channel or "in_app") for item in routed for reason in item.decision.reasons
        )
        for (code, refused_channel), count in refused.items():
            self._telemetry.suppressed(code, refused_channel, count)


def _routed(notification: Notification, record: bytes, kind: _Kind, facts: Facts, now: int) -> Routed:
    decision = decide(
        notification,
        kind.type,
        facts.profiles.get(notification.recipient),
        facts.suppressed.get(notification.tenant, _NO_STOPS),
        kind.channels,
        kind.template,
        kind.version,
        now,
    )
    return Routed(notification, decision, planned_deliveries(notification, record, decision))
