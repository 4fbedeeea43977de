"""What route asks of the store: facts of recipients, and decisions made durable with their deliveries."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import asyncpg

from bellhouse.adapters.store.codec import decode_decision, decode_profile, encode
from bellhouse.adapters.store.postgres import partitions
from bellhouse.adapters.store.postgres.database import Connection, Database
from bellhouse.adapters.store.postgres.due import wait
from bellhouse.adapters.store.postgres.ledger import columns
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.delivery import Delivery
from bellhouse.domain.ids import NotificationId, RecipientNo, TenantNo
from bellhouse.domain.notification import Decision, Notification
from bellhouse.domain.planning import planned_deliveries
from bellhouse.ports.doorbell import DUE
from bellhouse.ports.log import Position, Publisher, Record, deliveries_topic
from bellhouse.ports.store.route import Facts, Routed

_SQL: Final = queries("route")


async def read_facts(connection: Connection, recipients: Iterable[tuple[TenantNo, RecipientNo]]) -> Facts:
    """Profiles of these recipients, and the suppressed among their addresses."""
    wanted = {recipient: tenant for tenant, recipient in recipients}
    if not wanted:
        return Facts({}, {})
    rows = await connection.fetch(_SQL["profiles"], list(wanted))
    profiles = {recipient: decode_profile(record) for recipient, record in rows}
    asked = {
        (wanted[recipient], contact.address)
        for recipient, profile in profiles.items()
        for contact in profile.contacts
        if contact.address
    }
    suppressed: dict[TenantNo, set[str]] = defaultdict(set)
    if asked:
        found = await connection.fetch(_SQL["suppressed"], [tenant for tenant, _ in asked], [a for _, a in asked])
        for tenant, address in found:
            suppressed[tenant].add(address)
    return Facts(profiles, {tenant: frozenset(addresses) for tenant, addresses in suppressed.items()})


class PostgresRoute:
    """The store's side of the router. What it has decided it publishes itself, when that is committed."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher

    async def facts(self, notifications: Sequence[Notification]) -> Facts:
        async with self._database.connection() as connection:
            return await read_facts(connection, ((n.tenant, n.recipient) for n in notifications))

    async def decide(self, routed: Sequence[Routed], now: int, done: Sequence[Position]) -> int:  # noqa: ARG002 - the reader commits
        if not routed:
            return 0
        items = {item.notification.id: item for item in routed}
        try:
            return await self._decide(items, now)
        except asyncpg.CheckViolationError:
            # The log has kept records of a day for longer than the store has kept the day.
            kept = await partitions.kept(self._database, items)
            return await self._decide({i: item for i, item in items.items() if i in kept}, now)

    async def _decide(self, items: Mapping[NotificationId, Routed], now: int) -> int:
        async with self._database.transaction() as connection:
            new = await _insert(connection, list(items.values()))
            fresh = [item for item in items.values() if item.notification.id in new]
            deferred = await _count_and_defer(connection, fresh, now)
            records = _records(fresh, now)
            if len(fresh) < len(items):
                records += await _stored_before(connection, [i for i in items.values() if i.notification.id not in new])
        if deferred:
            self._database.ring(frozenset({DUE}))
        await self._publisher.append(records)
        return len(fresh)


async def _insert(connection: Connection, items: Sequence[Routed]) -> set[bytes]:
    """Insert decisions; answers the ids of those that were not decided before."""
    # In one order, so that two that decide the same wait for one another in turn.
    items = sorted(items, key=lambda item: item.notification.id)
    rows = await connection.fetch(
        _SQL["decide"],
        [item.notification.id for item in items],
        [item.decision.state for item in items],
        [len(item.deliveries) for item in items],
        [encode(item.decision) for item in items],
    )
    return {row[0] for row in rows}


async def _count_and_defer(connection: Connection, fresh: Sequence[Routed], now: int) -> bool:
    """Move the counters, and let wait what is not to be sent yet; answers whether anything waits."""
    if not fresh:
        return False
    tally = Tally()
    due: list[tuple[int, Delivery]] = []
    for item in fresh:
        notification = item.notification
        tally.notification(notification.tenant, notification.id, "waiting", item.decision.state)
        if item.deliveries:
            tally.delivery(notification.tenant, notification.id, None, "waiting", len(item.deliveries))
        due += [(d.ready_at, d) for d in item.deliveries if _is_deferred(d, notification, now)]
    await connection.execute(_SQL["count"], *columns(tally))
    await wait(connection, due)
    return bool(due)


def _is_deferred(delivery: Delivery, notification: Notification, decided_at: int) -> bool:
    # A clock that was set back must not keep back what has been accepted already.
    return delivery.ready_at > max(decided_at, notification.received_at)


def _records(items: Sequence[Routed], now: int) -> list[Record]:
    return [
        Record(deliveries_topic(delivery.channel, delivery.priority), encode(delivery), item.notification.recipient)
        for item in items
        for delivery in item.deliveries
        if not _is_deferred(delivery, item.notification, now)
    ]


async def _stored_before(connection: Connection, items: Sequence[Routed]) -> list[Record]:
    """The records of decisions that stand already: whoever made them may have died before they were published."""
    asked = {item.notification.id: item.notification for item in items}
    rows = await connection.fetch(_SQL["decisions"], list(asked))
    records = []
    for identifier, record in rows:
        decision: Decision = decode_decision(record)
        notification = asked[identifier]
        stored = Routed(notification, decision, planned_deliveries(notification, encode(notification), decision))
        records += _records([stored], decision.at)
    return records
