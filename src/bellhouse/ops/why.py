"""Why she got it, or why not, why then and why by this provider: a story in sentences for a support person."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from bellhouse.domain.delivery import PassedOver
from bellhouse.domain.words import NotificationState
from bellhouse.ops.story import AttemptView, DeliveryView, NotificationView, ReasonView, StepView
from bellhouse.policy.reasons import sentence
from bellhouse.policy.why_words import (
    AFTER_FAILURE,
    FIRST_IN_ORDER,
    NEXT,
    NEXT_AT,
    NEXT_OUTAGE,
    NOT_BEFORE,
    NOT_ROUTED,
    OF_CAMPAIGN,
    PASSED,
    PASSED_OVER,
    SCHEDULED,
    WAS_SCHEDULED,
)


class WhyAnswer(msgspec.Struct, frozen=True):
    """Why she got it, or why not, in sentences."""

    id: str
    state: NotificationState
    sentences: list[str]
    """First its campaign, where it has one, and what was decided of each channel, then of each delivery what happened,
    in order, and what comes next."""


def why_of(view: NotificationView) -> WhyAnswer:
    """The story in sentences."""
    return WhyAnswer(view.id, view.state, list(_sentences(view)))


def _sentences(view: NotificationView) -> Iterator[str]:
    if view.campaign is not None:
        yield OF_CAMPAIGN.format(name=view.campaign)
    decision = view.decision
    if decision is None:
        yield f"{sentence('waiting:scheduled')} {SCHEDULED.format(at=view.send_at)}" if view.send_at else NOT_ROUTED
        return
    if view.send_at is not None and view.deliveries:
        yield WAS_SCHEDULED.format(at=view.send_at)
    for reason in decision.reasons:
        yield f"{reason.channel or 'All channels'}: not sent. {reason.sentence}"
    for delivery in view.deliveries:
        yield from _of_delivery(view, delivery, _name(view, delivery))


def _name(view: NotificationView, delivery: DeliveryView) -> str:
    """The channel, and which of its contact points where there are several."""
    same = [other.id for other in view.deliveries if other.channel == delivery.channel]
    if len(same) == 1:
        return delivery.channel
    return f"{delivery.channel} ({same.index(delivery.id) + 1} of {len(same)})"


def _of_delivery(view: NotificationView, delivery: DeliveryView, name: str) -> Iterator[str]:
    provider = next((attempt.provider for attempt in reversed(delivery.attempts) if attempt.provider), None)
    by = f" by {provider}" if provider else ""
    planned = f"Planned: {delivery.chosen.sentence}"
    if delivery.not_before is not None and delivery.not_before != view.send_at:
        planned += f" {NOT_BEFORE.format(at=delivery.not_before)}"
    yield f"{name}: {_state(delivery)}{by}. {planned} Now: {_told(delivery.reason)}"
    yield from (f"{name}, {text}" for text in _events(delivery))
    following = _next(view, delivery)
    if following:
        yield f"{name}, next: {following}"


def _state(delivery: DeliveryView) -> str:
    return delivery.state.replace("_", " ")


def _told(reason: ReasonView) -> str:
    """The reason in sentences; of a pause, also who and why."""
    return (
        f"{reason.sentence} {reason.detail}." if reason.code == "waiting:paused" and reason.detail else reason.sentence
    )


def _events(delivery: DeliveryView) -> Iterator[str]:
    """What happened, in order; waits for the same reason, one after another, are one."""
    attempts = iter(delivery.attempts)
    callbacks = iter(delivery.callbacks)
    failed: list[str] = []
    for _, group in groupby(_with_attempts(delivery, attempts), key=_sameness):
        steps = list(group)
        step, attempt = steps[-1]
        if step.source == "news":
            callback = next(callbacks)
            who = callback.provider or "the provider"
            own = f" ({callback.reason.detail or callback.code})" if callback.reason and callback.code else ""
            told = callback.reason.sentence if callback.reason else callback.news
            yield f"{who} reported{own}, at {step.at} by its own clock: {told}"
        elif attempt is not None:
            yield f"{step.at}: {_call(attempt, failed)}"
            failed = [*failed, attempt.provider or ""] if attempt.state == "in_flight" else []
        else:
            yield _step(steps[0][0].at, step, len(steps))


_Step = tuple[StepView, AttemptView | None]


def _with_attempts(delivery: DeliveryView, attempts: Iterator[AttemptView]) -> Iterator[_Step]:
    """Each step of a delivery's history with the attempt that it was, where it was one."""
    for step in delivery.history:
        yield step, next(attempts) if step.is_attempt else None


def _sameness(both: _Step) -> object:
    step, attempt = both
    alone = attempt is not None or step.source != "worker" or step.reason is None
    return id(step) if alone else step.reason.code if step.reason else ""


def _call(attempt: AttemptView, failed: Sequence[str]) -> str:
    answer = f" It answered {attempt.code}." if attempt.code and attempt.verdict != "accepted" else ""
    told = attempt.reason.sentence if attempt.reason is not None else ""
    again = f" The next try was set for {attempt.retry_at}." if attempt.retry_at else ""
    why = _why_provider(attempt, failed)
    return f"attempt {attempt.attempt} went to {attempt.provider}, {why}.{answer} {told}{again}"


def _why_provider(attempt: AttemptView, failed: Sequence[str]) -> str:
    if failed:
        return AFTER_FAILURE.format(providers=" and ".join(failed))
    if attempt.passed_over:
        named = [f"{name} ({_passed(why)})" for name, why in attempt.passed_over.items()]
        return PASSED.format(providers=" and ".join(named))
    return FIRST_IN_ORDER


def _passed(why: PassedOver) -> str:
    return PASSED_OVER[why]


def _step(since: str, step: StepView, times: int) -> str:
    told = step.reason.sentence if step.reason is not None else f"It became {step.state.replace('_', ' ')}."
    until = f" Until {step.until}." if step.until else ""
    because = f" {step.why}" if step.why and step.source == "operator" else ""
    often = f" ({times} times until {step.at})" if times > 1 else ""
    return f"{since}{often}: {told}{until}{because}"


def _next(view: NotificationView, delivery: DeliveryView) -> str:
    if delivery.state in ("waiting", "unknown"):
        if delivery.reason.code == "waiting:outage" and not _until(delivery):
            return NEXT_OUTAGE.format(expires_at=view.expires_at)
        if delivery.reason.code == "waiting:paused":
            return ""
        moment = _until(delivery) if delivery.history else delivery.not_before
        if moment and delivery.state == "waiting":
            return NEXT_AT.format(at=moment)
        if moment:
            return f"{NEXT[delivery.state]} It looks again at {moment}."
    return NEXT[delivery.state]


def _until(delivery: DeliveryView) -> str | None:
    """Until when the last step lets it wait."""
    worked = [step for step in delivery.history if step.source != "news"]
    return worked[-1].until if worked else None
