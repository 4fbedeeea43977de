"""Who is alive, and what only one may do at a time: rows with an end, by the server's own clock."""

from collections.abc import Sequence
from typing import Final

import msgspec

from bellhouse.adapters.store.postgres.database import IDLE_IN_TRANSACTION_S, Database, session_name
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.ports.store.processes import Member

_SQL: Final = queries("members")
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Member).decode


class PostgresMembers:
    """The MemberStore and LeaseStore ports of one process."""

    def __init__(self, database: Database, process: str) -> None:
        """`process` is this process's id, which is never used again."""
        self._database = database
        self._process = process

    async def join(self, member: Member, ttl_s: float) -> None:
        await self._database.run(_SQL["join"], self._process, _encode(member), ttl_s)

    async def renew(self, ttl_s: float) -> bool:
        return await self._database.run(_SQL["renew"], self._process, ttl_s) == 1

    async def end_silent_sessions(self) -> int:
        silent = [session_name(row[0]) for row in await self._database.rows(_SQL["silent"], self._process)]
        return len(await self._database.rows(_SQL["end_sessions"], silent, IDLE_IN_TRANSACTION_S)) if silent else 0

    async def leave(self) -> None:
        await self._database.run(_SQL["leave"], self._process)

    async def members(self) -> Sequence[Member]:
        return [_decode(row[0]) for row in await self._database.rows(_SQL["members"])]

    async def take(self, name: str, ttl_s: float) -> int:
        return int(await self._database.value(_SQL["take"], name, self._process, ttl_s) or 0)

    async def release(self, name: str) -> None:
        await self._database.run(_SQL["release"], name, self._process)
