"""The routes of what waits: how much, since when, what has expired in it; and of contact points that have died."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from litestar import Controller, get, post
from litestar.params import JSONBody

from bellhouse.domain.delivery import Delivery
from bellhouse.domain.ids import RecipientNo
from bellhouse.domain.levers import Selector
from bellhouse.domain.notification import Decision, Notification, Reason
from bellhouse.domain.words import CHANNELS, PRIORITIES, Channel, Priority
from bellhouse.policy.pauses import is_whole
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import AuditStore, ExpiryStore, LeverReader
from bellhouse.ports.log import GROUP_OF, NOTIFICATION_TOPICS, TOPICS, Log, LogUnavailable, deliveries_topic
from bellhouse.ports.store.deliver import Claim
from bellhouse.ports.store.recipients import RecipientStore
from bellhouse.ports.store.route import Routed, RouteStore
from bellhouse.web.acts import DryRun, Why, act_of, warnings_of
from bellhouse.web.auth import Caller
from bellhouse.web.problems import Problem
from bellhouse.web.rest import OF_BODY, Given, StrictRequest, caller_of, needs, problems
from bellhouse.web.times import rfc3339

_WORK_S: Final = 30.0
"""How long one call works; what is left is for the next."""
_PAGE: Final = 500
_DAY_MS: Final = 86_400_000

Expiries = Given[ExpiryStore]
Routes = Given[RouteStore]
Acts = Given[AuditStore]
LeverRows = Given[LeverReader]
Recipients = Given[RecipientStore]
TheLog = Given[Log]
Time = Given[Clock]

_notification: Final = msgspec.msgpack.Decoder(Notification).decode
_delivery: Final = msgspec.msgpack.Decoder(Delivery).decode


class SkipRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to end what has expired: in the whole backlog, or in some of it."""

    channel: Channel | None = None
    """Only deliveries of this channel; without it, notifications that wait to be routed as well."""
    priority: Priority | None = None
    why: Why = ""
    dry_run: DryRun = False


class CleanupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which device tokens are taken for dead."""

    older_than_days: Annotated[
        int, msgspec.Meta(ge=30, le=3_650, description="Of profiles that nobody has stored for so many days.")
    ] = 270
    why: Why = ""
    dry_run: DryRun = False


class SkipAnswer(msgspec.Struct, frozen=True):
    """What had expired, and was ended, or would be."""

    notifications: int
    deliveries: int
    more: bool
    """Whether time ran out before all was looked at: the same call goes on."""
    dry_run: bool
    warnings: list[str]


class CleanupAnswer(msgspec.Struct, frozen=True):
    """How many device tokens were removed, or would be."""

    profiles: int
    """Profiles that nobody has stored for so long."""
    removed: int
    dry_run: bool
    warnings: list[str]


class TopicView(msgspec.Struct, frozen=True):
    """What waits in one topic of the log."""

    topic: str
    group: str
    lag: int
    oldest: str | None
    """Since when the oldest that could be looked at may go on."""
    oldest_s: float
    paused: bool
    """Whether a pause holds all of it."""


class QueueAnswer(msgspec.Struct, frozen=True):
    """What waits in the log, by topic."""

    topics: list[TopicView]


class QueueController(Controller):
    """The backlog."""

    path = "/v1/queue"
    tags = ("Operations",)

    @get(
        guards=[needs("operate")], summary="What waits in the log", operation_id="listQueue", responses=problems("busy")
    )
    async def all(self, the_log: TheLog, lever_store: LeverRows, clock: Time) -> QueueAnswer:
        """How far each topic's group is behind, and the oldest record that it has not finished."""
        now = clock.now()
        levers = await lever_store.levers()
        paused = [lever.selector for lever in levers.rows if lever.kind == "pause" and lever.holds(now)]
        try:
            lags = await the_log.lags()
            oldest = _oldest(await the_log.oldest())
        except LogUnavailable as down:
            raise Problem("busy", f"The log does not answer: {down.remedy}") from down
        behind = dict.fromkeys(TOPICS, 0)
        for lag in lags:
            behind[lag.topic] += lag.lag
        return QueueAnswer([_topic(topic, lag, oldest.get(topic), paused, now) for topic, lag in behind.items()])

    @post(
        "/skip-expired",
        status_code=200,
        guards=[needs("operate")],
        summary="End what has expired",
        operation_id="skipExpired",
        responses=problems("busy", *OF_BODY),
    )
    async def skip(
        self,
        data: JSONBody[SkipRequest],
        request: StrictRequest,
        the_log: TheLog,
        expiry_store: Expiries,
        route_store: Routes,
        audit_store: Acts,
        clock: Time,
    ) -> SkipAnswer:
        """End what has expired in the backlog now, as expired, instead of when its turn comes. The records stay where
        they are, and are dropped in passing."""
        caller = caller_of(request)
        skipping = _Skipping(expiry_store, route_store, clock, caller, data.dry_run)
        try:
            more = await skipping.run(the_log, _topics(data))
        except LogUnavailable as down:
            raise Problem("busy", f"The log does not answer: {down.remedy}") from down
        if not data.dry_run and skipping.deliveries + skipping.notifications:
            scope = Selector(data.channel, data.priority).text
            done = f"{skipping.notifications} notifications, {skipping.deliveries} deliveries"
            await audit_store.record(act_of(caller, "skip_expired", scope, clock.now(), data.why, "", done))
        counts = skipping.notifications, skipping.deliveries
        return SkipAnswer(*counts, more, data.dry_run, warnings_of(data.why))


class TokensController(Controller):
    """Device tokens."""

    path = "/v1/token-cleanup"
    tags = ("Operations",)

    @post(
        status_code=200,
        guards=[needs("operate")],
        summary="Remove dead device tokens",
        operation_id="cleanUpTokens",
        responses=problems(*OF_BODY),
    )
    async def clean(
        self,
        data: JSONBody[CleanupRequest],
        request: StrictRequest,
        recipient_store: Recipients,
        audit_store: Acts,
        clock: Time,
    ) -> CleanupAnswer:
        """Remove the push tokens of profiles that nobody has stored for long: their apps are gone. Those that a
        provider called dead were removed when it did."""
        caller = caller_of(request)
        tenant = None if caller.everywhere else caller.tenant
        before = clock.now() - data.older_than_days * _DAY_MS
        profiles, removed, after = 0, 0, RecipientNo(0)
        while True:
            page = await recipient_store.retire_unseen("push", before, tenant, after, _PAGE, data.dry_run)
            profiles, removed, after = profiles + page.looked, removed + page.contacts, page.last
            if page.looked < _PAGE:
                break
            await clock.sleep(0)
        if removed and not data.dry_run:
            scope = f"older than {data.older_than_days} days"
            done = f"{removed} tokens"
            await audit_store.record(act_of(caller, "token_cleanup", scope, clock.now(), data.why, "", done))
        return CleanupAnswer(profiles, removed, data.dry_run, warnings_of(data.why))


class _Skipping:
    """One way through the backlog."""

    def __init__(self, expiry: ExpiryStore, route: RouteStore, clock: Clock, caller: Caller, dry_run: bool) -> None:
        self.notifications = 0
        self.deliveries = 0
        self._expiry = expiry
        self._route = route
        self._clock = clock
        self._caller = caller
        self._dry_run = dry_run

    async def run(self, log: Log, topics: Sequence[str]) -> bool:
        """Go through these topics; answers whether time ran out."""
        until = self._clock.monotonic() + _WORK_S
        async for topic, values in log.unfinished(topics):
            if topic in NOTIFICATION_TOPICS:
                await self._skip_notifications(values)
            else:
                await self._skip_deliveries(values)
            # Others of this process take their turn between two batches.
            await self._clock.sleep(0)
            if self._clock.monotonic() > until:
                return True
        return False

    async def _skip_deliveries(self, values: Sequence[bytes]) -> None:
        now = self._clock.now()
        claims = [claim for value in values if (claim := _claim(value, now)) is not None]
        waiting = await self._expiry.waiting(claims) if claims else ()
        if waiting and not self._dry_run:
            self.deliveries += await self._expiry.expire(waiting, now, self._caller.name)
        else:
            self.deliveries += len(waiting)

    async def _skip_notifications(self, values: Sequence[bytes]) -> None:
        now = self._clock.now()
        found = {note.id: note for value in values if (note := _note(value)) is not None and note.expires_at < now}
        undecided = await self._expiry.undecided(list(found)) if found else frozenset()
        if undecided and not self._dry_run:
            decision = Decision("expired", now, (), (Reason("expired:lifetime", detail=self._caller.name),))
            routed = [Routed(found[identifier], decision) for identifier in sorted(undecided)]
            self.notifications += await self._route.decide(routed, now, ())
        else:
            self.notifications += len(undecided)


def _claim(value: bytes, now: int) -> Claim | None:
    """The record of an expired delivery; what cannot be read is the worker's to skip."""
    try:
        delivery = _delivery(value)
        return Claim(delivery, _notification(delivery.notification)) if delivery.expires_at < now else None
    except msgspec.DecodeError:
        return None


def _note(value: bytes) -> Notification | None:
    try:
        return _notification(value)
    except msgspec.DecodeError:
        return None


def _topics(data: SkipRequest) -> list[str]:
    priorities = PRIORITIES if data.priority is None else (data.priority,)
    channels = CHANNELS if data.channel is None else (data.channel,)
    notes = [topic for topic in NOTIFICATION_TOPICS if topic.rpartition(".")[2] in priorities]
    deliveries = [deliveries_topic(channel, priority) for channel in channels for priority in priorities]
    return deliveries if data.channel is not None else [*notes, *deliveries]


def _oldest(records: Mapping[str, Sequence[bytes]]) -> dict[str, int]:
    """Since when the oldest record of each topic may go on (ms since the epoch)."""
    found = {}
    for topic, values in records.items():
        since = [moment for value in values if (moment := _since(topic, value)) is not None]
        if since:
            found[topic] = min(since)
    return found


def _since(topic: str, value: bytes) -> int | None:
    try:
        return _notification(value).ready_at if topic in NOTIFICATION_TOPICS else _delivery(value).ready_at
    except msgspec.DecodeError:
        return None


def _topic(topic: str, lag: int, oldest: int | None, paused: Sequence[Selector], now: int) -> TopicView:
    age = 0.0 if oldest is None else max(0, now - oldest) / 1000
    held = topic not in NOTIFICATION_TOPICS and any(_holds_all(selector, topic) for selector in paused)
    return TopicView(topic, GROUP_OF[topic], lag, None if oldest is None else rfc3339(oldest), age, held)


def _holds_all(selector: Selector, topic: str) -> bool:
    _, channel, priority = topic.split(".")
    return is_whole(selector) and selector.channel in (None, channel) and selector.priority in (None, priority)
