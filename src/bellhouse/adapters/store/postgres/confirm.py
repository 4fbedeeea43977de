"""What confirm asks of the store: news made durable, and deliveries moved by it."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from bellhouse.adapters.store.codec import decode_decision, decode_notification
from bellhouse.adapters.store.news import Planned, concerned, confirmed, planned_among, with_early_news, with_news
from bellhouse.adapters.store.postgres.database import Connection, Database
from bellhouse.adapters.store.postgres.early import Look, look, merge_early_news
from bellhouse.adapters.store.postgres.ledger import count
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.postgres.recipients import retire, suppress
from bellhouse.adapters.store.postgres.route import read_facts
from bellhouse.adapters.store.standing import NEWS, StateOf
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.ids import DeliveryId, TenantNo, notification_of
from bellhouse.domain.words import DeliveryState
from bellhouse.ports.log import deliveries_topic
from bellhouse.ports.store.confirm import Concerned, Confirmed, NewsResult, NewsRow
from bellhouse.ports.store.deliver import Retirement, Suppression

_SQL: Final = queries("confirm")


class PostgresConfirm:
    """The store's side of callbacks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def news(self, rows: Sequence[NewsRow]) -> NewsResult:
        with contextlib.suppress(asyncpg.CheckViolationError):
            return await self._news(rows)
        # A day was dropped while its news was being written: nobody knows of its deliveries any more.
        return await self._news(rows)

    async def _news(self, rows: Sequence[NewsRow]) -> NewsResult:
        async with self._database.connection() as connection:
            # A decision never changes, so it is looked up before anything is locked.
            planned = await _planned(connection, {row.delivery for row in rows})
        known = [row for row in rows if row.delivery in planned]
        if not known:
            return NewsResult((), 0, len(rows))
        identifiers = sorted({row.delivery for row in known})
        lanes = sorted({deliveries_topic(plan.channel, note.priority) for note, plan in planned.values()})
        async with self._database.transaction() as connection:
            taken = _Taken(await look(connection, identifiers, lanes), planned)
            for row in known:
                taken.take(row)
            await taken.write(connection)
        if taken.early:
            await merge_early_news(self._database, sorted(taken.early))
        return NewsResult(taken.moved, taken.repeated, len(rows) - len(known), taken.overtaken)

    async def recipients_of(self, deliveries: Sequence[DeliveryId]) -> Mapping[DeliveryId, Concerned]:
        async with self._database.connection() as connection:
            planned = await _planned(connection, set(deliveries))
            facts = await read_facts(connection, ((note.tenant, note.recipient) for note, _ in planned.values()))
        return {identifier: concerned(facts, found) for identifier, found in planned.items()}

    async def every_tenant(self) -> Sequence[TenantNo]:
        return [TenantNo(row[0]) for row in await self._database.rows(_SQL["tenants"])]

    async def follow_up(
        self, suppressions: Sequence[Suppression], lifted: Sequence[Suppression], retirements: Sequence[Retirement]
    ) -> None:
        async with self._database.transaction() as connection:
            await suppress(connection, suppressions)
            await retire(connection, retirements)
            await connection.execute(
                _SQL["lift"], [s.tenant for s in lifted], [s.address for s in lifted], [s.reason for s in lifted]
            )


class _Taken:
    """A batch of news on its way into rows, one after another as if each had come alone."""

    def __init__(self, seen: Look, planned: Mapping[DeliveryId, Planned]) -> None:
        self._planned = planned
        self._sending = seen.sending
        self._states = dict(seen.states)
        self._there = {(row[0], row[2]) for rows in seen.rows.values() for row in rows if row[1] == NEWS}
        self._rows: list[tuple[NewsRow, DeliveryState, DeliveryState]] = []
        self._tally = Tally()
        self.early: set[DeliveryId] = set()
        self.moved: list[Confirmed] = []
        self.overtaken: list[Confirmed] = []
        self.repeated = 0

    def take(self, row: NewsRow) -> None:
        """What one piece of news changes."""
        if (row.delivery, row.n) in self._there:
            self.repeated += 1
            return
        self._there.add((row.delivery, row.n))
        standing = self._states[row.delivery]
        after = with_news(standing, row)
        if self._sending.has(row.delivery, standing) or _is_early(row, standing, after):
            self.early.add(row.delivery)
            self.overtaken.append(confirmed(row, standing, standing, self._planned[row.delivery]))
            self._rows.append((row, standing.state, standing.state))
            self._states[row.delivery] = with_early_news(standing, after)
            return
        self._rows.append((row, standing.state, after.state))
        self._states[row.delivery] = after
        if after.state != standing.state:
            planned = self._planned[row.delivery]
            self._tally.delivery(planned[0].tenant, row.delivery, standing.state, after.state)
            self.moved.append(confirmed(row, standing, after, planned))

    async def write(self, connection: Connection) -> None:
        """Insert what was taken, and move the counters."""
        if not self._rows:
            return
        ordered = sorted(self._rows, key=lambda taken: (taken[0].delivery, taken[0].n))
        await connection.execute(
            _SQL["put_news"],
            [row.delivery for row, _, _ in ordered],
            [row.n for row, _, _ in ordered],
            [after for _, _, after in ordered],
            [before for _, before, _ in ordered],
            [row.at for row, _, _ in ordered],
            [row.detail for row, _, _ in ordered],
            sorted(self.early),
        )
        await count(connection, self._tally)


def _is_early(row: NewsRow, standing: StateOf, after: StateOf) -> bool:
    """Whether news speaks of an attempt that is not settled yet. One without any step is being sent for the first time:
    its intent may be on its way out while the step is on its way in."""
    return row.attempt > standing.last_attempt and (after.state == standing.state or standing.steps == 0)


async def _planned(connection: Connection, deliveries: set[DeliveryId]) -> dict[DeliveryId, Planned]:
    """The notification and plan of each of these deliveries that was ever planned."""
    asked = sorted({notification_of(identifier) for identifier in deliveries})
    rows = await connection.fetch(_SQL["planned"], asked)
    found = {row[0]: (decode_notification(row[1]), decode_decision(row[2])) for row in rows}
    return planned_among(deliveries, found)
