"""Ends what has expired in the backlog, before a worker comes by it."""

from collections.abc import Sequence
from typing import Final

from bellhouse.adapters.store.codec import encode
from bellhouse.adapters.store.postgres import partitions
from bellhouse.adapters.store.postgres.database import Connection, Database
from bellhouse.adapters.store.postgres.events import InFlight, Step, insert_steps, lock_steps, states_of
from bellhouse.adapters.store.postgres.ledger import count
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.postgres.takeover import lane_of, lock_acts
from bellhouse.adapters.store.standing import stands
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import NotificationId
from bellhouse.ports.store.deliver import Claim
from bellhouse.ports.store.errors import StoreUnavailable

_DECIDED: Final = queries("levers")["decided"]


class PostgresExpiry:
    """The ExpiryStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        kept = await self._of_days_that_are_kept(claims)
        async with self._database.connection() as connection:
            return await _waiting(connection, kept)

    async def expire(self, claims: Sequence[Claim], now: int, by: str) -> int:
        kept = await self._of_days_that_are_kept(claims)
        if not kept:
            return 0
        detail = encode(Detail(reason="expired:lifetime", by=by))
        tally = Tally()
        async with self._database.transaction() as connection:
            # From here on nobody notes an intent to send that does not look closer, as after a take-over.
            await lock_acts(connection, sorted({lane_of(claim) for claim in kept}))
            await lock_steps(connection, [claim.delivery.id for claim in kept])
            ended = await _waiting(connection, kept)
            states = await states_of(connection, [claim.delivery.id for claim in ended])
            steps: list[Step] = []
            for claim in sorted(ended, key=lambda claim: claim.delivery.id):
                delivery, standing = claim.delivery, states[claim.delivery.id]
                steps.append((delivery.id, standing.steps, "expired", standing.state, now, "operator", detail))
                tally.delivery(claim.notification.tenant, delivery.id, standing.state, "expired")
            if len(await insert_steps(connection, steps)) < len(steps):
                # A worker has written what it concluded between our two looks.
                raise StoreUnavailable("busy", "try again")
            await count(connection, tally)
        return len(steps)

    async def undecided(self, notifications: Sequence[NotificationId]) -> frozenset[NotificationId]:
        decided = {row[0] for row in await self._database.rows(_DECIDED, list(notifications))}
        return frozenset(identifier for identifier in notifications if identifier not in decided)

    async def _of_days_that_are_kept(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        kept = await partitions.kept(self._database, [claim.delivery.id for claim in claims])
        return [claim for claim in claims if claim.delivery.id in kept]


async def _waiting(connection: Connection, claims: Sequence[Claim]) -> list[Claim]:
    sending = await InFlight.of(connection)
    states = await states_of(connection, [claim.delivery.id for claim in claims])
    found = {}
    for claim in claims:
        standing = states[claim.delivery.id]
        if stands(claim, standing) and not sending.has(claim.delivery.id, standing):
            found[claim.delivery.id] = claim
    return list(found.values())
