"""The ledger's counters: each transaction leaves what it moved as rows of its own, which are folded now and then."""

from typing import Any, Final

from bellhouse.adapters.store.postgres.database import Connection
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.tally import Tally

_SQL: Final = queries("ledger")

Columns = tuple[list[Any], list[Any], list[Any], list[Any], list[Any]]


def columns(tally: Tally, backwards: bool = False) -> Columns:
    """A tally's moves as the arrays that a statement takes: tenants, days, levels, states, and by how much."""
    moves = tally.moves(backwards)
    return (
        [move[0] for move in moves],
        [move[1] for move in moves],
        [move[2] for move in moves],
        [move[3] for move in moves],
        [move[4] for move in moves],
    )


async def count(connection: Connection, tally: Tally, backwards: bool = False) -> None:
    """Move the counters, or move them back."""
    moved = columns(tally, backwards)
    if moved[0]:
        await connection.execute(_SQL["count"], *moved)


async def fold(connection: Connection) -> int:
    """Add up what has moved since the last time; answers how many rows that were."""
    return int(await connection.fetchval(_SQL["fold"]))
