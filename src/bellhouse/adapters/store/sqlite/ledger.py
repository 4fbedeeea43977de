"""The ledger's running counters: moved in the transaction that writes what they count."""

from collections import defaultdict
from typing import Final

from bellhouse.adapters.store.sqlite.database import Transaction
from bellhouse.domain.ids import made_at
from bellhouse.domain.words import DeliveryState, NotificationState

DAY_MS: Final = 86_400_000

_ADD: Final = """
INSERT INTO ledger VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + excluded.count
"""


class Tally:
    """Collects a transaction's moves, so that a batch touches each counter once.

    A state of None stands for outside: what is new comes from there.
    """

    __slots__ = ("_moves",)

    def __init__(self) -> None:
        self._moves: dict[tuple[int, int, str, str], int] = defaultdict(int)

    def notification(
        self, tenant: int, identifier: bytes, before: NotificationState | None, after: NotificationState
    ) -> None:
        day = made_at(identifier) // DAY_MS
        if before is not None:
            self._moves[tenant, day, "notification", before] -= 1
        self._moves[tenant, day, "notification", after] += 1

    def delivery(
        self, tenant: int, identifier: bytes, before: DeliveryState | None, after: DeliveryState, count: int = 1
    ) -> None:
        if before == after:
            return
        day = int.from_bytes(identifier[:6]) // DAY_MS
        if before is not None:
            self._moves[tenant, day, "delivery", before] -= count
        self._moves[tenant, day, "delivery", after] += count

    def write(self, transaction: Transaction) -> None:
        rows = [(*key, moved) for key, moved in self._moves.items() if moved]
        if rows:
            transaction.many(_ADD, rows)
