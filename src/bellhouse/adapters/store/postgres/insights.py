"""The read side: stories, lists and the ledger, each answer from one state of the database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from bellhouse.adapters.store.codec import decode_decision, decode_notification
from bellhouse.adapters.store.postgres.database import Connection, Database, Row
from bellhouse.adapters.store.postgres.events import InFlight
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.postgres.recount import Recount
from bellhouse.adapters.store.recent import bad_ends, recent_of, span, waiting
from bellhouse.adapters.store.stories import bounds, matches, story_of
from bellhouse.domain.ids import NotificationId, TenantNo, last_delivery_of, notification_of
from bellhouse.domain.notification import Notification
from bellhouse.ports.store.insights import Ledger, ListQuery, Recent, Story

_SQL: Final = queries("insights")
_SCAN: Final = 20_000
"""Rows that one list may look at; a narrower question answers from fewer."""
_CHUNK: Final = 500
"""Rows that are fetched at once: most lists are full after the first few."""


class PostgresInsights:
    """The Insights port."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recount = Recount()

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        """Reads within the block see one state of the database."""
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    async def story(self, tenant: TenantNo | None, notification: NotificationId) -> Story | None:
        async with self._snapshot() as connection:
            record = await connection.fetchval(_SQL["notification"], notification)
            found = None if record is None else decode_notification(record)
            if found is None or (tenant is not None and found.tenant != tenant):
                return None
            decided = await connection.fetchval(_SQL["decision"], notification)
            rows = await connection.fetch(_SQL["events"], notification, last_delivery_of(notification))
            sending = await InFlight.of(connection)
        return story_of(found, None if decided is None else decode_decision(decided), rows, sending.has)

    async def list(self, query: ListQuery) -> Sequence[tuple[Notification, str]]:
        found: list[tuple[Notification, str]] = []
        async with self._snapshot() as connection:
            sql, who = "newest", []
            if query.user_id is not None:
                sql, who = "newest_of_recipient", [await _recipient(connection, query)]
            before, oldest = bounds(query)
            looked = 0
            while looked < _SCAN and len(found) < query.limit:
                rows = await connection.fetch(_SQL[sql], before, oldest, _CHUNK, *who)
                found += await _chosen(connection, query, rows)
                if len(rows) < _CHUNK:
                    break
                before, looked = rows[-1][0], looked + len(rows)
        return found[: query.limit]

    async def ledger(self, tenant: TenantNo | None, now: int, recount: bool) -> Ledger:
        async with self._snapshot() as connection:
            return await self._recount.ledger(connection, tenant, now, recount)

    async def recent(self, since: int, until: int, limit: int) -> Recent:
        low, high = span(since, until)
        async with self._snapshot() as connection:
            events = await connection.fetch(_SQL["recent_events"], low, high, limit)
            arrivals = await connection.fetch(_SQL["recent_notifications"], low, high, limit)
            letters = await connection.fetch(_SQL["recent_letters"], low, high, limit)
            decided = await connection.fetch(_SQL["recent_decisions"], low, high, limit)
            asked = sorted({notification_of(event[0]) for event in (*bad_ends(events), *waiting(events))})
            notifications = dict(await connection.fetch(_SQL["notifications"], asked))
            decisions = dict(await connection.fetch(_SQL["decisions"], asked))
        came = [row[0] for row in arrivals]
        return recent_of(events, came, letters, [tuple(row) for row in decided], notifications, decisions)


async def _recipient(connection: Connection, query: ListQuery) -> Any:
    return await connection.fetchval(_SQL["recipient"], query.tenant, query.user_id)


async def _chosen(connection: Connection, query: ListQuery, rows: Sequence[Row]) -> Sequence[tuple[Notification, str]]:
    """Those of these notifications (id, record) that a list is about, with their states, in their order."""
    asked = [item for item in (decode_notification(record) for _, record in rows) if matches(query, item)]
    if not asked:
        return []
    decided = dict(await connection.fetch(_SQL["states"], [item.id for item in asked]))
    states = [(item, decided.get(item.id, "waiting")) for item in asked]
    return [(item, state) for item, state in states if query.state in (None, state)]
