"""Signs of life, in the database."""

from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.signs import name_of, signs_of
from bellhouse.ports.store.providers import Sign

_SQL: Final = queries("signs")


class PostgresSigns:
    """The SignStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note_accepted(self, counts: Mapping[str, int], since: int) -> None:
        names = {name_of(subject, "accepted"): name_of(subject, "heard") for subject in counts}
        async with self._database.transaction() as connection:
            # What is being written down as heard just now is seen once its lock on these rows is gone.
            await connection.execute(_SQL["add"], list(names), [0] * len(names))
            heard = {row[0] for row in await connection.fetch(_SQL["heard"], list(names.values()), since)}
            left = {who: count for who, count in counts.items() if name_of(who, "heard") not in heard}
            added = [name_of(subject, "accepted") for subject in left]
            await connection.execute(_SQL["add"], added, list(left.values()))
            await connection.execute(_SQL["begin"], [name_of(subject, "since") for subject in left], since)

    async def note_heard(self, subjects: Sequence[str], now: int) -> None:
        # The fields in the order in which `note_accepted` locks them.
        async with self._database.transaction() as connection:
            for field, value in (("accepted", 0), ("since", 0), ("heard", now)):
                names = [name_of(subject, field) for subject in subjects]
                await connection.execute(_SQL["set"], names, [value] * len(names))

    async def signs(self) -> Mapping[str, Sign]:
        return signs_of((row[0], row[1]) for row in await self._database.rows(_SQL["signs"]))
