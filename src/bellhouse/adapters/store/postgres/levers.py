"""The operator's levers, his acts, and what waits under his brakes."""

from collections.abc import Sequence
from typing import Final

from bellhouse.adapters.store.codec import decode_act, decode_lever, encode
from bellhouse.adapters.store.postgres.database import Connection, Database
from bellhouse.adapters.store.postgres.held import PostgresHeld
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.domain.levers import Act, Lever, LeverKind, Levers
from bellhouse.ports.levers import ActFilter
from bellhouse.ports.log import Publisher

_SQL: Final = queries("levers")
_HIGHEST: Final = 2**62


class PostgresLevers(PostgresHeld):
    """The LeverStore, AuditStore and HeldStore ports."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        super().__init__(database, publisher)

    # --- levers ---

    async def levers(self, known: Levers | None = None) -> Levers:
        version = int(await self._database.value(_SQL["version"]))
        if known is not None and known.version == version:
            return known
        # Rows of a later version are lawful: then the version is seen to have changed at the next look.
        rows = await self._database.rows(_SQL["levers"])
        return Levers(version, tuple(decode_lever(record) for (record,) in rows))

    async def change_lever(
        self, kind: LeverKind, scope: str, before: Lever | None, after: Lever | None, act: Act
    ) -> bool:
        async with self._database.transaction() as connection:
            await connection.fetchval(_SQL["in_turn"])
            record = await connection.fetchval(_SQL["one"], kind, scope)
            if (None if record is None else decode_lever(record)) != before:
                return False
            if after is None:
                await connection.execute(_SQL["remove"], kind, scope)
            else:
                await connection.execute(_SQL["put"], kind, scope, encode(after))
            await connection.execute(_SQL["changes"])
            await _record(connection, act)
        return True

    # --- acts ---

    async def record(self, act: Act) -> None:
        async with self._database.transaction() as connection:
            await connection.fetchval(_SQL["in_turn"])
            await _record(connection, act)

    async def acts(self, wanted: ActFilter, limit: int) -> Sequence[Act]:
        values = (_HIGHEST if wanted.before is None else wanted.before, wanted.since or 0, limit)
        if wanted.act is None:
            rows = await self._database.rows(_SQL["acts"], *values)
        else:
            rows = await self._database.rows(_SQL["acts_of"], *values, wanted.act)
        return [decode_act(record, number) for number, record in rows]


async def _record(connection: Connection, act: Act) -> None:
    await connection.execute(_SQL["record"], act.at, act.act, encode(act))
