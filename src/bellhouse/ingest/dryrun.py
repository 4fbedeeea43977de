"""What would become of a notification, and why: the router's own decision and rendering, with nothing written."""

from typing import Any

import msgspec

from bellhouse.domain.catalogue import NotificationType, Template
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery, Reason
from bellhouse.domain.recipient import Profile
from bellhouse.domain.words import Channel, NotificationState, Priority
from bellhouse.ingest.accept import Acceptor, Draft, Refused
from bellhouse.policy.decide import decide
from bellhouse.policy.reasons import sentence
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.route import RouteStore
from bellhouse.templates.compile import channels_of
from bellhouse.templates.errors import TemplateFault
from bellhouse.templates.render import Renderer
from bellhouse.web.problems import invalid
from bellhouse.web.reply import Reply
from bellhouse.web.times import rfc3339, rfc3339_or_none


class DryReason(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reason: its code, and the sentence for people."""

    code: str
    sentence: str
    channel: Channel | None = None
    contact: str | None = None
    detail: str | None = None


class DryDelivery(msgspec.Struct, frozen=True):
    """A delivery that would be made."""

    channel: Channel
    contact: str
    reason: DryReason
    not_before: str | None
    message: dict[str, Any] | None
    """Exactly what would go out."""
    error: str | None
    """Why it cannot be rendered: it would become a dead letter."""


class DryRunAnswer(msgspec.Struct, frozen=True):
    """What would become of the notification."""

    dry_run: bool
    state: NotificationState
    priority: Priority
    send_at: str
    expires_at: str
    template: str | None
    template_version: int
    reasons: list[DryReason]
    """One for each channel or contact point that would be left out."""
    deliveries: list[DryDelivery]


class Rehearsal:
    """Decides and renders a draft."""

    def __init__(
        self, acceptor: Acceptor, facts: RouteStore, catalogue: CatalogueStore, renderer: Renderer, clock: Clock
    ) -> None:
        self._acceptor = acceptor
        self._facts = facts
        self._catalogue = catalogue
        self._renderer = renderer
        self._clock = clock

    async def explain(self, draft: Draft) -> Reply:
        """The plan as an answer. Raises Problem for an unknown type or recipient."""
        resolved = await self._acceptor.resolve(draft)
        if isinstance(resolved, Refused):
            raise invalid(*resolved.errors)
        return Reply(200, msgspec.json.encode(await self._rehearse(*resolved)))

    async def _rehearse(self, note: Notification, kind: NotificationType) -> DryRunAnswer:
        facts = await self._facts.facts((note,))
        profile = facts.profiles.get(note.recipient)
        name = kind.template or kind.name
        template = await self._catalogue.template(note.tenant, name)
        decision = decide(
            note,
            kind,
            profile,
            facts.suppressed.get(note.tenant, frozenset()),
            channels_of(template) if template else (),
            name,
            template.version if template else 0,
            max(self._clock.now(), note.ready_at),
        )
        return DryRunAnswer(
            True,
            decision.state,
            note.priority,
            rfc3339(note.ready_at),
            rfc3339(note.expires_at),
            decision.template,
            decision.template_version,
            [_reason(reason) for reason in decision.reasons],
            self._deliveries(note, decision, profile, template),
        )

    def _deliveries(
        self, note: Notification, decision: Decision, profile: Profile | None, template: Template | None
    ) -> list[DryDelivery]:
        if profile is None or template is None:
            return []
        return [self._delivery(note, plan, profile, template) for plan in decision.deliveries]

    def _delivery(self, note: Notification, plan: PlannedDelivery, profile: Profile, template: Template) -> DryDelivery:
        message, error = None, None
        try:
            content = self._renderer.render(
                note.tenant, template, profile.locale, plan.channel, msgspec.json.decode(note.data), note.user_id
            )
            message = msgspec.to_builtins(content)
            message.pop("frame", None)
            message.pop("type", None)
        except TemplateFault as fault:
            error = str(fault)
        reason = DryReason(plan.reason, sentence(plan.reason))
        return DryDelivery(plan.channel, plan.contact, reason, rfc3339_or_none(plan.not_before), message, error)


def _reason(reason: Reason) -> DryReason:
    return DryReason(reason.code, sentence(reason.code), reason.channel, reason.contact, reason.detail)
