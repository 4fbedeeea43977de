"""The whole story of a notification: state, decision with reasons in words, deliveries, attempts, callbacks."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bellhouse.domain.delivery import Detail, NewsKind, PassedOver, Source
from bellhouse.domain.ids import delivery_id, to_text
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery, Reason
from bellhouse.domain.words import Channel, DeliveryState, NotificationState, Priority
from bellhouse.policy.pauses import Pause, brakes_of
from bellhouse.policy.reasons import ReasonCode, sentence
from bellhouse.ports.store.insights import Story, StoryEvent
from bellhouse.web.times import rfc3339, rfc3339_or_none


class ReasonView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reason: its code, and the sentence for people."""

    code: str
    sentence: str
    channel: Channel | None = None
    contact: str | None = None
    """The contact point's id, never its address."""
    detail: str | None = None


class DecisionView(msgspec.Struct, frozen=True):
    """What was decided, when, and why."""

    state: NotificationState
    at: str
    template: str | None
    template_version: int
    reasons: list[ReasonView]
    """One for each channel or contact point that was left out."""


class AttemptView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call of one provider."""

    attempt: int
    at: str
    provider: str | None
    verdict: str
    state: DeliveryState
    """What the delivery became by it."""
    code: str | None = None
    """The provider's own code."""
    reason: ReasonView | None = None
    message_id: str | None = None
    duration_ms: float = 0.0
    price: float = 0.0
    retry_at: str | None = None
    passed_over: dict[str, PassedOver] = {}
    """The providers that stand earlier in the order and were not asked, each with what kept it from it."""


class CallbackView(msgspec.Struct, frozen=True, omit_defaults=True):
    """News from a provider."""

    at: str
    news: str | None
    attempt: int
    provider: str | None = None
    code: str | None = None
    reason: ReasonView | None = None


class StepView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened to a delivery, whoever did it."""

    at: str
    source: Source
    state: DeliveryState
    reason: ReasonView | None = None
    by: str | None = None
    why: str | None = None
    until: str | None = None
    """Until when it waits by this, where that is known."""
    is_attempt: bool = False
    """Whether a provider was called."""


class DeliveryView(msgspec.Struct, frozen=True):
    """One delivery: where it stands and how it came there."""

    id: str
    channel: Channel
    contact: str
    state: DeliveryState
    reason: ReasonView
    """Why it stands there: of the last thing that happened, or of the decision."""
    chosen: ReasonView
    """Why it was planned."""
    not_before: str | None
    attempts: list[AttemptView]
    callbacks: list[CallbackView]
    history: list[StepView]


class NotificationView(msgspec.Struct, frozen=True):
    """The whole story."""

    id: str
    user_id: str
    type: str
    priority: Priority
    state: NotificationState
    received_at: str
    send_at: str | None
    expires_at: str
    channels: tuple[Channel, ...] | None
    data: dict[str, Any]
    campaign: str | None
    collapse_key: str | None
    idempotency_key: str | None
    traceparent: str | None
    decision: DecisionView | None
    deliveries: list[DeliveryView]


class NotificationLine(msgspec.Struct, frozen=True):
    """A notification in a list."""

    id: str
    user_id: str
    type: str
    priority: Priority
    state: NotificationState
    received_at: str
    send_at: str | None
    expires_at: str
    campaign: str | None


_NEWS: Final[dict[NewsKind, ReasonCode]] = {
    "accepted": "sent:accepted",
    "delivered": "delivered:confirmed",
    "failed": "failed:reported",
}
"""What a provider's news says in our words; its own word goes beside it."""

_SUCCESS: Final = {"sent": "sent:accepted", "delivered": "delivered:confirmed", "failed": "failed:reported"}


def view_of(story: Story, pauses: Sequence[Pause] = ()) -> NotificationView:
    """A story as it is shown; `pauses` are the brakes that are pulled now."""
    note = story.notification
    decision = story.decision
    return NotificationView(
        id=to_text(note.id),
        user_id=note.user_id,
        type=note.type,
        priority=note.priority,
        state=decision.state if decision else "waiting",
        received_at=rfc3339(note.received_at),
        send_at=_send_at(note),
        expires_at=rfc3339(note.expires_at),
        channels=note.channels,
        data=msgspec.json.decode(note.data),
        campaign=note.campaign,
        collapse_key=note.collapse_key,
        idempotency_key=note.idempotency_key,
        traceparent=note.traceparent,
        decision=_decision_view(decision) if decision else None,
        deliveries=[_delivery_view(story, plan, pauses) for plan in decision.deliveries] if decision else [],
    )


def line_of(note: Notification, state: NotificationState) -> NotificationLine:
    """A notification as it is listed."""
    return NotificationLine(
        to_text(note.id),
        note.user_id,
        note.type,
        note.priority,
        state,
        rfc3339(note.received_at),
        _send_at(note),
        rfc3339(note.expires_at),
        note.campaign,
    )


def reason_view(code: str, detail: str | None = None) -> ReasonView:
    """A reason code with its sentence."""
    return ReasonView(code, sentence(code), detail=detail)


def _send_at(note: Notification) -> str | None:
    return rfc3339(note.ready_at) if note.ready_at > note.received_at else None


def _decision_view(decision: Decision) -> DecisionView:
    return DecisionView(
        decision.state,
        rfc3339(decision.at),
        decision.template,
        decision.template_version,
        [_decided(reason) for reason in decision.reasons],
    )


def _decided(reason: Reason) -> ReasonView:
    return ReasonView(reason.code, sentence(reason.code), reason.channel, reason.contact, reason.detail)


def _delivery_view(story: Story, plan: PlannedDelivery, pauses: Sequence[Pause]) -> DeliveryView:
    identifier = delivery_id(story.notification.id, plan.ordinal)
    events = [(event, _detail(event)) for event in story.events if event.delivery == identifier]
    state = story.states.get(identifier, "waiting")
    return DeliveryView(
        id=to_text(identifier),
        channel=plan.channel,
        contact=plan.contact,
        state=state,
        reason=_paused(story, plan, state, pauses) or _reason_now(state, events, plan),
        chosen=reason_view(plan.reason),
        not_before=rfc3339_or_none(plan.not_before),
        attempts=[_attempt(event, detail) for event, detail in events if detail.verdict is not None],
        callbacks=[_callback(event, detail) for event, detail in events if event.source == "news"],
        history=[_step(event, detail) for event, detail in events],
    )


def _paused(story: Story, plan: PlannedDelivery, state: DeliveryState, pauses: Sequence[Pause]) -> ReasonView | None:
    """That it waits under a brake, with who pulled it and why; None where it does not."""
    if not pauses or state not in ("waiting", "unknown"):
        return None
    note, template = story.notification, story.decision.template if story.decision else None
    brakes = brakes_of(pauses, plan.channel, note.priority)
    pause = brakes.holding(note.tenant, note.type, template, note.campaign)
    if pause is None:
        return None
    lever = pause.lever
    why = f": {lever.why}" if lever.why else ", who did not say why"
    return reason_view("waiting:paused", f"{lever.scope} has been paused since {rfc3339(lever.at)} by {lever.by}{why}")


def _detail(event: StoryEvent) -> Detail:
    return msgspec.msgpack.decode(event.detail, type=Detail) if event.detail else Detail()


def _reason_now(state: DeliveryState, events: Sequence[tuple[StoryEvent, Detail]], plan: PlannedDelivery) -> ReasonView:
    """The reason of the last event that made this state, else what the state itself says."""
    for event, detail in reversed(events):
        reason = _event_reason(event, detail)
        if event.state == state and reason is not None and (event.source != "news" or reason.code.startswith(state)):
            return reason
    return reason_view(_SUCCESS.get(state, plan.reason))


def _event_reason(event: StoryEvent, detail: Detail) -> ReasonView | None:
    if event.source == "news" and detail.news is not None:
        return reason_view(_NEWS[detail.news], detail.reason)
    code = detail.reason or (_SUCCESS.get(event.state) if event.source != "operator" else None)
    return reason_view(code) if code else None


def _attempt(event: StoryEvent, detail: Detail) -> AttemptView:
    return AttemptView(
        attempt=detail.attempt,
        at=rfc3339(event.at),
        provider=detail.provider,
        verdict=detail.verdict or "",
        state=event.state,
        code=detail.code,
        reason=_event_reason(event, detail),
        message_id=detail.message_id,
        duration_ms=detail.duration_ms,
        price=detail.price,
        retry_at=rfc3339_or_none(detail.retry_at),
        passed_over=detail.passed_over,
    )


def _callback(event: StoryEvent, detail: Detail) -> CallbackView:
    return CallbackView(
        rfc3339(event.at), detail.news, detail.attempt, detail.provider, detail.code, _event_reason(event, detail)
    )


def _step(event: StoryEvent, detail: Detail) -> StepView:
    until, called = rfc3339_or_none(detail.retry_at), detail.verdict is not None
    reason = _event_reason(event, detail)
    return StepView(rfc3339(event.at), event.source, event.state, reason, detail.by, detail.why, until, called)
