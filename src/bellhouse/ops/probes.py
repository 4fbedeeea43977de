"""Synthetic probes: notifications of our own that go the way of all others, watched until they have got through.

A probe of a channel is accepted by the same use case as a caller's notification, routed, sent and confirmed like any
other, to a recipient who is the team itself. It has a tenant of its own, which no key opens.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.domain.catalogue import ChannelTemplate, NotificationType, Template
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import NotificationId, TenantNo, to_text
from bellhouse.domain.recipient import ContactPoint, Profile
from bellhouse.domain.words import CHANNELS, Channel
from bellhouse.ingest.accept import Acceptor, Draft
from bellhouse.ports.clock import Clock
from bellhouse.ports.service import Beat
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.ingest import Accepted
from bellhouse.ports.store.insights import Insights, Story
from bellhouse.ports.store.providers import SignStore
from bellhouse.ports.store.recipients import RecipientStore
from bellhouse.ports.telemetry import Lease, Logbook, ProbeOutcome, Telemetry

NAME: Final = "bellhouse_probe"
"""The reserved type and template."""
TENANT: Final = ("bellhouse", "probes")
_LOOK_S: Final = 0.25
_ENDED: Final = ("failed", "dead_lettered", "expired", "cancelled")
_TEXTS: Final[dict[Channel, ChannelTemplate]] = {
    "push": ChannelTemplate(title="Bellhouse probe", body="Push works."),
    "email": ChannelTemplate(subject="Bellhouse probe", text="Email works."),
    "sms": ChannelTemplate(text="Bellhouse probe: SMS works."),
    "in_app": ChannelTemplate(title="Bellhouse probe", body="In-app works."),
    "chat": ChannelTemplate(text="Bellhouse probe: chat works."),
}


def sign_of(channel: Channel) -> str:
    """Under what name the store keeps when a probe of a channel last got through."""
    return f"probe-{channel}"


class ProbeView(msgspec.Struct, frozen=True):
    """One probe and how it ended."""

    channel: Channel
    outcome: ProbeOutcome
    """`confirmed`: it got through; `failed`: it was refused or given up; `timeout`: it said nothing in its time."""
    seconds: float
    """How long it took."""
    provider: str
    """The last one that was asked; empty where none was."""
    reason: str
    """Where it stands, as a reason's code."""
    id: str
    """The notification, for its story; empty where none was made."""


class ProbesAnswer(msgspec.Struct, frozen=True):
    """A probe of every channel that has a recipient."""

    probes: list[ProbeView]


class ProberParts(msgspec.Struct, frozen=True):
    """What a prober works with."""

    acceptor: Acceptor
    catalogue: CatalogueStore
    recipients: RecipientStore
    insights: Insights
    signs: SignStore
    clock: Clock
    telemetry: Telemetry
    confirming: frozenset[str]
    """The providers that confirm: what another one accepts has got through."""


class _Seen(msgspec.Struct, frozen=True):
    """Where a probe stands; `outcome` is None while it is under way."""

    outcome: ProbeOutcome | None
    reason: str = ""
    provider: str = ""


class Prober:
    """Sends probes to the contact points that the settings name, and watches them."""

    def __init__(self, parts: ProberParts, contacts: Mapping[Channel, ContactPoint | None], within_s: float) -> None:
        """`contacts`: whom each channel's probe reaches, None where the channel needs no address; `within_s`: how long
        a probe may take."""
        self._parts = parts
        self._contacts = contacts
        self._within_s = within_s
        self._draining = False

    @property
    def channels(self) -> Sequence[Channel]:
        """Those that can be probed."""
        return tuple(self._contacts)

    def drain(self) -> None:
        """Wait for nothing any more; what is under way counts as nothing."""
        self._draining = True

    async def probe(self, channels: Sequence[Channel]) -> list[ProbeView]:
        """Probe these channels side by side; counted, and what got through is noted. Raises StoreUnavailable."""
        tenant = await self._tenant()
        views = await asyncio.gather(*(self._one(tenant, channel) for channel in channels))
        through = [sign_of(view.channel) for view in views if view.outcome == "confirmed"]
        if through:
            await self._parts.signs.note_heard(through, self._parts.clock.now())
        if not self._draining:
            for view in views:
                self._parts.telemetry.probed(view.channel, view.outcome)
        return list(views)

    async def _tenant(self) -> TenantNo:
        """The tenant of the probes, with its type, its template and its recipients."""
        catalogue, now = self._parts.catalogue, self._parts.clock.now()
        tenant = await catalogue.tenant(*TENANT)
        if await catalogue.type(tenant, NAME) is None:
            kind = NotificationType(
                NAME, "transactional", "high", CHANNELS, lifetime_s=3_600, quiet_hours="ignore", on_unknown="keep"
            )
            await catalogue.put_template(tenant, Template(NAME, 0, {"en": _TEXTS}))
            await catalogue.put_type(tenant, kind)
        profiles = [
            Profile(_user(channel), contacts=() if contact is None else (contact,))
            for channel, contact in self._contacts.items()
        ]
        await self._parts.recipients.put_recipients(tenant, profiles, now)
        return tenant

    async def _one(self, tenant: TenantNo, channel: Channel) -> ProbeView:
        clock = self._parts.clock
        began = clock.monotonic()
        expires_at = clock.now() + round(self._within_s * 1000)
        draft = Draft(tenant, _user(channel), NAME, channels=(channel,), expires_at=expires_at)
        (result,) = await self._parts.acceptor.accept([draft])
        if not isinstance(result, Accepted):
            return ProbeView(channel, "failed", 0.0, "", "refused", "")
        seen = await self._watched(result.id, began)
        took = round(clock.monotonic() - began, 3)
        return ProbeView(channel, seen.outcome or "timeout", took, seen.provider, seen.reason, to_text(result.id))

    async def _watched(self, identifier: NotificationId, began: float) -> _Seen:
        clock = self._parts.clock
        while True:
            story = await self._parts.insights.story(None, identifier)
            seen = _seen(story, self._parts.confirming) if story is not None else _Seen(None)
            if seen.outcome is not None or self._draining or clock.monotonic() - began >= self._within_s:
                return seen
            await clock.sleep(_LOOK_S)


class Probes(Beat):
    """Probes every channel again and again. Service; one, by lease."""

    def __init__(self, prober: Prober, every_s: float, lease: Lease, clock: Clock, logbook: Logbook) -> None:
        super().__init__("probes", every_s, clock)
        self._prober = prober
        self._lease = lease
        self._logbook = logbook

    async def beat(self) -> None:
        if not await self._lease.held():
            return
        for view in await self._prober.probe(self._prober.channels):
            if view.outcome != "confirmed" and not self._draining:
                self._logbook.note(
                    "warning", "Probe did not get through", channel=view.channel, provider=view.provider,
                    reason=view.reason, notification_id=view.id, error=view.outcome,
                )  # fmt: skip

    def drain(self) -> None:
        super().drain()
        self._prober.drain()


def _user(channel: Channel) -> str:
    return f"probe-{channel}"


def _seen(story: Story, confirming: frozenset[str]) -> _Seen:
    """Where a probe stands by its story."""
    decision = story.decision
    if decision is None:
        return _Seen(None, "waiting")
    if decision.state != "planned":
        reason = decision.reasons[0].code if decision.reasons else decision.state
        return _Seen("failed", reason)
    states = list(story.states.values())
    details = [msgspec.msgpack.decode(event.detail, type=Detail) for event in story.events if event.detail]
    provider = next((detail.provider for detail in reversed(details) if detail.provider), "") or ""
    state = states[0] if states else "waiting"
    reason = next((detail.reason for detail in reversed(details) if detail.reason), "") or state
    if state == "delivered" or (state == "sent" and provider not in confirming):
        return _Seen("confirmed", state, provider)
    return _Seen("failed" if state in _ENDED else None, reason, provider)
