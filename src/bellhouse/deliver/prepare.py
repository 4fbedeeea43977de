"""Prepares polled deliveries: asks again what can be revoked, renders what goes out, and says why the rest does not."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bellhouse.deliver.flight import Flight, Ticket
from bellhouse.domain.catalogue import NotificationType, Template
from bellhouse.domain.delivery import Delivery
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.notification import Notification
from bellhouse.domain.recipient import ContactPoint
from bellhouse.domain.retry import RetryPolicy
from bellhouse.domain.words import DeliveryState
from bellhouse.policy.pauses import NO_BRAKES, Brakes, Pause
from bellhouse.policy.reasons import ReasonCode
from bellhouse.policy.recheck import recheck, state_after
from bellhouse.policy.unknown import after_unknown
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.deliver import Claim, Standing, Standings
from bellhouse.ports.store.route import Facts
from bellhouse.templates.errors import TemplateFault
from bellhouse.templates.render import Renderer

_decode_notification: Final = msgspec.msgpack.Decoder(Notification).decode
_decode_delivery: Final = msgspec.msgpack.Decoder(Delivery).decode
_decode_data: Final = msgspec.json.Decoder(dict[str, Any]).decode
_RETRY: Final = RetryPolicy()
_Key = tuple[TenantNo, str, str | None, int]
"""What a delivery is rendered by: tenant, type, and the template with its version, which the type may have changed."""
_NO_STOPS: Final[frozenset[str]] = frozenset()


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A delivery that does not go out now, with the state in which it ends or waits."""

    claim: Claim
    state: DeliveryState
    reason: ReasonCode
    wait_until: int = 0
    detail: str | None = None
    by: str | None = None
    held_by: str = ""
    """The scope of the brake that holds it."""


class Prepared(msgspec.Struct, frozen=True):
    """A polled batch, divided."""

    ready: list[Flight]
    refused: list[Refused]
    stale: int
    """Records of work that was done before: dropped."""


def open_record(value: bytes, again: bool = False) -> Claim:
    """The delivery and its notification from a log record. Raises msgspec.DecodeError."""
    delivery = _decode_delivery(value)
    return Claim(delivery, _decode_notification(delivery.notification), again)


def _held(claim: Claim, pause: Pause) -> Refused:
    """It waits under a brake, and for no longer than it lives."""
    lever = pause.lever
    until = claim.delivery.expires_at + 1
    return Refused(claim, "waiting", "waiting:paused", until, lever.why or None, lever.by, lever.scope)


def _key(claim: Claim) -> _Key:
    delivery, notification = claim.delivery, claim.notification
    return notification.tenant, notification.type, delivery.template, delivery.template_version


class Preparer:
    """Prepares batches of one lane."""

    def __init__(
        self,
        catalogue: CatalogueStore,
        renderer: Renderer,
        can_be_asked: frozenset[str] = frozenset(),
        retry: RetryPolicy = _RETRY,
    ) -> None:
        """`can_be_asked`: the providers that know afterwards what they took."""
        self._catalogue = catalogue
        self._renderer = renderer
        self._can_be_asked = can_be_asked
        self._retry = retry

    async def prepare(
        self, claims: Sequence[Claim], known: Standings, ticket: Ticket, now: int, brakes: Brakes = NO_BRAKES
    ) -> Prepared:
        """Divide a batch into what is ready to send, what is refused with its reason, and what is stale."""
        ready: list[Flight] = []
        refused: list[Refused] = []
        stale = 0
        kinds = await self._kinds(claims)
        for claim, standing in zip(claims, known.standings, strict=True):
            if standing.stale:
                stale += 1
                continue
            kind, template = kinds[_key(claim)]
            answer = self._one(claim, standing, known.facts, kind, template, ticket, now, brakes)
            if isinstance(answer, Flight):
                ready.append(answer)
            else:
                refused.append(answer)
        return Prepared(ready, refused, stale)

    async def _kinds(self, claims: Sequence[Claim]) -> dict[_Key, tuple[NotificationType, Template | None]]:
        kinds: dict[_Key, tuple[NotificationType, Template | None]] = {}
        for claim in claims:
            key = _key(claim)
            if key in kinds:
                continue
            tenant, name, wanted, version = key
            kind = await self._catalogue.type(tenant, name) or NotificationType(name, "product")
            template = None if wanted is None else await self._catalogue.template(tenant, wanted, version)
            kinds[key] = (kind, template)
        return kinds

    def _one(
        self,
        claim: Claim,
        standing: Standing,
        facts: Facts,
        kind: NotificationType,
        template: Template | None,
        ticket: Ticket,
        now: int,
        brakes: Brakes,
    ) -> Flight | Refused:
        delivery, notification = claim.delivery, claim.notification
        if standing.superseded:
            return Refused(claim, "cancelled", "cancelled:superseded")
        # Whatever the policy: copies have an end.
        policy = "keep" if self._retry.exhausted(delivery.attempt) else after_unknown(kind)
        if delivery.unknown_since and policy == "keep" and delivery.unknown_at not in self._can_be_asked:
            return Refused(claim, "failed", "failed:unknown_outcome")
        profile = facts.profiles.get(notification.recipient)
        stops = facts.suppressed.get(notification.tenant, _NO_STOPS)
        contact, reason, wait_until = recheck(delivery, notification, kind, profile, stops, now)
        if reason is not None:
            return Refused(claim, state_after(reason), reason, wait_until)
        if brakes is not NO_BRAKES:
            # Before it is rendered: a template may be paused because it cannot be.
            pause = brakes.holding(notification.tenant, notification.type, delivery.template, notification.campaign)
            if pause is not None:
                return _held(claim, pause)
        if template is None or profile is None or contact is None:
            return Refused(claim, "dead_lettered", "dead_lettered:not_rendered", detail="the template is gone")
        return self._flight(claim, template, profile.locale, contact, ticket, policy)

    def _flight(
        self, claim: Claim, template: Template, locale: str, contact: ContactPoint, ticket: Ticket, policy: Any
    ) -> Flight | Refused:
        notification = claim.notification
        try:
            content = (
                self._renderer.compiled(notification.tenant, template)
                .channel(locale, claim.delivery.channel)
                .render(_decode_data(notification.data), notification.user_id, locale)
            )
        except TemplateFault as fault:
            return Refused(claim, "dead_lettered", "dead_lettered:not_rendered", detail=str(fault))
        except Exception as error:
            # One message that breaks the engine must not stop those behind it, with every start anew.
            return Refused(claim, "dead_lettered", "dead_lettered:not_rendered", detail=repr(error))
        return Flight(claim, ticket, content, contact.address, contact.providers, policy)
