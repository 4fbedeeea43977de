"""Writes down what became of a delivery: its events, its next record if it goes on, and its dead letter."""

from typing import Final

import msgspec

from bellhouse.deliver.conclude import Conclusion, reason_text
from bellhouse.deliver.flight import Flight, Ticket
from bellhouse.deliver.prepare import Refused
from bellhouse.deliver.settler import Settled
from bellhouse.domain.attempt import Accepted, Verdict, name_of
from bellhouse.domain.delivery import Delivery, Detail, Event, PassedOver
from bellhouse.domain.words import DeliveryState
from bellhouse.ports.provider import Sheet
from bellhouse.ports.store.deliver import Claim, DeadLetter, Outcome, Retirement, Suppression

encode: Final = msgspec.msgpack.Encoder().encode


def detail_of(flight: Flight, sheet: Sheet, verdict: Verdict, seconds: float, reason: str) -> Detail:
    """What the story tells of one call."""
    accepted = isinstance(verdict, Accepted)
    return Detail(
        reason=reason,
        provider=sheet.name,
        attempt=flight.call,
        verdict=name_of(verdict),
        code=verdict.code,
        message_id=verdict.message_id if isinstance(verdict, Accepted) else None,
        duration_ms=round(seconds * 1000, 1),
        price=price_of(verdict, sheet) if accepted else 0.0,
        why=reason_text(verdict),
        passed_over=_passed_over(flight),
    )


def _passed_over(flight: Flight) -> dict[str, PassedOver]:
    """Of the first call of a flight; those after it are failovers."""
    return {} if flight.passed_over is None or flight.events else dict(flight.passed_over)


def price_of(verdict: Verdict, sheet: Sheet) -> float:
    """What a call cost, in the sheet's currency."""
    if not isinstance(verdict, Accepted):
        return 0.0
    return sheet.price if verdict.price is None else verdict.price


def settled_accepted(
    flight: Flight, sheet: Sheet, verdict: Accepted, price: float, seconds: float, now: int
) -> Settled:
    """The outcome of a delivery that its provider took: what nearly all come to, so it is written down directly."""
    delivery = flight.delivery
    tenant = flight.notification.tenant
    detail = Detail(
        "delivered:on_acceptance" if verdict.delivered else "sent:accepted",
        sheet.name,
        flight.call,
        "accepted",
        verdict.code,
        verdict.message_id,
        round(seconds * 1000, 1),
        None,
        price,
    )
    if flight.passed_over is not None:
        detail = msgspec.structs.replace(detail, passed_over=_passed_over(flight))
    n = delivery.step + len(flight.events)
    state: DeliveryState = "delivered" if verdict.delivered else "sent"
    last = Outcome(Event(delivery.id, "worker", n, state, now, "in_flight", encode(detail)), tenant)
    if not flight.events:
        return Settled(flight.ticket, (last,))
    return Settled(flight.ticket, (*(Outcome(failed, tenant) for failed in flight.events), last))


def settled_flight(
    flight: Flight, sheet: Sheet, verdict: Verdict, seconds: float, conclusion: Conclusion, now: int
) -> Settled:
    """The outcome of a delivery that was called for."""
    delivery = flight.delivery
    tenant = flight.notification.tenant
    detail = detail_of(flight, sheet, verdict, seconds, conclusion.reason)
    parked = conclusion.waits == "outage"
    # Whatever a provider asks for, a delivery ends with its lifetime.
    end = delivery.expires_at + 1
    again_at = end if parked else min(now + conclusion.wait_ms, end)
    again = letter = None
    if conclusion.state == "dead_lettered":
        record = _next_record(flight, conclusion, sheet.name, now)
        letter = DeadLetter(record, flight.notification, conclusion.reason, now, sheet.name, verdict.code)
    elif conclusion.waits != "no":
        again = _next_record(flight, conclusion, sheet.name, now)
        detail = _going_on(detail, again_at, parked)
    n = delivery.step + len(flight.events)
    event = Event(delivery.id, "worker", n, conclusion.state, now, "in_flight", encode(detail))
    last = Outcome(event, tenant, again, again_at, parked)
    outcomes = (*(Outcome(failed, tenant) for failed in flight.events), last)
    return Settled(flight.ticket, outcomes, letter, *_follow_up(flight, conclusion, now))


def _going_on(detail: Detail, again_at: int, open_ended: bool) -> Detail:
    """What the story tells of a wait: until when; of the end of an outage or a brake nobody knows the moment."""
    return detail if open_ended else msgspec.structs.replace(detail, retry_at=again_at)


def _follow_up(flight: Flight, conclusion: Conclusion, now: int) -> tuple[Retirement | None, Suppression | None]:
    notification = flight.notification
    match conclusion.effect:
        case "retire":
            return Retirement(notification.recipient, flight.delivery.contact, conclusion.reason), None
        case "suppress":
            return None, Suppression(notification.tenant, flight.address, "opt_out", now, "refused by the provider")
        case _:
            return None, None


def _next_record(flight: Flight, conclusion: Conclusion, provider: str, now: int) -> Delivery:
    delivery = flight.delivery
    calls = len(flight.events) + 1
    return msgspec.structs.replace(
        delivery,
        step=delivery.step + calls,
        calls=delivery.calls + calls,
        attempt=delivery.attempt + conclusion.counts,
        tried=(),
        parked=conclusion.waits == "outage",
        unknown_since=now if conclusion.state == "unknown" else 0,
        unknown_at=provider if conclusion.state == "unknown" else "",
    )


def settled_found(flight: Flight, sheet: Sheet, found: Accepted, now: int) -> Settled:
    """The outcome of a delivery whose provider, asked afterwards, turned out to have taken it: the attempt is the one
    whose answer never came."""
    detail = Detail(
        reason="sent:found",
        provider=sheet.name,
        attempt=flight.delivery.calls,
        verdict="accepted",
        code=found.code,
        message_id=found.message_id,
        price=price_of(found, sheet),
    )
    event = Event(flight.delivery.id, "worker", flight.delivery.step, "sent", now, "in_flight", encode(detail))
    return Settled(flight.ticket, (Outcome(event, flight.notification.tenant),))


def settled_unresolved(flight: Flight, now: int) -> Settled:
    """The outcome of a delivery that nobody knows of and whose policy is not to send it twice."""
    detail = encode(Detail(reason="failed:unknown_outcome"))
    event = Event(flight.delivery.id, "worker", flight.delivery.step, "failed", now, "in_flight", detail)
    return Settled(flight.ticket, (Outcome(event, flight.notification.tenant),))


def settled_refusal(refused: Refused, ticket: Ticket, now: int) -> Settled:
    """The outcome of a delivery that did not go out: it ends, or waits for a moment."""
    detail = Detail(reason=refused.reason, why=refused.detail, by=refused.by)
    if refused.state == "dead_lettered":
        return _settled_letter(refused, ticket, detail, now)
    if refused.wait_until:
        until, held_by = refused.wait_until, refused.held_by
        return settled_waiting(refused.claim, ticket, detail, now, until, park=False, held_by=held_by)
    return Settled(ticket, (_outcome(refused.claim, refused.state, detail, now),))


def _settled_letter(refused: Refused, ticket: Ticket, detail: Detail, now: int) -> Settled:
    claim = refused.claim
    again = msgspec.structs.replace(claim.delivery, step=claim.delivery.step + 1, unknown_since=0)
    letter = DeadLetter(again, claim.notification, refused.reason, now)
    return Settled(ticket, (_outcome(claim, "dead_lettered", detail, now),), letter)


def settled_waiting(
    claim: Claim,
    ticket: Ticket,
    detail: Detail,
    now: int,
    until: int,
    *,
    park: bool,
    unknown: bool = False,
    held_by: str = "",
) -> Settled:
    """The outcome of a delivery that waits unspent: for a moment, for the end of an outage (`park`), or of the brake
    `held_by`. One whose last outcome is unknown stays so.

    `unknown`: it was in flight when an earlier process ended, and waits for news of what became of it.
    """
    delivery = claim.delivery
    again = msgspec.structs.replace(
        delivery,
        step=delivery.step + 1,
        parked=park or bool(held_by),
        unknown_since=now if unknown else delivery.unknown_since,
        calls=delivery.calls + unknown,
        attempt=delivery.attempt + unknown,
    )
    state: DeliveryState = "unknown" if again.unknown_since else "waiting"
    outcome = _outcome(claim, state, _going_on(detail, until, park or bool(held_by)), now, interrupted=unknown)
    waiting = msgspec.structs.replace(outcome, again=again, again_at=until, park=park, held_by=held_by)
    return Settled(ticket, (waiting,))


def _outcome(claim: Claim, state: DeliveryState, detail: Detail, now: int, *, interrupted: bool = False) -> Outcome:
    delivery = claim.delivery
    before: DeliveryState = "unknown" if delivery.unknown_since else "waiting"
    if interrupted:
        before = "in_flight"
    event = Event(delivery.id, "worker", delivery.step, state, now, before, encode(detail))
    return Outcome(event, claim.notification.tenant)


def settled_no_provider(flight: Flight, now: int) -> Settled:
    """The outcome of a delivery that no configured provider can reach: a dead letter, until one is configured."""
    refused = Refused(flight.claim, "dead_lettered", "dead_lettered:no_provider")
    return settled_refusal(refused, flight.ticket, now)
