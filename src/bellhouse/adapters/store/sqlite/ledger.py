"""The ledger's running counters: moved in the transaction that writes what they count."""

from typing import Final

from bellhouse.adapters.store.sqlite.database import Transaction
from bellhouse.adapters.store.tally import Tally

_ADD: Final = """
INSERT INTO ledger VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + excluded.count
"""


def count(transaction: Transaction, tally: Tally) -> None:
    """Move the counters."""
    rows = tally.moves()
    if rows:
        transaction.many(_ADD, rows)
