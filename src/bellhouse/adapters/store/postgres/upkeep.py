"""What keeps the database as quick as it is: partitions ahead, folded counters, merged news, no trace of the dead."""

from collections.abc import Sequence
from typing import Final

from bellhouse.adapters.store.postgres import ledger, partitions
from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.early import leftover, merge_early_news
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.standing import fold_all, unpack
from bellhouse.adapters.store.tally import DAY_MS

_SQL: Final = queries("upkeep")
_MOST: Final = 500


class PostgresUpkeep:
    """The UpkeepStore port."""

    def __init__(self, database: Database, days_ahead: int) -> None:
        self._database = database
        self._days_ahead = days_ahead

    async def upkeep(self, now: int, retention_days: int) -> Sequence[str]:
        today = now // DAY_MS
        done = [f"made the partitions of day {partitions.name_of('', day)[1:]}" for day in await self._ahead(today)]
        done += [f"dropped day {partitions.name_of('', day)[1:]}" for day in await self._drop(today - retention_days)]
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
        return done

    async def _ahead(self, today: int) -> list[int]:
        return await partitions.ensure(self._database, range(today - 1, today + self._days_ahead + 1))

    async def _drop(self, before: int) -> list[int]:
        async with self._database.connection() as connection:
            old = [day for day in await partitions.days(connection) if day < before]
        return [day for day in old if await partitions.drop(self._database, day)]

    async def _forget_the_dead(self) -> int:
        """Delete intents of dead processes of which everything is settled, and then the processes themselves."""
        rows = await self._database.rows(_SQL["intents_of_the_dead"])
        settled = []
        for number, packed in rows:
            named = unpack(packed)
            events = await self._database.rows(_SQL["events"], [identifier for identifier, _ in named])
            states = fold_all([identifier for identifier, _ in named], events)
            if all(states[identifier].steps > step for identifier, step in named):
                settled.append(number)
        await self._database.run(_SQL["forget_intents"], settled)
        await self._database.run(_SQL["forget_processes"])
        return len(settled)
