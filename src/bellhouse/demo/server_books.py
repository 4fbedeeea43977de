"""The platform's own records where it stands on PostgreSQL."""

import asyncio

from bellhouse.adapters.store.postgres.database import Database, PostgresConfig
from bellhouse.adapters.store.postgres.events import InFlight
from bellhouse.demo.records import Recorded, Rows, recorded


class ServerBooks:
    """Those of the distributed mode."""

    def __init__(self, url: str) -> None:
        self._database = Database(PostgresConfig(url, pool=2))

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        await self._database.close()

    async def read(self) -> dict[str, Recorded]:
        """Raises StoreUnavailable."""
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            notifications = await connection.fetch("SELECT id, record FROM notifications")
            decisions = await connection.fetch("SELECT id, record FROM decisions")
            events = await connection.fetch(
                "SELECT id, kind, n, state, detail FROM delivery_events ORDER BY id, kind, n"
            )
            sending = await InFlight.of(connection)
        rows = Rows(map(tuple, notifications), dict(map(tuple, decisions)), map(tuple, events), sending)
        return await asyncio.to_thread(recorded, rows)
