"""What keeps the database as quick as it is: partitions ahead, folded counters, merged news, no trace of the dead."""

from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.postgres import ledger, partitions
from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.early import leftover, merge_early_news
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.postgres.retention import Retention
from bellhouse.adapters.store.standing import fold_all, unpack
from bellhouse.adapters.store.tally import DAY_MS
from bellhouse.domain.ids import DeliveryId

_SQL: Final = queries("upkeep")
_MOST: Final = 500
_INTENTS: Final = 200
"""Of the dead that a round looks at, as `upkeep.sql` says."""
_AT_ONCE: Final = 20
"""Intents whose deliveries are asked for together."""


class PostgresUpkeep:
    """The UpkeepStore port."""

    def __init__(self, database: Database, days_ahead: int) -> None:
        self._database = database
        self._days_ahead = days_ahead
        self._retention = Retention(database)
        self._looked_at = 0
        """The last intent of the dead that was looked at; 0 where all were."""

    async def upkeep(self, now: int, retention_days: int) -> Sequence[str]:
        today = now // DAY_MS
        done = [f"made the partitions of day {partitions.name_of('', day)[1:]}" for day in await self._ahead(today)]
        # Before a day is dropped: of the moves that are left only the newest are read then, while all writers wait.
        async with self._database.transaction() as connection:
            await partitions.alone(connection)
            await ledger.fold(connection)
        merged = await merge_early_news(self._database, await leftover(self._database, _MOST))
        if merged:
            done.append(f"merged news of {merged} deliveries that a process had left")
        await self._database.run(_SQL["forget_acts"])
        forgotten = await self._forget_the_dead()
        if forgotten:
            done.append(f"forgot {forgotten} intents of processes that have died")
        return done + await self._retention.round(now, today - retention_days)

    async def days_ahead(self, now: int) -> int:
        """For how many days after today there are partitions without a gap; -1 where today itself has none."""
        async with self._database.connection() as connection:
            there = set(await partitions.days(connection))
        day = now // DAY_MS
        while day in there:
            day += 1
        return day - now // DAY_MS - 1

    async def _ahead(self, today: int) -> list[int]:
        return await partitions.ensure(self._database, range(today - 1, today + self._days_ahead + 1))

    async def _forget_the_dead(self) -> int:
        """Delete intents of dead processes of which everything is settled, and then the processes themselves."""
        rows = await self._database.rows(_SQL["intents_of_the_dead"], self._looked_at)
        self._looked_at = rows[-1][0] if len(rows) == _INTENTS else 0
        settled: list[int] = []
        for first in range(0, len(rows), _AT_ONCE):
            settled += await self._settled({row[0]: unpack(row[1]) for row in rows[first : first + _AT_ONCE]})
        await self._database.run(_SQL["forget_intents"], settled)
        await self._database.run(_SQL["forget_processes"])
        return len(settled)

    async def _settled(self, intents: Mapping[int, Sequence[tuple[DeliveryId, int]]]) -> list[int]:
        """Those of these intents of which every step has its outcome."""
        named = list({identifier for steps in intents.values() for identifier, _ in steps})
        states = fold_all(named, await self._database.rows(_SQL["events"], named))
        return [
            number
            for number, steps in intents.items()
            if all(states[identifier].steps > step for identifier, step in steps)
        ]
