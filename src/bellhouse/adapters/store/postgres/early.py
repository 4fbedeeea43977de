"""News that overtook its own attempt: merged when the attempt is settled, by whoever of the two comes second.

A worker that settles an attempt does not see the news that is committed at the same moment, nor the other way round.
So both look again after their own commit: whichever committed last sees both, and moves the delivery. Should it die
before, the upkeep does it. A row in `early_news` is taken by one of them only.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bellhouse.adapters.store.codec import decode_notification
from bellhouse.adapters.store.postgres.database import Connection, Database, Row
from bellhouse.adapters.store.postgres.events import InFlight, lock_steps
from bellhouse.adapters.store.postgres.ledger import count
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.standing import LAST, NEWS, StateOf, by_delivery, fold_all, is_ahead
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.ids import DeliveryId, TenantNo, notification_of
from bellhouse.domain.words import DeliveryState

_SQL: Final = queries("early")


class Look(msgspec.Struct, frozen=True):
    """Deliveries of one moment, which nobody else moves until the transaction ends."""

    states: Mapping[DeliveryId, StateOf]
    rows: Mapping[DeliveryId, Sequence[Row]]
    """(id, kind, n, state, detail, previous); deliveries without any are missing."""
    sending: InFlight


async def look(connection: Connection, deliveries: Sequence[DeliveryId], lanes: Sequence[str] | None = None) -> Look:
    """Look at deliveries with the intent to move them; `lanes` are the topics that they travel on, where known.

    Locked first, then intents, then rows: a worker that begins another attempt waits for the lock; one that settles the
    first has either its intent still, or its step, which is then locked in another round. Nobody sends what has ended
    for good, so of such the intents are not asked for.
    """
    nobody = InFlight(())
    while True:
        locked = await lock_steps(connection, deliveries)
        found = await _read(connection, deliveries, nobody)
        if all(identifier in locked and found.states[identifier].step_state in LAST for identifier in deliveries):
            return found
        found = await _read(connection, deliveries, await InFlight.of(connection, lanes))
        if all(identifier in locked for identifier, rows in found.rows.items() if _has_steps(rows)):
            return found


async def _read(connection: Connection, deliveries: Sequence[DeliveryId], sending: InFlight) -> Look:
    rows = by_delivery(await connection.fetch(_SQL["rows"], deliveries))
    states = fold_all(deliveries, [row[:5] for found in rows.values() for row in found])
    return Look(states, rows, sending)


def _has_steps(rows: Sequence[Row]) -> bool:
    return any(row[1] != NEWS for row in rows)


async def merge_early_news(database: Database, deliveries: Sequence[DeliveryId]) -> int:
    """Let early news of these deliveries count whose attempts are settled by now; answers how many were moved."""
    waiting = await database.rows(_SQL["waiting"], deliveries)
    if not waiting:
        return 0
    async with database.transaction() as connection:
        # Steps before the notes of early news: whoever brings more news takes them in this order.
        await lock_steps(connection, [row[0] for row in waiting])
        taken = [DeliveryId(row[0]) for row in await connection.fetch(_SQL["take"], [row[0] for row in waiting])]
        seen = await look(connection, taken)
        settled = [identifier for identifier in taken if not seen.sending.has(identifier, seen.states[identifier])]
        tally = Tally()
        moved = 0
        tenants = await _tenants(connection, settled)
        for identifier in settled:
            standing = seen.states[identifier]
            before = _counted(standing, seen.rows.get(identifier, ()))
            if before != standing.state and identifier in tenants:
                tally.delivery(tenants[identifier], identifier, before, standing.state)
                await connection.execute(_SQL["carry"], identifier, before, standing.state)
                moved += 1
        await connection.execute(_SQL["done"], [i for i in settled if _is_done(seen.states[i])])
        await count(connection, tally)
    return moved


async def leftover(database: Database, limit: int) -> Sequence[DeliveryId]:
    """Deliveries whose early news nobody has merged for a while."""
    return [DeliveryId(row[0]) for row in await database.rows(_SQL["leftover"], limit)]


def _is_done(standing: StateOf) -> bool:
    """Whether no attempt follows whose settling could let more of the news count."""
    return standing.state in LAST or not is_ahead(standing)


def _counted(standing: StateOf, rows: Sequence[Row]) -> DeliveryState:
    """The state that the ledger has for a delivery that is not being sent: where its steps have led, moved on by the
    news that has been counted."""
    state = standing.step_state
    moves = {previous: after for _, kind, _, after, _, previous in rows if kind == NEWS and previous != after}
    while state in moves:
        state = moves.pop(state)
    return state


async def _tenants(connection: Connection, deliveries: Sequence[DeliveryId]) -> Mapping[DeliveryId, TenantNo]:
    """Whose these deliveries are; those of a day that is gone are missing."""
    rows = await connection.fetch(_SQL["notifications"], [notification_of(identifier) for identifier in deliveries])
    tenants = {row[0]: decode_notification(row[1]).tenant for row in rows}
    found = ((identifier, tenants.get(notification_of(identifier))) for identifier in deliveries)
    return {identifier: tenant for identifier, tenant in found if tenant is not None}
