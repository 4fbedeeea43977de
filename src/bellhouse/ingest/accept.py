"""The one use case: drafts in, durable notifications out. Whoever wants something sent knocks here."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.ids import NotificationId, RecipientNo, TenantNo, new_notification_ids
from bellhouse.domain.notification import Notification
from bellhouse.domain.trace import is_sampled
from bellhouse.domain.words import Channel, Priority
from bellhouse.ingest.tracing import Times, received
from bellhouse.ingest.wire import NO_DATA
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.ingest import Acceptance, Accepted, AcceptResult, IngestStore
from bellhouse.ports.telemetry import Logbook, Telemetry
from bellhouse.ports.tracing import NO_TRACING, Moments, Tracing
from bellhouse.web.problems import FieldError

_KEY_BYTES: Final = 16
_FINGERPRINT_BYTES: Final = 8


class Draft(msgspec.Struct, frozen=True, gc=False):
    """One validated request of a tenant, whose type and recipient have not been looked up yet."""

    tenant: TenantNo
    user_id: str
    type: str
    priority: Priority | None = None
    channels: tuple[Channel, ...] | None = None
    data: bytes = NO_DATA
    ready_at: int = 0
    """When it may leave (ms since the epoch); 0 is at once."""
    expires_at: int = 0
    """When it ends; 0 is the type's lifetime."""
    collapse_key: str | None = None
    idempotency_key: str | None = None
    key: bytes | None = None
    fingerprint: bytes = b""
    traceparent: str | None = None
    began: float = 0.0
    """When its request began (s, monotonic), and when it was found well-formed; 0 where nobody asks."""
    checked: float = 0.0
    campaign: str | None = None


class Refused(msgspec.Struct, frozen=True):
    """A draft that cannot be accepted, with every reason."""

    errors: tuple[FieldError, ...]


Outcome = AcceptResult | Refused


def key_digest(tenant: TenantNo, key: str) -> bytes:
    """16 bytes that stand for a tenant's idempotency key."""
    return hashlib.blake2b(b"%d:%b" % (tenant, key.encode()), digest_size=_KEY_BYTES).digest()


def fingerprint(body: bytes | msgspec.Raw) -> bytes:
    """8 bytes that stand for a request's body."""
    return hashlib.blake2b(body, digest_size=_FINGERPRINT_BYTES).digest()


class Acceptor:
    """Resolves types and recipients of a batch and makes it durable, in one transaction."""

    def __init__(
        self,
        store: IngestStore,
        catalogue: CatalogueStore,
        clock: Clock,
        telemetry: Telemetry,
        logbook: Logbook,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._telemetry = telemetry
        self._logbook = logbook
        self._tracing = tracing

    async def accept(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Accept drafts, of any tenants; one outcome per draft, in order.

        Raises StoreUnavailable: nothing was written; or OutcomeUnknown: all of it was written, or nothing.
        """
        now = self._clock.now()
        types = await self._types(drafts)
        recipients = await self._recipients(drafts)
        outcomes: list[Outcome | None] = [None] * len(drafts)
        items: list[Acceptance] = []
        places: list[int] = []
        for place, (draft, identifier) in enumerate(zip(drafts, new_notification_ids(now, len(drafts)), strict=True)):
            kind = types[draft.tenant, draft.type]
            recipient = recipients[draft.tenant].get(draft.user_id)
            if kind is None or recipient is None:
                outcomes[place] = unknown(draft, kind, recipient)
                continue
            items.append(
                Acceptance(self._notification(draft, kind, recipient, identifier, now), draft.key, draft.fingerprint)
            )
            places.append(place)
        if items:
            began = self._clock.monotonic() if self._tracing.on else 0.0
            for place, result in zip(places, await self._store.accept(items, now), strict=True):
                outcomes[place] = result
            if self._tracing.on:
                self._trace([drafts[place] for place in places], items, [outcomes[place] for place in places], began)
        self._tell(drafts, items, outcomes)
        return outcomes  # type: ignore[return-value]  # every place was filled above

    async def resolve(self, draft: Draft) -> tuple[Notification, NotificationType] | Refused:
        """The notification that a draft would become, and its type; nothing is written."""
        kind = await self._catalogue.type(draft.tenant, draft.type)
        recipient = (await self._recipients((draft,)))[draft.tenant].get(draft.user_id)
        if kind is None or recipient is None:
            return unknown(draft, kind, recipient)
        now = self._clock.now()
        return self._notification(draft, kind, recipient, new_notification_ids(now, 1)[0], now), kind

    def _notification(
        self, draft: Draft, kind: NotificationType, recipient: RecipientNo, identifier: NotificationId, now: int
    ) -> Notification:
        ready_at = draft.ready_at or now
        return Notification(
            identifier,
            draft.tenant,
            recipient,
            draft.user_id,
            draft.type,
            draft.priority or kind.priority,
            draft.data,
            now,
            draft.expires_at or ready_at + kind.lifetime_s * 1000,
            ready_at,
            draft.channels,
            draft.collapse_key,
            draft.idempotency_key,
            draft.traceparent or self._tracing.begin(identifier),
            draft.campaign,
        )

    def _trace(
        self, drafts: Sequence[Draft], items: Sequence[Acceptance], outcomes: Sequence[Outcome | None], began: float
    ) -> None:
        """Hand over the spans of what was accepted just now and is sampled."""
        ended = self._clock.monotonic()
        moments: Moments | None = None
        for draft, item, outcome in zip(drafts, items, outcomes, strict=True):
            if not is_sampled(item.notification.traceparent) or type(outcome) is not Accepted:
                continue
            moments = moments or Moments(self._clock)
            times = Times(draft.began or began, draft.checked or began, began, ended)
            self._tracing.emit(received(item.notification, times, moments))

    async def priorities(self, drafts: Sequence[Draft]) -> list[Priority | None]:
        """How urgent each draft is, by itself or by its type; None where there is no such type."""
        types = await self._types([draft for draft in drafts if draft.priority is None])
        return [draft.priority or _priority(types[draft.tenant, draft.type]) for draft in drafts]

    async def _types(self, drafts: Sequence[Draft]) -> dict[tuple[TenantNo, str], NotificationType | None]:
        known: dict[tuple[TenantNo, str], NotificationType | None] = {}
        for name in {(draft.tenant, draft.type) for draft in drafts}:
            known[name] = await self._catalogue.type(*name)
        return known

    async def _recipients(self, drafts: Sequence[Draft]) -> dict[TenantNo, Mapping[str, RecipientNo]]:
        wanted: dict[TenantNo, dict[str, None]] = {}
        for draft in drafts:
            names = wanted.setdefault(draft.tenant, {})
            if "\0" not in draft.user_id:  # no recipient has such a name, and not every store can be asked for it
                names[draft.user_id] = None
        return {tenant: await self._store.known_recipients(tenant, tuple(names)) for tenant, names in wanted.items()}

    def _tell(self, drafts: Sequence[Draft], items: Sequence[Acceptance], outcomes: Sequence[Outcome | None]) -> None:
        """Count the batch, once per priority and type."""
        counts: dict[tuple[Priority, str], int] = {}
        for item in items:
            label = (item.notification.priority, item.notification.type)
            counts[label] = counts.get(label, 0) + 1
        for (priority, name), count in counts.items():
            self._telemetry.received(priority, name, count)
            self._telemetry.validated(priority, name, count)
        fresh = [outcome for outcome in outcomes if type(outcome) is Accepted]
        if len(fresh) == len(items) == len(drafts):
            self._logbook.notifications_received([item.notification for item in items])
            return
        self._tell_rest(items, outcomes)

    def _tell_rest(self, items: Sequence[Acceptance], outcomes: Sequence[Outcome | None]) -> None:
        made = {outcome.id for outcome in outcomes if isinstance(outcome, Accepted)}
        self._logbook.notifications_received([item.notification for item in items if item.notification.id in made])
        reasons: dict[str, int] = {}
        for outcome in outcomes:
            reason = _reason(outcome)
            if reason:
                reasons[reason] = reasons.get(reason, 0) + 1
        repeats = reasons.pop("repeated", 0)
        if repeats:
            self._telemetry.repeated("ingest", repeats)
        for reason, count in reasons.items():
            self._telemetry.rejected(reason, count)


def unknown(draft: Draft, kind: NotificationType | None, recipient: RecipientNo | None) -> Refused:
    """The refusal of a draft whose type or recipient does not exist."""
    errors = []
    if recipient is None:
        errors.append(FieldError("user_id", "unknown_recipient", f"there is no recipient {draft.user_id!r}"))
    if kind is None:
        errors.append(FieldError("type", "unknown_type", f"there is no type {draft.type!r}"))
    return Refused(tuple(errors))


def _priority(kind: NotificationType | None) -> Priority | None:
    return None if kind is None else kind.priority


def _reason(outcome: Outcome | None) -> str:
    """The `reason` label of what was not accepted; empty for what was."""
    if isinstance(outcome, Refused):
        return outcome.errors[0].code
    tag = outcome.__struct_config__.tag if outcome is not None else "accepted"
    return {"accepted": "", "repeated": "repeated", "key_reused": "idempotency_key_reused"}[str(tag)]
