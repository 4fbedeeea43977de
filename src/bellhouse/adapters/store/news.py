"""What a provider's news does to a delivery, whatever store it is in."""

from collections.abc import Iterable, Mapping

from bellhouse.adapters.store.standing import StateOf
from bellhouse.domain.delivery import settled
from bellhouse.domain.ids import DeliveryId, NotificationId, notification_of
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery
from bellhouse.ports.store.confirm import Concerned, Confirmed, NewsRow
from bellhouse.ports.store.route import Facts

Planned = tuple[Notification, PlannedDelivery]


def planned_among(
    deliveries: Iterable[DeliveryId], found: Mapping[NotificationId, tuple[Notification, Decision]]
) -> dict[DeliveryId, Planned]:
    """The notification and plan of each of these deliveries that was ever planned, among what was found."""
    planned: dict[DeliveryId, Planned] = {}
    for identifier in deliveries:
        decided = found.get(notification_of(identifier))
        if decided is None:
            continue
        notification, decision = decided
        plan = next((plan for plan in decision.deliveries if plan.ordinal == identifier[15]), None)
        if plan is not None:
            planned[identifier] = (notification, plan)
    return planned


def concerned(facts: Facts, planned: Planned) -> Concerned:
    """Whom a delivery's news is about; the address is empty where the contact is gone."""
    notification, plan = planned
    profile = facts.profiles.get(notification.recipient)
    contacts = profile.contacts if profile is not None else ()
    address = next((contact.address for contact in contacts if contact.id == plan.contact), "")
    return Concerned(notification.tenant, notification.recipient, plan.contact, address)


def with_news(standing: StateOf, row: NewsRow) -> StateOf:
    """The standing with one more piece of news, and the state that follows."""
    news = (*standing.news, (row.attempt, row.kind))
    state = settled(standing.step_state, standing.last_attempt, news)
    return StateOf(state, standing.steps, standing.step_state, standing.last_attempt, news)


def with_early_news(standing: StateOf, after: StateOf) -> StateOf:
    """The standing with the news known but not yet counted."""
    return StateOf(standing.state, standing.steps, standing.step_state, standing.last_attempt, after.news)


def confirmed(row: NewsRow, before: StateOf, after: StateOf, planned: Planned) -> Confirmed:
    """What is told of a delivery that news has moved."""
    notification, plan = planned
    ready_at = max(notification.ready_at, plan.not_before)
    return Confirmed(row.delivery, before.state, after.state, notification, plan.channel, ready_at)
