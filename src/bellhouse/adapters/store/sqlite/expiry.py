"""Ends what has expired in the backlog, before a worker comes by it."""

from collections.abc import Sequence
from typing import Final

from bellhouse.adapters.store.codec import encode
from bellhouse.adapters.store.sqlite.database import Database, Reads, blobs
from bellhouse.adapters.store.sqlite.events import InFlight, insert_event, states_of
from bellhouse.adapters.store.sqlite.insights import Reader
from bellhouse.adapters.store.sqlite.ledger import count
from bellhouse.adapters.store.standing import stands
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import NotificationId
from bellhouse.ports.store.deliver import Claim

_DECIDED: Final = "SELECT id FROM carray(?) AS asked CROSS JOIN decisions ON id = asked.value"


class SqliteExpiry:
    """The ExpiryStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        with self._database.snapshot():
            return _waiting(Reader(self._database.connection), claims)

    async def expire(self, claims: Sequence[Claim], now: int, by: str) -> int:
        detail = encode(Detail(reason="expired:lifetime", by=by))
        with self._database.write() as transaction:
            ended = _waiting(transaction, claims)
            states = states_of(transaction, [claim.delivery.id for claim in ended])
            tally = Tally()
            for claim in ended:
                delivery, standing = claim.delivery, states[claim.delivery.id]
                state = standing.state
                insert_event(transaction, delivery.id, standing.steps, "expired", state, now, "operator", detail)
                tally.delivery(claim.notification.tenant, delivery.id, state, "expired")
            if ended:
                # Whoever has polled any of them sees by this that something was done, and looks anew.
                transaction.run("INSERT INTO operator_acts (delivery) VALUES (?)", (ended[0].delivery.id,))
                count(transaction, tally)
        return len(ended)

    async def undecided(self, notifications: Sequence[NotificationId]) -> frozenset[NotificationId]:
        decided = {row[0] for row in self._database.rows(_DECIDED, (blobs(notifications),))}
        return frozenset(identifier for identifier in notifications if identifier not in decided)


def _waiting(reads: Reads, claims: Sequence[Claim]) -> list[Claim]:
    states = states_of(reads, [claim.delivery.id for claim in claims])
    sending = InFlight(reads)
    found = {}
    for claim in claims:
        standing = states[claim.delivery.id]
        if stands(claim, standing) and not sending.has(claim.delivery.id, standing):
            found[claim.delivery.id] = claim
    return list(found.values())
