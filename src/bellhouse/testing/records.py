"""Makes the values that tests are about: tenants with a type, a template and recipients, notifications, deliveries."""

from hashlib import blake2b

import msgspec

from bellhouse.domain.catalogue import ChannelTemplate, NotificationType, Template
from bellhouse.domain.delivery import Delivery, Detail, Event
from bellhouse.domain.ids import RecipientNo, TenantNo, delivery_id, new_notification_ids
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery
from bellhouse.domain.recipient import ContactPoint, Profile
from bellhouse.domain.words import Channel, DeliveryState, Priority
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.deliver import Claim, Outcome
from bellhouse.ports.store.ingest import Acceptance
from bellhouse.ports.store.recipients import RecipientStore
from bellhouse.ports.store.route import Routed

NOON = 1_763_899_200_000
"""A Sunday noon, UTC, in ms since the epoch."""

HOUR = 3_600_000

_encode = msgspec.msgpack.Encoder().encode


async def found_tenant(
    catalogue: CatalogueStore, recipients: RecipientStore, name: str = "acme", people: int = 3
) -> tuple[TenantNo, list[RecipientNo]]:
    """A tenant with type and template `greeting`, and recipients `u0`, `u1`, … with a device and an address each."""
    tenant = await catalogue.tenant(name, "test")
    await catalogue.put_type(tenant, NotificationType("greeting", "product", channels=("push", "email")))
    texts: dict[Channel, ChannelTemplate] = {
        "push": ChannelTemplate(title="Hello", body="Hello {{ name }}"),
        "email": ChannelTemplate(subject="Hello", text="Hello {{ name }}"),
    }
    await catalogue.put_template(tenant, Template("greeting", 0, {"en": texts}))
    profiles = [profile(f"u{i}") for i in range(people)]
    await recipients.put_recipients(tenant, profiles, NOON)
    numbers = []
    for person in profiles:
        found = await recipients.get_recipient(tenant, person.user_id)
        assert found is not None
        numbers.append(found[0])
    return tenant, numbers


def profile(user_id: str) -> Profile:
    """A recipient with one device and one email address."""
    return Profile(
        user_id,
        contacts=(
            ContactPoint("push:1", "push", f"token-of-{user_id}", ("fcm",)),
            ContactPoint("email:1", "email", f"{user_id}@example.com"),
        ),
    )


def notification(
    tenant: TenantNo,
    recipient: RecipientNo,
    now: int = NOON,
    priority: Priority = "normal",
    ready_at: int | None = None,
    collapse_key: str | None = None,
    user_id: str = "u0",
    campaign: str | None = None,
) -> Notification:
    """A new notification of type `greeting`."""
    return Notification(
        new_notification_ids(now, 1)[0],
        tenant,
        recipient,
        user_id,
        "greeting",
        priority,
        b'{"name": "Ada"}',
        now,
        now + 24 * HOUR,
        ready_at or now,
        collapse_key=collapse_key,
        campaign=campaign,
    )


def acceptance(item: Notification, key: str | None = None, body: str = "body") -> Acceptance:
    """The notification as the door hands it to the store."""
    digest = None if key is None else blake2b(f"{item.tenant}:{key}".encode(), digest_size=16).digest()
    return Acceptance(item, digest, blake2b(body.encode(), digest_size=8).digest())


def routed(item: Notification, count: int = 1, ready_at: int = 0) -> Routed:
    """A decision that plans `count` push deliveries."""
    plans = tuple(PlannedDelivery(i + 1, "push", "push:1", ready_at) for i in range(count))
    raw = msgspec.Raw(_encode(item))
    deliveries = tuple(
        Delivery(
            delivery_id(item.id, plan.ordinal),
            "push",
            item.priority,
            plan.contact,
            item.expires_at,
            "greeting",
            1,
            raw,
            ready_at=max(item.ready_at, ready_at),
        )
        for plan in plans
    )
    return Routed(item, Decision("planned", item.received_at, plans, (), "greeting", 1), deliveries)


def open_claim(value: bytes) -> Claim:
    """The claim in a polled record."""
    delivery = msgspec.msgpack.decode(value, type=Delivery)
    return Claim(delivery, msgspec.msgpack.decode(delivery.notification, type=Notification))


def outcome(
    claim: Claim,
    state: DeliveryState,
    now: int = NOON,
    previous: DeliveryState = "in_flight",
    again_at: int | None = None,
    park: bool = False,
    held_by: str = "",
) -> Outcome:
    """The worker's outcome for a claim; with `again_at` it goes on."""
    delivery = claim.delivery
    detail = _encode(Detail(reason="test", provider="fcm", attempt=delivery.calls + 1))
    event = Event(delivery.id, "worker", delivery.step, state, now, previous, detail)
    again = None
    if again_at is not None:
        again = msgspec.structs.replace(
            delivery,
            step=delivery.step + 1,
            calls=delivery.calls + 1,
            unknown_since=now if state == "unknown" else 0,
        )
    return Outcome(event, claim.notification.tenant, again, again_at or 0, park, held_by)


def flight_of_two(claim: Claim, state: DeliveryState = "sent", now: int = NOON) -> tuple[Outcome, Outcome]:
    """The outcomes of a flight in which a second provider was asked after the first had failed."""
    delivery, tenant = claim.delivery, claim.notification.tenant
    details = [_encode(Detail(reason="test", attempt=delivery.calls + i)) for i in (1, 2)]
    failed = Event(delivery.id, "worker", delivery.step, "in_flight", now, "in_flight", details[0])
    last = Event(delivery.id, "worker", delivery.step + 1, state, now, "in_flight", details[1])
    return Outcome(failed, tenant), Outcome(last, tenant)
